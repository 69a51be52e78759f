//! MLflow's limits of traces (mlflow/utils/validation.py, mlflow/store/tracking/dbmodels/models.py).
//! Lengths are in characters.

use super::{Pairs, TracesError, metadata_key, tag_key};
use crate::runs::{KeyValue, validate};

const TRACE_ID_MAX: usize = 50;
pub const KEY_MAX: usize = 250;
const VALUE_MAX: usize = 8000;
const NAME_MAX: usize = 4096;
const SESSION_MAX: usize = 250;
const CLIENT_REQUEST_ID_MAX: usize = 250;
/// MLflow's clients cut at 1,000; one that means to show more may.
const PREVIEW_MAX: usize = 10_000;
/// Pairs of one trace that a request may bring.
const PAIRS_MAX: usize = 1000;
pub const ASSESSMENT_NAME_MAX: usize = 250;
pub const SOURCE_ID_MAX: usize = 250;
/// MLflow's column holds a sixteenth of it on MySQL, and any text elsewhere: judges write long.
pub const RATIONALE_MAX: usize = 1 << 20;
pub const VALUE_JSON_MAX: usize = 1 << 20;
pub const MODEL_MAX: usize = 500;

pub fn trace_id(text: &str) -> Result<(), TracesError> {
    validate::length("trace_id", text, TRACE_ID_MAX)?;
    if text.is_empty() || text.contains(|c: char| c.is_control() || c == '/') {
        let shown = serde_json::Value::from(text.chars().take(100).collect::<String>());
        return Err(TracesError::Invalid(format!(
            "Invalid value {shown} for parameter 'trace_id' supplied."
        )));
    }
    Ok(())
}

pub fn client_request_id(text: &str) -> Result<(), TracesError> {
    Ok(validate::length("client_request_id", text, CLIENT_REQUEST_ID_MAX)?)
}

/// Cuts a preview to what is kept.
pub fn preview(text: &mut Option<String>) {
    if let Some(text) = text {
        validate::truncate(text, PREVIEW_MAX);
    }
}

/// Checks the tags of a summary; long values are cut to what is kept.
pub fn tags(tags: &mut Pairs) -> Result<(), TracesError> {
    if let Some(name) = tags.get(tag_key::NAME) {
        validate::length("Trace name", name, NAME_MAX)?;
    }
    pairs("tags", tags)
}

/// Checks the metadata of a summary; long values are cut to what is kept.
pub fn metadata(metadata: &mut Pairs) -> Result<(), TracesError> {
    if let Some(session) = metadata.get(metadata_key::SESSION) {
        validate::length("Session ID", session, SESSION_MAX)?;
    }
    pairs("trace_metadata", metadata)
}

fn pairs(what: &str, pairs: &mut Pairs) -> Result<(), TracesError> {
    if pairs.len() > PAIRS_MAX {
        let text = format!("A trace can have at most {PAIRS_MAX} {what}. Got {}.", pairs.len());
        return Err(TracesError::Invalid(text));
    }
    for (key, value) in pairs {
        validate::length(&format!("{what} key"), key, KEY_MAX)?;
        validate::truncate(value, VALUE_MAX);
    }
    Ok(())
}

/// Checks one tag that is set by itself.
pub fn tag(tag: &mut KeyValue) -> Result<(), TracesError> {
    validate::name("key", &tag.key)?;
    validate::length("key", &tag.key, KEY_MAX)?;
    if tag.key == tag_key::NAME {
        validate::length("Trace name", &tag.value, NAME_MAX)?;
    }
    validate::truncate(&mut tag.value, VALUE_MAX);
    Ok(())
}

/// A session that spans name; too long a one is none.
pub fn session(text: String) -> Option<String> {
    (text.chars().count() <= SESSION_MAX).then_some(text)
}
