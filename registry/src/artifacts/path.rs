//! Artifact paths: one namespace, one spelling per path.

use super::ArtifactError;
use percent_encoding::percent_decode_str;
use std::fmt;

/// Longest path in bytes: it is the key of a database index, and PostgreSQL's hold 2,700 at most.
pub const PATH_MAX_BYTES: usize = 1_000;
/// Longest name of one file or directory in bytes, as in every file system it may be pulled to.
pub const SEGMENT_MAX_BYTES: usize = 255;
/// Deepest nesting.
pub const SEGMENTS_MAX: usize = 64;
/// Rounds of percent-decoding that MLflow makes before it gives up.
const DECODE_ROUNDS_MAX: usize = 10;

/// The first segment under which frozen versions are served, read-only.
pub const VERSIONS: &str = ".versions";

/// A relative path with `/` between its segments, none of them empty, `.` or `..`, e.g.
/// `1/<run>/artifacts/model/MLmodel`. Paths are case-sensitive. The root is the empty path.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactPath(String);

impl ArtifactPath {
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Reads a path as a client sent it. Percent-encoding is undone until nothing changes, as
    /// MLflow does, so that no further decoding can make a refused path of an accepted one. One
    /// trailing `/` is dropped; the empty text is the root.
    ///
    /// A `%` whose digits stand for a control character that no name has is no encoding, nor is any other
    /// of that text: MLflow 2 separates the parts of an image's name by it (`dogs%step%3%timestamp%17…`).
    ///
    /// Refuses paths that are absolute, have a scheme or a drive, an empty, `.` or `..` segment,
    /// a backslash, `#` or a control character, and paths past the limits of this module.
    pub fn parse(text: &str) -> Result<Self, ArtifactError> {
        let mut text = text.to_owned();
        for _ in 0..DECODE_ROUNDS_MAX {
            if percent_decode_str(&text).any(is_odd_control) && !text.bytes().any(is_odd_control) {
                check_decoded(&text)?;
                return Self::check(without_slash(&text));
            }
            let decoded =
                percent_decode_str(&text).decode_utf8().map_err(|_| ArtifactError::UnsafePath)?.into_owned();
            if decoded == text {
                return Self::check(without_slash(&text));
            }
            text = decoded;
        }
        Err(ArtifactError::UnsafePath)
    }

    /// [`ArtifactPath::parse`] for a path that must name something below the root.
    pub fn parse_file(text: &str) -> Result<Self, ArtifactError> {
        let path = Self::parse(text)?;
        if path.is_root() { Err(ArtifactError::UnsafePath) } else { Ok(path) }
    }

    /// Where an artifact URI lies in this namespace: `mlflow-artifacts:/<path>`, with or without a
    /// host. Fails with [`ArtifactError::Elsewhere`] for other schemes.
    pub fn of_uri(uri: &str) -> Result<Self, ArtifactError> {
        let Some(rest) = uri.strip_prefix("mlflow-artifacts:") else {
            return Err(ArtifactError::Elsewhere { uri: uri.to_owned() });
        };
        let path = match rest.strip_prefix("//") {
            Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
            None => rest.strip_prefix('/').unwrap_or(rest),
        };
        Self::parse(path)
    }

    fn check(text: &str) -> Result<Self, ArtifactError> {
        if text.is_empty() {
            return Ok(Self::root());
        }
        check_length("bytes", text.len(), PATH_MAX_BYTES)?;
        if text.chars().any(char::is_control) || leads_out(text) {
            return Err(ArtifactError::UnsafePath);
        }
        let mut count = 0;
        for segment in text.split('/') {
            check_length("bytes in one name", segment.len(), SEGMENT_MAX_BYTES)?;
            count += 1;
        }
        check_length("names", count, SEGMENTS_MAX)?;
        Ok(Self(text.to_owned()))
    }

