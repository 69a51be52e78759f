//! MLflow's limits (mlflow/utils/validation.py). Lengths are in characters.

use super::{
    error::RunsError,
    types::{DatasetInput, KeyValue, LoggedMetric},
};

pub const KEY_MAX: usize = 250;
/// Of keys that need not be names (`SqlLoggedModelTag.tag_key`).
pub const UNNAMED_KEY_MAX: usize = 255;
/// Of values that MLflow keeps whole: its columns have no limit, or one that SQLite does not hold to. The
/// longest text that it has room for elsewhere (`SqlDataset.dataset_profile`).
pub const UNNAMED_VALUE_MAX: usize = DATASET_PROFILE_MAX;
pub const PARAM_VALUE_MAX: usize = 6000;
pub const TAG_VALUE_MAX: usize = 8000;
pub const EXPERIMENT_NAME_MAX: usize = 500;
pub const EXPERIMENT_TAG_VALUE_MAX: usize = 20_000;
pub const BATCH_METRICS_MAX: usize = 1000;
pub const BATCH_PARAMS_TAGS_MAX: usize = 100;
pub const BATCH_ENTITIES_MAX: usize = 1000;
const DATASET_NAME_MAX: usize = 500;
const DATASET_DIGEST_MAX: usize = 36;
const DATASET_SOURCE_TYPE_MAX: usize = 36;
const DATASET_SOURCE_MAX: usize = 65_535;
const DATASET_SCHEMA_MAX: usize = 1_048_575;
const DATASET_PROFILE_MAX: usize = 16_777_215;
const INPUT_TAG_KEY_MAX: usize = 255;
const INPUT_TAG_VALUE_MAX: usize = 500;
const USER_ID_MAX: usize = 256;
/// MLflow makes them of 34 characters and has no limit where it takes one.
const MODEL_ID_MAX: usize = 256;
/// MLflow has no limit here; a run reads a handful of datasets, not thousands.
const INPUTS_MAX: usize = 1000;

fn invalid(text: String) -> RunsError {
    RunsError::Invalid(text)
}

fn chars(text: &str) -> usize {
    // Counting is only needed where the bytes could exceed a limit.
    if text.len() <= KEY_MAX { text.len() } else { text.chars().count() }
}

fn too_long(what: &str, limit: usize) -> RunsError {
    invalid(format!("'{what}' exceeds the maximum length of {limit} characters"))
}

pub fn length(what: &str, text: &str, limit: usize) -> Result<(), RunsError> {
    if text.len() > limit && chars(text) > limit { Err(too_long(what, limit)) } else { Ok(()) }
}

/// MLflow cuts long parameter and tag values instead of refusing them.
pub fn truncate(text: &mut String, limit: usize) {
    if text.len() > limit
        && let Some((end, _)) = text.char_indices().nth(limit)
    {
        text.truncate(end);
    }
}

/// Metric, parameter and tag names: they may become file names.
pub fn name(path: &str, name: &str) -> Result<(), RunsError> {
    let refuse = |why: String| {
        let shown = serde_json::Value::from(name.chars().take(500).collect::<String>());
        invalid(format!("Invalid value {shown} for parameter '{path}' supplied: {why}"))
    };
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | ' ' | ':');
    if !name.chars().all(fine) {
        return Err(refuse(
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), \
             spaces ( ), colon(:) and slashes (/)."
                .to_owned(),
        ));
    }
    let normal = normalize(name);
    if normal != name || normal == "." || normal.starts_with("..") || normal.starts_with('/') {
        return Err(refuse(format!(
            "Names may be treated as files in certain cases, and must not resolve to other names \
             when treated as such. This name would resolve to '{normal}'"
        )));
    }
    Ok(())
}

