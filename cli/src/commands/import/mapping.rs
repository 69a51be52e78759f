//! Where artifacts are at the source, and where they go.
//!
//! Paths that the old server served through itself (`mlflow-artifacts:/…`) stay what they are. What
//! lay elsewhere goes below the experiment's id, as it would in a server of that kind.

use std::collections::BTreeMap;

/// Experiments whose artifacts lay elsewhere: their location there, and the directory here.
#[derive(Debug, Default)]
pub struct Mapping {
    directories: BTreeMap<String, String>,
}

/// The path of `mlflow-artifacts:/<path>`, with or without a host; `None` for other URIs and for
/// paths that are no plain ones.
pub fn proxied(uri: &str) -> Option<String> {
    let rest = uri.strip_prefix("mlflow-artifacts:")?;
    let path = match rest.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
        None => rest.strip_prefix('/').unwrap_or(rest),
    };
    plain(path.trim_matches('/'))
}

/// The path of a URI, if it means itself on every system: it may come from a server that is not trusted.
pub fn plain(path: &str) -> Option<String> {
    (path.is_empty() || (is_plain(path) && !path.contains(['?', '%', ';']))).then(|| path.to_owned())
}

fn is_plain(path: &str) -> bool {
    let odd = |c: char| c.is_control() || matches!(c, '\\' | '#');
    path.split('/').all(|segment| !matches!(segment, "" | "." | "..")) && !path.contains(odd)
}

/// The path of a file in a listing, if it means itself here. A `%` may stand in it where it does
/// not begin an encoded character, which the registry would take for what it stands for.
pub fn plain_file(path: &str) -> Option<String> {
    let encodes = |(at, _): (usize, &str)| {
        let next = path.as_bytes().get(at + 1..at + 3);
        next.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let encoded = path.match_indices('%').any(encodes);
    (!encoded && is_plain(path)).then(|| path.to_owned())
}

impl Mapping {
    /// Has what lies below `location` go below `directory`.
    pub fn add(&mut self, location: &str, directory: &str) {
        self.directories.insert(trimmed(location).to_owned(), directory.to_owned());
    }

    /// The path here of an artifact URI there; `None` where it stays where it is.
    pub fn target(&self, uri: &str) -> Option<String> {
        if uri.starts_with("mlflow-artifacts:") {
            return proxied(uri);
        }
        let uri = trimmed(uri);
        // The longest location that holds the URI stands last among those that begin alike.
        let (location, directory) =
            self.directories.iter().rev().find(|(location, _)| below(uri, location).is_some())?;
        let rest = below(uri, location)?;
        if rest.is_empty() { Some(directory.clone()) } else { plain(&format!("{directory}/{rest}")) }
    }
}

fn trimmed(uri: &str) -> &str {
    uri.trim_end_matches('/')
}

/// What follows `location` in `uri`, when it lies in it.
pub fn below<'u>(uri: &'u str, location: &str) -> Option<&'u str> {
    let rest = uri.strip_prefix(trimmed(location))?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_old_server_stay() {
        let mapping = Mapping::default();
        for (uri, expected) in [
            ("mlflow-artifacts:/1/r/artifacts", Some("1/r/artifacts")),
            ("mlflow-artifacts://old:5000/1/r/artifacts/model", Some("1/r/artifacts/model")),
            ("mlflow-artifacts:/1/../../etc", None),
            ("mlflow-artifacts:/1/%2e%2e/etc", None),
            ("mlflow-artifacts:/a\\b", None),
            ("s3://bucket/1/r/artifacts", None),
        ] {
            assert_eq!(mapping.target(uri).as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn names_of_files_may_be_anything_that_means_itself() {
        for good in
            ["é.txt", "a b.txt", "a%b.txt", "100%", "%/41", "%%", "q?.txt", "a;b", "日本/ü~[x].txt", "a%2"]
        {
            assert_eq!(plain_file(good).as_deref(), Some(good), "{good}");
        }
        for bad in ["", "a%20b.txt", "%2e%2e/x", "%%41", "../x", "a//b", "a\\b", "a#b", "a\nb", "/a"] {
            assert_eq!(plain_file(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_lay_elsewhere_goes_below_its_experiment() {
        let mut mapping = Mapping::default();
        mapping.add("s3://b/mlruns/1", "1");
        mapping.add("s3://b/mlruns/12/", "12");
        mapping.add("/srv/mlruns/3", "3");
        for (uri, expected) in [
            ("s3://b/mlruns/1/r/artifacts/model", Some("1/r/artifacts/model")),
            ("s3://b/mlruns/12/r/artifacts", Some("12/r/artifacts")),
            ("s3://b/mlruns/1", Some("1")),
            ("s3://b/mlruns/123/r", None),
            ("/srv/mlruns/3/r/../../x", None),
            ("/srv/mlruns/3/r/artifacts/", Some("3/r/artifacts")),
        ] {
            assert_eq!(mapping.target(uri).as_deref(), expected, "{uri}");
        }
    }
}
