//! Lines of a `requirements.txt` (pip's requirements file format, options refused).

use super::{Package, UnusableLine, pep508};
use crate::Digest;

/// A line of requirements and where its text began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::documents) struct Line {
    pub(in crate::documents) number: u64,
    pub(in crate::documents) text: String,
}

/// Joins continued lines, drops comments and blank lines.
pub(in crate::documents) fn split(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut pending: Option<Line> = None;
    for (at, physical) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        // Like pip: a comment line ends a continuation.
        let comment = physical.trim_start().starts_with('#');
        let (body, continues) = match physical.strip_suffix('\\') {
            Some(body) if !comment => (body, true),
            _ if comment => ("", false),
            _ => (physical, false),
        };
        let line = pending.get_or_insert_with(|| Line { number: at as u64 + 1, text: String::new() });
        line.text.push_str(body);
        if !continues {
            lines.extend(pending.take());
        }
    }
    lines.extend(pending);
    for line in &mut lines {
        let comment = line.text.match_indices('#').find(|(at, _)| line.text[..*at].ends_with([' ', '\t']));
        let end = comment.map_or(line.text.len(), |(at, _)| at);
        line.text = line.text[..end].trim().to_owned();
    }
    lines.retain(|line| !line.text.is_empty());
    lines
}

/// Reads lines into packages; what is not understood is kept with the reason.
pub(super) fn read(file: &str, lines: &[Line]) -> (Vec<Package>, Vec<UnusableLine>) {
    let mut packages = Vec::new();
    let mut unusable = Vec::new();
    for line in lines {
        match parse_line(&line.text) {
            Ok(package) => packages.push(package),
            Err(reason) => unusable.push(UnusableLine::new(file, line.number, &line.text, &reason)),
        }
    }
    (packages, unusable)
}

/// Reads one requirement with its `--hash` options.
pub(in crate::documents) fn parse_line(text: &str) -> Result<Package, String> {
    if text.starts_with('-') {
        let option = text.split([' ', '=']).next().unwrap_or_default();
        return Err(format!(
            "the option {option:?} is not taken from a model; expected a package name with versions"
        ));
    }
    let options =
        text.match_indices("--").find(|(at, _)| text[..*at].ends_with([' ', '\t'])).map(|(at, _)| at);
    let (requirement, options) = text.split_at(options.unwrap_or(text.len()));
    let requirement = pep508::parse(requirement)?;
    let mut hashes = Vec::new();
    let mut words = options.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--hash=") {
            Some(value) => value,
            None if word == "--hash" => words.next().unwrap_or_default(),
            None => {
                return Err(format!("{word:?} is not taken from a model; expected only `--hash=sha256:…`"));
            }
        };
        hashes.push(
            value
                .parse::<Digest>()
                .map_err(|_| format!("the hash {value:?} is not `sha256:` and 64 lower-case hex digits"))?,
        );
    }
    hashes.sort();
    hashes.dedup();
    Ok(Package {
        name: requirement.name,
        extras: requirement.extras,
        specifier: requirement.specifier,
        marker: requirement.marker.map(|marker| marker.to_string()),
        hashes,
    })
}

#[cfg(test)]
mod tests {
    use super::{Line, parse_line, read, split};
    use proptest::prelude::*;

    fn line(number: u64, text: &str) -> Line {
        Line { number, text: text.to_owned() }
    }

    #[test]
    fn joins_continued_lines_and_drops_comments() {
        let text = "\u{feff}# header\na==1 \\\n    --hash=x\\\n\n  b==2  # why\nc#d\n\\\n# e\nf \\";
        assert_eq!(
            split(text),
            [line(2, "a==1     --hash=x"), line(5, "b==2"), line(6, "c#d"), line(9, "f")]
        );
    }

    #[test]
    fn names_the_line_that_cannot_be_used() {
        let (packages, unusable) =
            read("requirements.txt", &split("numpy==1.0\n\nnumpy; touch /tmp/p\n-r x.txt"));
        assert_eq!(packages.len(), 1);
        let texts: Vec<String> = unusable.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "requirements.txt line 3, \"numpy; touch /tmp/p\": the marker goes on with \"touch /tmp/p\"; expected a marker variable such as python_version, or a quoted text",
                "requirements.txt line 4, \"-r x.txt\": the option \"-r\" is not taken from a model; expected a package name with versions",
            ]
        );
    }

    #[test]
    fn reads_hashes() {
        let hash = format!("sha256:{}", "ab".repeat(32));
        let package = parse_line(&format!("a==1 --hash={hash}  --hash {hash}")).unwrap();
        assert_eq!(package.hashes.iter().map(ToString::to_string).collect::<Vec<_>>(), [hash]);
        for bad in [
            "a==1 --hash=md5:00",
            "a==1 --hash",
            "a==1 --hash=sha256:AB",
            "a==1 --global-option=x",
            "a==1 --hash=x;id",
        ] {
            assert!(parse_line(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Whatever is accepted is written from understood parts and reads the same again.
        #[test]
        fn accepted_lines_hold_nothing_else(text in "([a-z0-9=<>!~.,;()'\"$`|&@\\[\\] -]|\\PC|==1\\.0|--hash=|os_name){0,24}") {
            if let Ok(package) = parse_line(&text) {
                let written = package.to_string();
                prop_assert!(!written.contains(['$', '`', '|', '&', '\\', '\n', '{', '#', '@']), "{}", written);
                prop_assert_eq!(parse_line(&written).unwrap(), package);
            }
        }

        #[test]
        fn splitting_is_total(text in any::<String>()) {
            for line in split(&text) {
                let _ = parse_line(&line.text);
            }
        }
    }
}
