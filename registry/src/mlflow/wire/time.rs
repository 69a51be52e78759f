//! `google.protobuf.Timestamp` and `Duration` in protobuf's JSON, from and to milliseconds.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};

/// `2024-04-05T19:34:38.901Z`
pub fn timestamp(ms: i64) -> String {
    // Times are checked when they are taken.
    let time = Timestamp::from_millisecond(ms).unwrap_or_default();
    let precision = if ms % 1000 == 0 { 0 } else { 3 };
    DateTimePrinter::new().precision(Some(precision)).timestamp_to_string(&time)
}

/// The milliseconds of an RFC 3339 time, rounded down.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let nanoseconds = text.trim().parse::<Timestamp>().ok()?.as_nanosecond();
    i64::try_from(nanoseconds.div_euclid(1_000_000)).ok()
}

/// `1.500s`
pub fn duration(ms: i64) -> String {
    let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
    let (seconds, rest) = (ms / 1000, ms % 1000);
    if rest == 0 { format!("{sign}{seconds}s") } else { format!("{sign}{seconds}.{rest:03}s") }
}

/// The milliseconds of a duration in seconds, rounded towards zero.
pub fn parse_duration(text: &str) -> Option<i64> {
    let text = text.trim().strip_suffix('s')?;
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if seconds.is_empty() || !all_digits(seconds) || !all_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let ms = seconds.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(thousandths.parse().ok()?)?;
    Some(if negative { -ms } else { ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_those_of_protobuf() {
        assert_eq!(timestamp(1_712_345_678_901), "2024-04-05T19:34:38.901Z");
        assert_eq!(timestamp(1_712_345_678_000), "2024-04-05T19:34:38Z");
        assert_eq!(timestamp(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(
            (duration(1500), duration(0), duration(-20)),
            ("1.500s".into(), "0s".into(), "-0.020s".into())
        );
        assert_eq!(parse_timestamp("2024-04-05T21:34:38.9019+02:00"), Some(1_712_345_678_901));
        assert_eq!(parse_duration("3.000000001s"), Some(3000));
        for bad in ["", "s", "1", "1.5", "1,5s", "1.0000000001s", "99999999999999999999s", "--1s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        assert_eq!(parse_timestamp("yesterday"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in -62_135_596_800_000_i64..253_402_300_799_999) {
            prop_assert_eq!(parse_timestamp(&timestamp(ms)), Some(ms));
            prop_assert_eq!(parse_duration(&duration(ms)), Some(ms));
        }
    }
}
