//! What imported texts may be. Values keep their length: cutting them would make another object
//! of it.

use super::ImportsError;
use crate::runs::{KeyValue, validate};
use std::collections::BTreeMap;

/// Longest id of a source's object, in bytes: it is part of a database index.
const ID_MAX_BYTES: usize = 1_200;
const FINGERPRINT_MAX_BYTES: usize = 200;

/// An id or a fingerprint.
pub fn id(field: &'static str, text: &str) -> Result<(), ImportsError> {
    if text.is_empty() || text.len() > ID_MAX_BYTES {
        let detail = format!("it has {} bytes; expected 1 to {ID_MAX_BYTES}", text.len());
        return Err(ImportsError::invalid(field, detail));
    }
    self::text(field, text)
}

pub fn fingerprint(text: &str) -> Result<(), ImportsError> {
    if text.is_empty() || text.len() > FINGERPRINT_MAX_BYTES {
        let detail = format!("it has {} bytes; expected 1 to {FINGERPRINT_MAX_BYTES}", text.len());
        return Err(ImportsError::invalid("fingerprint", detail));
    }
    self::text("fingerprint", text)
}

/// PostgreSQL's TEXT cannot hold NUL.
pub fn text(field: &'static str, text: &str) -> Result<(), ImportsError> {
    if text.contains('\0') {
        return Err(ImportsError::invalid(field, "it contains a NUL character"));
    }
    Ok(())
}

/// A text of at most `max` characters.
pub fn short(field: &'static str, text: &str, max: usize) -> Result<(), ImportsError> {
    validate::length(field, text, max)?;
    self::text(field, text)
}

/// Params of runs, by MLflow's rules for names.
pub fn named_pairs(field: &'static str, pairs: &BTreeMap<String, String>) -> Result<(), ImportsError> {
    pairs.keys().try_for_each(|key| validate::name(field, key))?;
    self::pairs(field, pairs)
}

/// Tags, or params of logged models. MLflow's rules for names are not those of everything that it stores.
pub fn pairs(field: &'static str, pairs: &BTreeMap<String, String>) -> Result<(), ImportsError> {
    for (key, value) in pairs {
        short(field, key, validate::UNNAMED_KEY_MAX)?;
        short(field, value, validate::UNNAMED_VALUE_MAX)?;
    }
    Ok(())
}

pub fn key_values(pairs: &BTreeMap<String, String>) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() }).collect()
}

/// A time of the source; before 1970 there was none.
pub fn time(field: &'static str, epoch_ms: i64) -> Result<(), ImportsError> {
    if epoch_ms < 0 {
        return Err(ImportsError::invalid(
            field,
            format!("it is {epoch_ms}; expected milliseconds since 1970"),
        ));
    }
    Ok(())
}
