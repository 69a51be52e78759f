//! Where artifacts go: what a client may ask for, and paths below it.

use super::error::RunsError;
use percent_encoding::percent_decode_str;
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const LOCATION_MAX_CHARS: usize = 2048;
/// Storage that MLflow's clients reach themselves, and local paths. Web addresses are not storage:
/// `http(s)` would let a caller point a server at any host.
const SCHEMES: [&str; 15] = [
    "mlflow-artifacts",
    "file",
    "s3",
    "r2",
    "b2",
    "gs",
    "wasb",
    "wasbs",
    "abfs",
    "abfss",
    "hdfs",
    "viewfs",
    "dbfs",
    "ftp",
    "sftp",
];

/// Checks the artifact location of a new experiment. A relative local path is taken from `cwd`.
pub fn check(location: &str, cwd: &Path) -> Result<String, RunsError> {
    let refuse = |why: String| Err(RunsError::Invalid(why));
    if location.chars().count() > LOCATION_MAX_CHARS {
        return refuse(format!(
            "Invalid artifact path length. The length of the artifact path cannot be greater than \
             {LOCATION_MAX_CHARS} characters."
        ));
    }
    if location.contains('#') || location.contains(';') {
        return refuse("'artifact_location' URL can't include fragments or params.".to_owned());
    }
    let Some((rest, query)) = decode_fully(location).map(split_query) else {
        return refuse(format!("Invalid artifact location '{location}': it is percent-encoded too often."));
    };
    if query.contains("..") {
        return refuse("Invalid query string".to_owned());
    }
    if rest.chars().any(char::is_control) || rest.contains('#') {
        return refuse(format!(
            "Invalid artifact location '{location}': control characters and '#' are refused."
        ));
    }
    if rest.split(['/', '\\']).any(|part| part == "..") {
        return refuse(format!("Invalid artifact location '{location}': '..' is refused."));
    }
    match scheme(location) {
        Some("runs") => refuse(format!("Artifact location cannot be a runs:/ URI. Given: '{location}'")),
        Some(scheme) if SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) => Ok(location.to_owned()),
        Some(scheme) => refuse(format!(
            "Invalid artifact location '{location}': scheme '{scheme}' is not one of {}.",
            SCHEMES.join(", ")
        )),
        None => Ok(cwd.join(location).to_string_lossy().into_owned()),
    }
}

/// Checks where artifacts stay that were not brought over: anywhere, where nothing here reads them.
pub fn check_kept(location: &str) -> Result<String, RunsError> {
    const READ_HERE: [&str; 5] = ["mlflow-artifacts", "file", "runs", "http", "https"];
    let elsewhere =
        scheme(location).is_some_and(|scheme| !READ_HERE.contains(&scheme.to_ascii_lowercase().as_str()));
    if !elsewhere || location.len() > LOCATION_MAX_CHARS || location.contains(char::is_control) {
        return check(location, Path::new("/"));
    }
    Ok(location.to_owned())
}

/// `scheme` of `scheme:…`; a path that only contains a colon later has none.
fn scheme(location: &str) -> Option<&str> {
    let (scheme, _) = location.split_once(':')?;
    let mut chars = scheme.chars();
    let valid = chars.next()?.is_ascii_alphabetic()
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    valid.then_some(scheme)
}

fn decode_fully(text: &str) -> Option<String> {
    let mut current = text.to_owned();
    for _ in 0..10 {
        let next = percent_decode_str(&current).decode_utf8_lossy().into_owned();
        if next == current {
            return Some(current);
        }
        current = next;
    }
    None
}

fn split_query(decoded: String) -> (String, String) {
    match decoded.split_once('?') {
        Some((path, query)) => (path.to_owned(), query.to_owned()),
        None => (decoded, String::new()),
    }
}

/// `location` with `path` below it; a query stays at the end.
pub fn append(location: &str, path: &str) -> String {
    let (base, query) = match location.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (location, None),
    };
    let base = base.strip_suffix('/').unwrap_or(base);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{base}/{path}{query}")
}

/// Artifacts of a new experiment that asked for no place: through this server, or below `root`.
pub fn of_experiment(root: Option<&str>, experiment_id: i64) -> String {
    append(root.unwrap_or("mlflow-artifacts:/"), &experiment_id.to_string())
}

pub fn of_run(experiment_location: &str, run_id: &str) -> String {
    append(experiment_location, &format!("{run_id}/artifacts"))
}

pub fn of_logged_model(experiment_location: &str, model_id: &str) -> String {
    append(experiment_location, &format!("models/{model_id}/artifacts"))
}

/// Artifact locations of experiments that runs were made in, so that the next one is made without reading it
/// first. The statement that makes it compares: an import may have moved the experiment.
#[derive(Debug, Default)]
pub struct KnownLocations(Mutex<HashMap<i64, Arc<str>>>);

impl KnownLocations {
    /// 100 KB of ordinary ones; an own root may be long.
    const MAX: usize = 1000;

    pub fn get(&self, experiment_id: i64) -> Option<Arc<str>> {
        self.lock().get(&experiment_id).cloned()
    }

    pub fn remember(&self, experiment_id: i64, location: &str) {
        let mut known = self.lock();
        if known.len() >= Self::MAX {
            known.clear();
        }
        known.insert(experiment_id, location.into());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_that_reach_elsewhere_are_refused() {
        for bad in [
            "http://h/a?/../../etc",
            "https://h/a",
            "mlflow-artifacts:/1#/../x",
            "mlflow-artifacts:/1;/..",
            "s3://b/../x",
            "s3://b/%2e%2e/x",
            "s3://b/%252e%252e/x",
            "s3://b/x?p=..",
            "s3://b/x?p=%2e%2e",
            "runs:/abc/model",
            "C:\\x",
            "javascript:alert(1)",
            "a\nb",
            "a%00b",
        ] {
            assert!(check(bad, Path::new("/srv")).is_err(), "{bad}");
        }
        for (good, expected) in [
            ("s3://bucket/p", "s3://bucket/p"),
            ("file:///data/x", "file:///data/x"),
            ("mlflow-artifacts:/x", "mlflow-artifacts:/x"),
            ("abfss://c@a.dfs/x?sv=1", "abfss://c@a.dfs/x?sv=1"),
            ("/data/x", "/data/x"),
            ("rel/x", "/srv/rel/x"),
        ] {
            assert_eq!(check(good, Path::new("/srv")).unwrap(), expected);
        }
    }

    #[test]
    fn paths_go_below_locations() {
        for (location, expected) in [
            ("mlflow-artifacts:/", "mlflow-artifacts:/7"),
            ("s3://b/p?x=1", "s3://b/p/7?x=1"),
            ("s3://b", "s3://b/7"),
            ("/data/", "/data/7"),
        ] {
            assert_eq!(append(location, "7"), expected);
        }
    }
}