    /// `self` and `relative` below it.
    pub fn join(&self, relative: &Self) -> Result<Self, ArtifactError> {
        match (self.is_root(), relative.is_root()) {
            (true, _) => Ok(relative.clone()),
            (_, true) => Ok(self.clone()),
            _ => Self::check(&format!("{}/{}", self.0, relative.0)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last segment; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The directory that holds it; `None` for the root.
    pub fn parent(&self) -> Option<&str> {
        if self.is_root() {
            return None;
        }
        Some(self.0.rsplit_once('/').map_or("", |(parent, _)| parent))
    }

    /// Every directory above it, from the root (`""`) down.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let root = (!self.is_root()).then_some("");
        root.into_iter().chain(self.0.match_indices('/').map(|(end, _)| &self.0[..end]))
    }

    /// The version's uid and the path inside it, when this lies in the frozen tree: `.versions`
    /// itself gives an empty uid.
    pub fn frozen(&self) -> Option<(&str, &str)> {
        let rest = self.0.strip_prefix(VERSIONS)?;
        if rest.is_empty() {
            return Some(("", ""));
        }
        let rest = rest.strip_prefix('/')?;
        Some(rest.split_once('/').unwrap_or((rest, "")))
    }
}

fn without_slash(text: &str) -> &str {
    text.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(text)
}

/// A control character other than white space: after a `%` its digits are meant as digits. Of the others,
/// which tricks with headers and lines are made of, an encoding stays one, and is refused.
const fn is_odd_control(byte: u8) -> bool {
    matches!(byte, 1..=31) && !byte.is_ascii_whitespace()
}

/// Whether a path that is kept as it is stays one, however often anyone decodes it.
fn check_decoded(text: &str) -> Result<(), ArtifactError> {
    let mut text = text.to_owned();
    for _ in 0..DECODE_ROUNDS_MAX {
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == text {
            let is_safe = !text.contains('\0') && !leads_out(without_slash(&text));
            return if is_safe { Ok(()) } else { Err(ArtifactError::UnsafePath) };
        }
        text = decoded;
    }
    Err(ArtifactError::UnsafePath)
}

/// Whether the path is none below a root, on any system.
fn leads_out(text: &str) -> bool {
    let is_odd = |segment: &str| matches!(segment, "" | "." | "..") || is_drive(segment);
    text.contains(['\\', '#']) || has_scheme(text) || text.split('/').any(is_odd)
}

fn check_length(what: &'static str, actual: usize, max: usize) -> Result<(), ArtifactError> {
    if actual > max { Err(ArtifactError::PathTooLong { what, actual, max }) } else { Ok(()) }
}

/// Whether the path begins like `file:/`.
fn has_scheme(text: &str) -> bool {
    let first = text.split('/').next().unwrap_or_default();
    first.strip_suffix(':').is_some_and(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    })
}

/// `C:`: joined to a folder on Windows it would leave that folder, wherever it stands.
fn is_drive(segment: &str) -> bool {
    matches!(segment.as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic())
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    #[test]
    fn good_paths_keep_their_spelling() {
        for (text, expected) in [
            ("", ""),
            ("a", "a"),
            ("path/", "path"),
            ("1/abc/artifacts/model/MLmodel", "1/abc/artifacts/model/MLmodel"),
            ("a%20b/c", "a b/c"),
            ("100%.txt", "100%.txt"),
            ("%E6%A8%A1%E5%9E%8B", "模型"),
            ("...", "..."),
            ("..a/b..", "..a/b.."),
            (".versions/ver-1/MLmodel", ".versions/ver-1/MLmodel"),
            ("a:b/c", "a:b/c"),
            ("a%17b.txt", "a%17b.txt"),
            (
                "images/dogs%25step%253%25timestamp%251795%25f0a.png",
                "images/dogs%step%3%timestamp%1795%f0a.png",
            ),
            ("dogs%step%3%timestamp%1795%f0a%20b.png", "dogs%step%3%timestamp%1795%f0a%20b.png"),
        ] {
            assert_eq!(ArtifactPath::parse(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn bad_paths_are_refused_however_often_they_are_encoded() {
        for text in [
            "../x",
            "a/../x",
            "./x",
            "a/.",
            "..",
            "/etc/passwd",
            "//etc/passwd",
            "a//b",
            "/",
            "C:\\x",
            "C:/x",
            "a/C:/x",
            "file:/etc",
            "file:///etc",
            "http://h/p",
            "\\\\h\\s",
            "a\\..\\b",
            "a#b",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a%17/../x",
            "%17/%2e%2e/x",
            "%17%00",
            "%17%5c..",
            "%17%23",
            "a%17//b",
            "%17/C:/x",
        ] {
            let mut encoded = text.to_owned();
            for round in 0..4 {
                let parsed = ArtifactPath::parse(&encoded);
                assert!(matches!(parsed, Err(ArtifactError::UnsafePath)), "{text:?} {round}: {parsed:?}");
                encoded = utf8_percent_encode(&encoded, NON_ALPHANUMERIC).to_string();
            }
        }
        assert!(matches!(ArtifactPath::parse("%ff"), Err(ArtifactError::UnsafePath)));
        let endless = format!("%{}2e", "25".repeat(20));
        assert!(matches!(ArtifactPath::parse(&endless), Err(ArtifactError::UnsafePath)));
        assert!(matches!(ArtifactPath::parse_file(""), Err(ArtifactError::UnsafePath)));
    }

    #[test]
    fn uris() {
        for (uri, expected) in [
            ("mlflow-artifacts:/1/run/artifacts", Some("1/run/artifacts")),
            ("mlflow-artifacts:1/run", Some("1/run")),
            ("mlflow-artifacts://host:5000/1/run", Some("1/run")),
            ("mlflow-artifacts:/", Some("")),
            ("mlflow-artifacts:/.versions/ver-1", Some(".versions/ver-1")),
            ("mlflow-artifacts:/../x", None),
            ("mlflow-artifacts:////x", None),
            ("file:///etc", None),
            ("s3://bucket/x", None),
            ("/etc", None),
        ] {
            let path = ArtifactPath::of_uri(uri).ok();
            assert_eq!(path.as_ref().map(ArtifactPath::as_str), expected, "{uri}");
        }
    }

    #[test]
    fn limits() {
        let long = |n: usize| vec!["abcdefghi"; n].join("/");
        for (text, ok) in [
            ("x".repeat(255), true),
            ("x".repeat(256), false),
            (vec!["x"; 64].join("/"), true),
            (vec!["x"; 65].join("/"), false),
            ([long(10), "y".repeat(200), "z".repeat(200)].join("/"), true),
            (vec!["y".repeat(250); 4].join("/"), false),
        ] {
            let parsed = ArtifactPath::parse(&text);
            assert_eq!(parsed.is_ok(), ok, "{parsed:?}");
        }
        let error = ArtifactPath::parse(&"x".repeat(1_001)).unwrap_err();
        assert_eq!(error.to_string(), "the path is 1001 bytes long, at most 1000 are taken");
    }

    #[test]
    fn ancestors_and_frozen() {
        let path = ArtifactPath::parse("a/b/c").unwrap();
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["", "a", "a/b"]);
        assert_eq!((path.parent(), path.name()), (Some("a/b"), "c"));
        assert_eq!(ArtifactPath::root().ancestors().count(), 0);
        let frozen =
            |text| ArtifactPath::parse(text).unwrap().frozen().map(|(u, p)| (u.to_owned(), p.to_owned()));
        let pair = |u: &str, p: &str| Some((u.to_owned(), p.to_owned()));
        assert_eq!(frozen(".versions"), pair("", ""));
        assert_eq!(frozen(".versions/v"), pair("v", ""));
        assert_eq!(frozen(".versions/v/a/b"), pair("v", "a/b"));
        assert_eq!(frozen(".versionsx/v"), None);
        assert_eq!(frozen("a/.versions/v"), None);
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_inside(text in "[a./%2517e2c\\\\#: ~é]{0,24}") {
            if let Ok(path) = ArtifactPath::parse(&text) {
                let mut inside = std::path::PathBuf::from("/root");
                inside.extend(std::path::Path::new(path.as_str()).components());
                prop_assert!(inside.starts_with("/root"));
                prop_assert!(!path.as_str().split('/').any(|s| s == ".." || s == "."));
                let again = ArtifactPath::parse(path.as_str()).unwrap();
                prop_assert_eq!(again, path);
            }
        }

        #[test]
        fn encoding_does_not_matter(text in "[a-z]{1,8}(/[a-zA-Z0-9 ._é-]{1,8}x){0,5}") {
            let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            let path = ArtifactPath::parse(&encoded).unwrap();
            prop_assert_eq!(path.as_str(), text);
        }
    }
}