/// What the name would be as a path, without looking at any file system (POSIX `normpath`).
fn normalize(name: &str) -> String {
    let absolute = name.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    // POSIX leaves two leading slashes alone, and folds three.
    let root = if name.starts_with("//") && !name.starts_with("///") { "//" } else { "/" };
    match (absolute, joined.is_empty()) {
        (true, _) => format!("{root}{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

pub fn run_id(run_id: &str) -> Result<(), RunsError> {
    let mut rest = run_id.chars();
    let first = rest.next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && rest.clone().count() < 256 && rest.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
        return Ok(());
    }
    let shown = serde_json::Value::from(run_id.chars().take(300).collect::<String>());
    Err(invalid(format!("Invalid value {shown} for parameter 'run_id' supplied.")))
}

pub fn user_id(user_id: &str) -> Result<(), RunsError> {
    length("user_id", user_id, USER_ID_MAX)
}

/// Ids of models that a run names; they need not be known.
pub fn model_ids<'m>(ids: impl ExactSizeIterator<Item = &'m str>) -> Result<(), RunsError> {
    if ids.len() > INPUTS_MAX {
        return Err(invalid(format!(
            "A request can contain at most {INPUTS_MAX} models. Got {}.",
            ids.len()
        )));
    }
    for (i, id) in ids.enumerate() {
        length(&format!("models[{i}].model_id"), id, MODEL_ID_MAX)?;
    }
    Ok(())
}

pub fn experiment_name(name: &str) -> Result<(), RunsError> {
    if name.is_empty() {
        return Err(invalid("Invalid experiment name: ''".to_owned()));
    }
    length("name", name, EXPERIMENT_NAME_MAX)
}

pub fn experiment_tag(tag: &KeyValue) -> Result<(), RunsError> {
    name("key", &tag.key)?;
    length("key", &tag.key, KEY_MAX)?;
    length("value", &tag.value, EXPERIMENT_TAG_VALUE_MAX)
}

/// Checks a run's tag and cuts its value to what is kept.
pub fn tag(tag: &mut KeyValue, path: &str) -> Result<(), RunsError> {
    let key = join(path, "key");
    name(&key, &tag.key)?;
    length(&key, &tag.key, KEY_MAX)?;
    truncate(&mut tag.value, TAG_VALUE_MAX);
    Ok(())
}

/// Checks the tags that a run is made with.
pub fn tags_of_new(tags: &[KeyValue]) -> Result<(), RunsError> {
    if tags.len() > BATCH_ENTITIES_MAX {
        return Err(invalid(format!(
            "A run can be created with at most {BATCH_ENTITIES_MAX} tags. Got {}.",
            tags.len()
        )));
    }
    tags.iter().enumerate().try_for_each(|(i, tag)| unnamed_pair(tag, &format!("tags[{i}]")))
}

/// Checks a pair that MLflow on SQLite keeps as it comes: a tag that a run is made with, what a logged model
/// has.
pub fn unnamed_pair(pair: &KeyValue, path: &str) -> Result<(), RunsError> {
    length(&join(path, "key"), &pair.key, UNNAMED_KEY_MAX)?;
    length(&join(path, "value"), &pair.value, UNNAMED_VALUE_MAX)
}

/// Checks a run's parameter and cuts its value to what is kept.
pub fn param(param: &mut KeyValue, path: &str) -> Result<(), RunsError> {
    param_key(param, path)?;
    truncate(&mut param.value, PARAM_VALUE_MAX);
    Ok(())
}

/// Checks a parameter's key.
pub fn param_key(param: &KeyValue, path: &str) -> Result<(), RunsError> {
    name(&join(path, "key"), &param.key)?;
    length("Param key", &param.key, KEY_MAX)
}

pub fn metric(logged: &LoggedMetric, path: &str) -> Result<(), RunsError> {
    let metric = &logged.metric;
    name(&join(path, "name"), &metric.key)?;
    if metric.timestamp_ms < 0 {
        return Err(invalid(format!(
            "Invalid value {} for parameter '{}' supplied: metric '{}' (value={:?}). Timestamp must \
             be a nonnegative long (64-bit integer) ",
            metric.timestamp_ms,
            join(path, "timestamp"),
            metric.key,
            metric.value
        )));
    }
    length("Metric name", &metric.key, KEY_MAX)?;
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if given(&logged.dataset_name) != given(&logged.dataset_digest) {
        return Err(invalid(
            "Both dataset_name and dataset_digest must be provided if one is provided".to_owned(),
        ));
    }
    length("dataset_name", logged.dataset_name.as_deref().unwrap_or_default(), DATASET_NAME_MAX)?;
    length("dataset_digest", logged.dataset_digest.as_deref().unwrap_or_default(), DATASET_DIGEST_MAX)
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// The limits of one log-batch request.
pub fn batch(metrics: usize, params: usize, tags: usize) -> Result<(), RunsError> {
    for (what, limit, count) in [
        ("metrics", BATCH_METRICS_MAX, metrics),
        ("params", BATCH_PARAMS_TAGS_MAX, params),
        ("tags", BATCH_PARAMS_TAGS_MAX, tags),
        ("metrics, params, and tags", BATCH_ENTITIES_MAX, metrics + params + tags),
    ] {
        if count > limit {
            return Err(invalid(format!(
                "A batch logging request can contain at most {limit} {what}. Got {count} {what}. \
                 Please split up {what} across multiple requests and try again."
            )));
        }
    }
    Ok(())
}

/// One value per parameter in one request.
pub fn unique_params(params: &[KeyValue]) -> Result<(), RunsError> {
    let mut seen = std::collections::HashSet::new();
    let twice: Vec<&str> = params.iter().map(|p| p.key.as_str()).filter(|key| !seen.insert(*key)).collect();
    if twice.is_empty() {
        return Ok(());
    }
    let list = twice.iter().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(", ");
    Err(invalid(format!(
        "Duplicate parameter keys have been submitted: [{list}]. Please ensure the request \
         contains only one param value per param key."
    )))
}

pub fn dataset_inputs(inputs: &[DatasetInput]) -> Result<(), RunsError> {
    if inputs.len() > INPUTS_MAX {
        return Err(invalid(format!(
            "A request can contain at most {INPUTS_MAX} datasets. Got {}.",
            inputs.len()
        )));
    }
    for DatasetInput { dataset, tags } in inputs {
        length("name", &dataset.name, DATASET_NAME_MAX)?;
        length("digest", &dataset.digest, DATASET_DIGEST_MAX)?;
        length("source_type", &dataset.source_type, DATASET_SOURCE_TYPE_MAX)?;
        length("source", &dataset.source, DATASET_SOURCE_MAX)?;
        length("schema", dataset.schema.as_deref().unwrap_or_default(), DATASET_SCHEMA_MAX)?;
        length("profile", dataset.profile.as_deref().unwrap_or_default(), DATASET_PROFILE_MAX)?;
        for tag in tags {
            length("key", &tag.key, INPUT_TAG_KEY_MAX)?;
            length("value", &tag.value, INPUT_TAG_VALUE_MAX)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_would_be_another_file_are_refused() {
        for good in ["a", "a/b", "train loss", "a:b", "ünï", "", "a..b", "...", "-"] {
            // MLflow takes "" for absent before it gets here; `normpath('')` is `.`.
            assert_eq!(name("key", good).is_ok(), !matches!(good, "" | "..."), "{good:?}");
        }
        for bad in [
            ".", "..", "/a", "//a", "a/", "a//b", "./a", "../a", "a/../b", "a\nb", "a%b", "a#b", "a\\b",
            "a\0b",
        ] {
            assert!(name("key", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn normal_forms_are_posix() {
        for (input, expected) in [
            ("a/./b", "a/b"),
            ("a/../../b", "../b"),
            ("/../a", "/a"),
            ("//a", "//a"),
            ("///a", "/a"),
            ("../..", "../.."),
            ("", "."),
        ] {
            assert_eq!(normalize(input), expected, "{input}");
        }
    }

    proptest! {
        #[test]
        fn accepted_names_stay_inside(text in "[a-z./ :-]{0,20}") {
            if name("key", &text).is_ok() {
                prop_assert!(!text.starts_with('/') && !text.split('/').any(|part| part == ".."));
            }
        }

        #[test]
        fn truncation_counts_characters(text in "\\PC{0,40}", limit in 0_usize..30) {
            let mut cut = text.clone();
            truncate(&mut cut, limit);
            prop_assert!(text.starts_with(&cut));
            prop_assert_eq!(cut.chars().count(), text.chars().count().min(limit));
        }
    }
}
