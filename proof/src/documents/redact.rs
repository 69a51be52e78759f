//! Keeps credentials out of documents that get signed and served.

use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Writes a text without the passwords of its URLs.
pub(super) fn text<S: Serializer>(value: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&url_passwords(value))
}

/// Writes texts by name without the passwords of their URLs.
pub(super) fn texts<S: Serializer>(
    values: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let redacted = values.iter().map(|(name, value)| (name, url_passwords(value)));
    redacted.collect::<BTreeMap<_, _>>().serialize(serializer)
}

/// `text` without the `user:password@` of the URLs in it.
pub(super) fn url_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let authority = tail.find(['/', '?', '#', ' ', '\t', '"', '\'']).unwrap_or(tail.len());
        rest = match tail[..authority].rfind('@') {
            Some(end) => {
                out.push_str("***@");
                &tail[end + 1..]
            }
            None => tail,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::url_passwords;

    #[test]
    fn takes_out_user_and_password_only() {
        for (text, expected) in [
            ("https://u:p@h/x@y", "https://***@h/x@y"),
            (
                "a @ git+https://tok@en@h/x.git@v1 b https://u@h",
                "a @ git+https://***@h/x.git@v1 b https://***@h",
            ),
            ("https://h/simple", "https://h/simple"),
            ("://@", "://***@"),
            ("no url, u@h", "no url, u@h"),
        ] {
            assert_eq!(url_passwords(text), expected);
        }
    }
}
