//! Entity tags.

/// Whether an `If-None-Match` names `etag`, compared weakly (RFC 9110, section 13.1.2).
pub fn names_etag(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags() {
        let etag = "\"sha256:ab\"";
        for (tags, listed) in [
            ("\"sha256:ab\"", true),
            ("W/\"sha256:ab\"", true),
            ("\"x\", \"sha256:ab\"", true),
            ("*", true),
            ("\"sha256:abc\"", false),
            ("sha256:ab", false),
            ("", false),
        ] {
            assert_eq!(names_etag(tags, etag), listed, "{tags}");
        }
    }
}
