//! What a message's fields are, to explain a request that does not fit
//! (`_validate_param_against_schema` in mlflow/server/handlers.py).

use super::MlflowError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A request message.
pub trait Message: DeserializeOwned {
    /// Its fields, in the order in which MLflow checks them.
    const FIELDS: &'static [Field];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Int,
    Float,
    Bool,
    /// The name of an enum's value, or its number.
    Enum,
    /// A `repeated string`: in a query every occurrence of the key is one item.
    Texts,
    Message(&'static [Field]),
    /// A `repeated` message with these fields.
    Messages(&'static [Field]),
}

pub const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true }
}

pub const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false }
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Int => super::number::int_of(value).is_some(),
            Self::Float => super::number::float_of(value).is_some(),
            Self::Bool => value.is_boolean(),
            Self::Enum => value.is_string() || super::number::int_of(value).is_some(),
            Self::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
            Self::Message(_) => value.is_object(),
            Self::Messages(_) => value.is_array(),
        }
    }

    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Texts | Self::Messages(_))
    }
}

const SEE: &str = "See the API docs for more information about request parameters.";

/// `Missing value for required parameter 'run_id'. …`
pub fn missing_value(name: &str) -> MlflowError {
    MlflowError::invalid(format!("Missing value for required parameter '{name}'. {SEE}"))
}

/// `Invalid value 7 for parameter 'run_id' supplied: Hint: Value was of type 'int'. …`
pub fn invalid_value(name: &str, value: &Value) -> MlflowError {
    invalid_of_type(name, &abbreviate(value), python_type(value))
}

/// The same for `NaN` and its like, which no JSON value is.
pub(super) fn not_finite(name: &str, word: &str) -> MlflowError {
    invalid_of_type(name, word, "float")
}

fn invalid_of_type(name: &str, shown: &str, kind: &str) -> MlflowError {
    MlflowError::invalid(format!(
        "Invalid value {shown} for parameter '{name}' supplied:  Hint: Value was of type '{kind}'. {SEE}"
    ))
}

/// The value as JSON, cut where a caller sent megabytes.
fn abbreviate(value: &Value) -> String {
    const SHOWN_CHARS: usize = 500;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Why `object` is not a message with these fields. `error` is the reader's own text, for what
/// the fields do not show.
pub fn explain(fields: &[Field], object: &Map<String, Value>, error: &serde_json::Error) -> MlflowError {
    first_problem("", fields, object).unwrap_or_else(|| {
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or(&text);
        MlflowError::invalid(format!("Invalid request: {text}. {SEE}"))
    })
}

/// The first field that is missing or of the wrong type, named by its path: `metrics[0].key`.
fn first_problem(path: &str, fields: &[Field], object: &Map<String, Value>) -> Option<MlflowError> {
    fields.iter().find_map(|field| {
        let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        let mut value = object.get(field.name).filter(|value| !value.is_null());
        if value.is_none() && field.name == "run_id" {
            // What older clients call it.
            value = object.get("run_uuid").filter(|value| !value.is_null());
        }
        let Some(value) = value.filter(|value| !field.required || value.as_str() != Some("")) else {
            return field.required.then(|| missing_value(&path));
        };
        if !field.kind.fits(value) {
            return Some(invalid_value(&path, value));
        }
        match (field.kind, value) {
            (Kind::Message(fields), Value::Object(object)) => first_problem(&path, fields, object),
            (Kind::Messages(fields), Value::Array(items)) => {
                items.iter().enumerate().find_map(|(i, item)| {
                    let path = format!("{path}[{i}]");
                    match item {
                        Value::Object(object) => first_problem(&path, fields, object),
                        other => Some(invalid_value(&path, other)),
                    }
                })
            }
            _ => None,
        }
    })
}

/// The type's name as MLflow's messages have it.
pub fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}
