//! Which relative paths a model may contain.

/// Longest path in bytes; leaves room for a store's or cache's own prefix below Linux's `PATH_MAX`.
pub const MAX_PATH_BYTES: usize = 2048;
/// Longest segment in bytes: the limit of ext4, XFS, APFS and NTFS.
pub const MAX_SEGMENT_BYTES: usize = 255;

/// Names at a model's root that OMS verifiers ignore, so that a change there would go unseen
/// (model-signing-spec 1.0, default `ignore_paths`).
pub const UNSIGNED_NAMES: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// A path that is not one of a model's files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?} {reason}; expected a relative path such as \"data/model.pkl\"")]
pub struct InvalidPath {
    /// The path as it was given, cut to 200 characters.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Checks that `path` names a file inside a model on every system that may hold it, also after
/// somebody has percent-decoded it once more.
pub fn check(path: &str) -> Result<(), InvalidPath> {
    let mut decoded = path.to_owned();
    loop {
        check_once(&decoded)
            .map_err(|reason| InvalidPath { path: path.chars().take(200).collect(), reason })?;
        // Every pass shortens the text, so this ends.
        match percent_decode(&decoded) {
            Some(next) => decoded = next,
            None => return Ok(()),
        }
    }
}

fn check_once(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("is empty");
    }
    if path.len() > MAX_PATH_BYTES {
        return Err("is longer than 2048 bytes");
    }
    if path.starts_with('/') {
        return Err("is absolute");
    }
    if path.as_bytes()[0].is_ascii_alphabetic() && path.as_bytes().get(1) == Some(&b':') {
        return Err("begins with a drive letter");
    }
    for character in path.chars() {
        match character {
            '\\' => return Err("contains a backslash"),
            '#' => return Err("contains `#`, which ends the path of a URI"),
            c if c.is_control() => return Err("contains a control character"),
            _ => {}
        }
    }
    for segment in path.split('/') {
        match segment {
            "" => return Err("has an empty segment"),
            "." | ".." => return Err("has a `.` or `..` segment"),
            s if s.len() > MAX_SEGMENT_BYTES => return Err("has a segment longer than 255 bytes"),
            _ => {}
        }
    }
    if path.split('/').next().is_some_and(|first| UNSIGNED_NAMES.contains(&first)) {
        return Err(
            "lies in a place that model signatures leave out (.git, .gitattributes, .github, .gitignore)",
        );
    }
    Ok(())
}

/// One pass of percent-decoding; `None` when nothing changes or the result is not text.
fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let decoded = (bytes[at] == b'%')
            .then(|| Some(hex_digit(*bytes.get(at + 1)?)? << 4 | hex_digit(*bytes.get(at + 2)?)?))
            .flatten();
        out.push(decoded.unwrap_or(bytes[at]));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    if out.len() == bytes.len() {
        return None;
    }
    // Bytes that are not UTF-8 still must not hide a dot or slash from the checks.
    Some(String::from_utf8_lossy(&out).replace('\u{fffd}', "?"))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::{MAX_SEGMENT_BYTES, check};
    use proptest::prelude::*;

    #[test]
    fn accepts_the_files_of_real_models() {
        for path in [
            "MLmodel",
            "code/util/__init__.py",
            "data/model.pkl",
            "a b.txt",
            "100%.txt",
            "%zz",
            "über/ß.bin",
            ".hidden",
            "x/.git/config",
            "a..b",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn refuses_every_way_out() {
        let long = "a".repeat(MAX_SEGMENT_BYTES + 1);
        for path in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../x",
            "a/..",
            ".",
            "./a",
            "a//b",
            "a/",
            "%2e%2e%2fx",
            "%2E%2e/x",
            "%252e%252e%252fx",
            "%2fetc",
            "C:\\x",
            "C:x",
            "c:/x",
            "\\\\h\\s",
            "a\\b",
            "%5cx",
            "a#b",
            "a%23b",
            "a\0b",
            "a%00b",
            "a\nb",
            "a\u{7f}b",
            "a\u{85}b",
            ".git",
            ".git/config",
            "%2egit/config",
            ".gitignore",
            ".gitattributes",
            ".github/x",
            "%ff/%2e%2e/x",
            &long,
            &"a/".repeat(2000),
        ] {
            let error = check(path).expect_err(path).to_string();
            assert!(error.contains("expected a relative path"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn never_lets_a_path_leave_its_root(path in "([a-c./%\\\\:2eEfF5#]|\\PC){0,40}") {
            if check(&path).is_ok() {
                let root = std::path::Path::new("/root/model");
                let joined = root.join(&path);
                prop_assert!(joined.starts_with(root));
                prop_assert!(joined.components().all(|c| matches!(c, std::path::Component::Normal(_) | std::path::Component::RootDir)));
                prop_assert_eq!(joined.strip_prefix(root).unwrap().to_str().unwrap(), path);
            }
        }

        #[test]
        fn is_total(path in any::<String>()) {
            let _ = check(&path);
        }
    }
}
