//! The `Range` header (RFC 9110, section 14): one byte range.

use std::ops::Range;

/// What a request asks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// No range, one that is malformed, or several: all of it.
    Whole,
    Part(Range<u64>),
    /// 416
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `size_bytes`.
pub fn parse(header: Option<&str>, size_bytes: u64) -> Wanted {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Wanted::Whole;
    };
    match (position(first), position(last)) {
        (Position::At(first), Position::At(last)) if last < first => Wanted::Whole,
        (Position::At(first), Position::At(_) | Position::Open) if first >= size_bytes => {
            Wanted::Unsatisfiable
        }
        (Position::At(first), Position::At(last)) => {
            Wanted::Part(first..last.saturating_add(1).min(size_bytes))
        }
        (Position::At(first), Position::Open) => Wanted::Part(first..size_bytes),
        (Position::Open, Position::At(suffix)) if suffix == 0 || size_bytes == 0 => Wanted::Unsatisfiable,
        (Position::Open, Position::At(suffix)) => Wanted::Part(size_bytes.saturating_sub(suffix)..size_bytes),
        _ => Wanted::Whole,
    }
}

enum Position {
    At(u64),
    /// Left out.
    Open,
    NoNumber,
}

/// A number too large for 64 bits lies past every end.
fn position(text: &str) -> Position {
    if text.is_empty() {
        Position::Open
    } else if text.bytes().all(|b| b.is_ascii_digit()) {
        Position::At(text.parse().unwrap_or(u64::MAX))
    } else {
        Position::NoNumber
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers() {
        use Wanted::{Part, Unsatisfiable, Whole};
        for (header, wanted) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=5-9", Part(5..10)),
            ("bytes=9-", Part(9..10)),
            ("bytes=0-99999999999999999999999", Part(0..10)),
            ("bytes=-3", Part(7..10)),
            ("bytes=-30", Part(0..10)),
            (" bytes= 1-2 ", Part(1..3)),
            ("bytes=10-", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=5-2", Whole),
            ("bytes=", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=0-1,3-4", Whole),
            ("lines=1-2", Whole),
        ] {
            assert_eq!(parse(Some(header), 10), wanted, "{header}");
        }
        assert_eq!(parse(None, 10), Whole);
        assert_eq!(parse(Some("bytes=0-0"), 0), Unsatisfiable);
        assert_eq!(parse(Some("bytes=-1"), 0), Unsatisfiable);
    }

    proptest! {
        #[test]
        fn parts_lie_inside(header in "bytes=[0-9]{0,21}-[0-9]{0,21}", size in any::<u64>()) {
            if let Wanted::Part(range) = parse(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn valid_ranges_are_exact(size in 1..u64::MAX, a in any::<u64>(), b in any::<u64>()) {
            let (first, last) = (a.min(b) % size, a.max(b));
            let header = format!("bytes={first}-{last}");
            let end = last.saturating_add(1).min(size);
            prop_assert_eq!(parse(Some(&header), size), Wanted::Part(first..end));
        }
    }
}
