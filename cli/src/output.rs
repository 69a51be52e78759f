//! What people and scripts read: lines, tables, JSON.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use std::{
    fmt::Display,
    io::{ErrorKind, IsTerminal, Write},
};

/// Writes a line to standard output.
pub fn line(text: impl Display) {
    bytes(format!("{text}\n").as_bytes());
}

/// Writes to standard output. A reader that has gone (`waybill models | head -1`) is a good end.
pub fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("error: cannot write to standard output: {error}");
        std::process::exit(1);
    }
}

/// Writes a line for people to standard error, where it cannot spoil what a script reads.
pub fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// One JSON document, indented.
pub fn json(value: &impl Serialize) {
    line(serde_json::to_string_pretty(value).expect("wire types serialise"));
}

/// One JSON document on one line, for streams.
pub fn json_line(value: &impl Serialize) {
    line(serde_json::to_string(value).expect("wire types serialise"));
}

/// A table, or a sentence when there are no rows.
pub fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>, nothing: &str) {
    if rows.is_empty() {
        line(nothing);
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    line(table.trim_fmt());
}

/// `2026-03-04 17:08:09`, in the local time zone.
pub fn time(epoch_ms: i64) -> String {
    formatted(epoch_ms, "%Y-%m-%d %H:%M:%S")
}

/// `17:08:09`, in the local time zone.
pub fn clock(epoch_ms: i64) -> String {
    formatted(epoch_ms, "%H:%M:%S")
}

fn formatted(epoch_ms: i64, format: &str) -> String {
    Timestamp::from_millisecond(epoch_ms).map_or_else(
        |_| epoch_ms.to_string(),
        |time| time.to_zoned(TimeZone::system()).strftime(format).to_string(),
    )
}

/// `3 d 4 h`, `2 min 10 s`, `4.2 s`: the two largest units.
pub fn duration(milliseconds: i64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        ..10 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `1.4 GiB`.
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// An absent value in a table.
pub fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A revision's lockfile and image in a table.
pub fn digests(revision: Option<&waybill_client::api::Revision>) -> [String; 2] {
    let twelve = |digest: &str| digest.trim_start_matches("sha256:").chars().take(12).collect();
    match revision {
        Some(revision) => [revision.lock_digest.hex()[..12].to_owned(), twelve(&revision.image_digest)],
        None => ["-", "-"].map(str::to_owned),
    }
}

/// `sha256:` and twelve digits: enough to compare by eye.
pub fn short(digest: &waybill_proof::Digest) -> String {
    format!("sha256:{}", &digest.hex()[..12])
}

/// A mark before a line, coloured on a terminal that wants colour.
pub fn mark(good: bool) -> &'static str {
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match (good, coloured) {
        (true, true) => "\x1b[32m✓\x1b[0m",
        (true, false) => "✓",
        (false, true) => "\x1b[31m✗\x1b[0m",
        (false, false) => "✗",
    }
}

/// Text from elsewhere (log lines, names) as it may be written to a terminal: without escape
/// sequences and control characters, which could move the cursor or change the title.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\x1b' && characters.next_if_eq(&'[').is_some() {
            // ECMA-48, section 5.4: parameters, then one final byte.
            characters.by_ref().find(|c| ('@'..='~').contains(c));
        } else if character.is_control() && character != '\t' {
            shown.push('\u{fffd}');
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_two_units() {
        for (milliseconds, expected) in [
            (0, "0.0 s"),
            (4_249, "4.2 s"),
            (59_999, "59 s"),
            (130_000, "2 min 10 s"),
            (3_600_000, "1 h 0 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(milliseconds), expected);
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\x1b[2J\tb\r\x1b]0;title\x07"), "a\tb\u{fffd}\u{fffd}]0;title\u{fffd}");
        assert_eq!(plain("\x1b[33mwarned\x1b[0m"), "warned");
        assert_eq!(plain("cut \x1b[3"), "cut ");
    }
}
