//! Where the content store lies: `--artifacts-url`.

use std::path::PathBuf;
use url::Url;

/// A parsed artifacts URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    /// `prefix` has no slash at either end; empty: the bucket's root.
    Bucket {
        bucket: String,
        prefix: String,
    },
}

/// A URL that names no place for content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("artifacts URL {url:?} is not understood: expected file:///DIR or s3://BUCKET[/PREFIX] ({detail})")]
pub struct InvalidLocation {
    pub url: String,
    pub detail: String,
}

impl Location {
    pub fn parse(text: &str) -> Result<Self, InvalidLocation> {
        let invalid =
            |detail: &str| InvalidLocation { url: crate::redact::url(text), detail: detail.to_owned() };
        let url = Url::parse(text).map_err(|e| invalid(&e.to_string()))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("no query or fragment is taken"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("credentials are taken from the AWS variables, not from the URL"));
        }
        match url.scheme() {
            "file" => url
                .to_file_path()
                .map(Self::Folder)
                .map_err(|()| invalid("the folder must be absolute, on this machine")),
            "s3" => {
                let bucket = url.host_str().filter(|b| !b.is_empty()).ok_or_else(|| invalid("no bucket"))?;
                let prefix = url.path().trim_matches('/');
                if prefix.split('/').any(|s| matches!(s, "." | "..") || (s.is_empty() && !prefix.is_empty()))
                {
                    return Err(invalid("the prefix has an empty, . or .. segment"));
                }
                Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            _ => Err(invalid("unknown scheme")),
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(dir) => write!(f, "{}", dir.display()),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let bucket = |b: &str, p: &str| Some(Location::Bucket { bucket: b.into(), prefix: p.into() });
        for (text, expected) in [
            ("file:///srv/models", Some(Location::Folder("/srv/models".into()))),
            ("file:///srv/a%20b/", Some(Location::Folder("/srv/a b/".into()))),
            ("s3://models", bucket("models", "")),
            ("s3://models/", bucket("models", "")),
            ("s3://models/team/a/", bucket("models", "team/a")),
            ("s3://", None),
            ("s3://key:secret@models", None),
            ("s3://models/a//b", None),
            ("s3://models?x=1", None),
            ("http://h/p", None),
            ("file://host/p", None),
            ("/srv/models", None),
            ("", None),
        ] {
            assert_eq!(Location::parse(text).ok(), expected, "{text}");
        }
        let error = Location::parse("gs://models").unwrap_err().to_string();
        assert_eq!(
            error,
            "artifacts URL \"gs://models\" is not understood: expected file:///DIR or s3://BUCKET[/PREFIX] (unknown scheme)"
        );
    }
}
