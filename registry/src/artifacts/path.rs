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
        Self::decode(text, str::to_owned)
    }

    /// [`ArtifactPath::parse`] for a directory that is listed, as notebooks also write it: `.`, `./model`,
    /// `a//b`. `.` is the directory itself, and of several `/` one counts; a first one still makes the path absolute.
    pub fn parse_listed(text: &str) -> Result<Self, ArtifactError> {
        Self::decode(text, |text| {
            if text.starts_with('/') {
                return text.to_owned();
            }
            let names: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
            names.join("/")
        })
    }

    /// Undoes percent-encoding, and checks what `spell` makes of the text.
    fn decode(text: &str, spell: impl Fn(&str) -> String) -> Result<Self, ArtifactError> {
        let mut text = text.to_owned();
        for _ in 0..DECODE_ROUNDS_MAX {
            if percent_decode_str(&text).any(is_odd_control) && !text.bytes().any(is_odd_control) {
                check_decoded(&text)?;
                return Self::check(without_slash(&text));
            }
            let decoded =
                percent_decode_str(&text).decode_utf8().map_err(|_| ArtifactError::UnsafePath)?.into_owned();
            if decoded == text {
                return Self::check(without_slash(&spell(&text)));
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
mod tests;
