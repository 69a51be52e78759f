//! Bodies in which a number is `NaN`, `Infinity` or `-Infinity`: no JSON, but what Python's `json.dumps`
//! writes and MLflow's server reads.

use super::{Field, Kind, Message, MlflowError, schema};
use crate::python_json;
use serde_json::{Map, Value};

/// The body's object, those words as texts, which fields for doubles take. `None`: it is no such body.
pub(super) fn object<T: Message>(body: &[u8]) -> Option<Result<Map<String, Value>, MlflowError>> {
    let marked = python_json::marked(std::str::from_utf8(body).ok()?)?;
    let object = serde_json::from_str::<Map<String, Value>>(&marked).ok()?;
    // A word where a name should be.
    object.keys().all(|name| name.starts_with('s')).then(|| unmarked("", T::FIELDS, object))
}

fn unmarked(
    path: &str,
    fields: &[Field],
    object: Map<String, Value>,
) -> Result<Map<String, Value>, MlflowError> {
    let entry = |(name, value): (String, Value)| {
        let name = name.strip_prefix('s').unwrap_or(&name);
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let kind = fields.iter().find(|field| field.name == name).map(|field| field.kind);
        Ok((name.to_owned(), unmarked_value(&path, kind, value)?))
    };
    object.into_iter().map(entry).collect()
}

fn unmarked_value(path: &str, kind: Option<Kind>, value: Value) -> Result<Value, MlflowError> {
    Ok(match value {
        Value::String(text) => match text.strip_prefix('s') {
            Some(text) => text.into(),
            None if kind == Some(Kind::Float) => text.into(),
            None => return Err(schema::not_finite(path, &text)),
        },
        Value::Array(items) => {
            let item = |(i, item)| unmarked_value(&format!("{path}[{i}]"), kind, item);
            Value::Array(items.into_iter().enumerate().map(item).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let fields = match kind {
                Some(Kind::Message(fields) | Kind::Messages(fields)) => fields,
                _ => &[],
            };
            Value::Object(unmarked(path, fields, object)?)
        }
        value => value,
    })
}
