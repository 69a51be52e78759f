//! Field names as protobuf's own JSON writer has them, `runName` for `run_name`. MLflow's server reads both,
//! but wants what it requires under the field's own name; here either will do.

use super::{Field, Kind, MlflowError};
use serde_json::{Map, Value};

/// Longer than any field's name.
const NAME_MAX: usize = 64;

/// Whether the body may name a field so. Few do, and those alone are read once more.
pub(super) fn may_name(fields: &[Field], body: &[u8]) -> bool {
    let mut begin = 0;
    memchr::memchr_iter(b'"', body).any(|quote| {
        let word = &body[std::mem::replace(&mut begin, quote + 1)..quote];
        word.len() <= NAME_MAX
            && word.first().is_some_and(u8::is_ascii_lowercase)
            && word.iter().any(u8::is_ascii_uppercase)
            && is_name(fields, word)
    })
}

/// Whether a field, also of a message inside, is named so.
fn is_name(fields: &[Field], word: &[u8]) -> bool {
    fields.iter().any(|field| {
        let inside = match field.kind {
            Kind::Message(fields) | Kind::Messages(fields) => is_name(fields, word),
            _ => false,
        };
        inside || (field.name.contains('_') && json_name(field.name).eq(word.iter().copied().map(char::from)))
    })
}

/// The object with its fields under their own names.
pub(super) fn renamed(
    fields: &[Field],
    object: Map<String, Value>,
) -> Result<Map<String, Value>, MlflowError> {
    let mut out = Map::new();
    for (name, value) in object {
        let field = fields.iter().find(|field| field.name == name || json_name(field.name).eq(name.chars()));
        let (name, value) = match field {
            Some(field) => (field.name.to_owned(), renamed_value(field.kind, value)?),
            None => (name, value),
        };
        if out.contains_key(&name) {
            return Err(MlflowError::invalid(format!(
                "The request has the field '{name}' twice, under two names."
            )));
        }
        out.insert(name, value);
    }
    Ok(out)
}

fn renamed_value(kind: Kind, value: Value) -> Result<Value, MlflowError> {
    Ok(match (kind, value) {
        (Kind::Message(fields), Value::Object(object)) => Value::Object(renamed(fields, object)?),
        (Kind::Messages(_), Value::Array(items)) => {
            let items = items.into_iter().map(|item| match (kind, item) {
                (Kind::Messages(fields), Value::Object(object)) => renamed(fields, object).map(Value::Object),
                (_, item) => Ok(item),
            });
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        (_, value) => value,
    })
}

/// `runId` of `run_id`, by protobuf's rule.
fn json_name(name: &str) -> impl Iterator<Item = char> + '_ {
    let mut upper = false;
    name.chars().filter_map(move |character| {
        if character == '_' {
            upper = true;
            return None;
        }
        Some(if std::mem::take(&mut upper) { character.to_ascii_uppercase() } else { character })
    })
}
