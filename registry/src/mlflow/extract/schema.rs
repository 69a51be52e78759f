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

#[derive(Debug, Clone, Copy)]
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
    /// A `repeated` field: in a query every occurrence of the key is one item.
    List,
    Object,
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
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

const SEE: &str = "See the API docs for more information about request parameters.";

/// `Missing value for required parameter 'run_id'. …`
pub fn missing_value(name: &str) -> MlflowError {
    MlflowError::invalid(format!("Missing value for required parameter '{name}'. {SEE}"))
}

/// `Invalid value 7 for parameter 'run_id' supplied: Hint: Value was of type 'int'. …`
pub fn invalid_value(name: &str, value: &Value) -> MlflowError {
    let kind = python_type(value);
    let shown = abbreviate(value);
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

/// The first field that is missing or of the wrong type; `error` where all of them look right
/// (an item of a list, say, is wrong).
pub fn explain(fields: &[Field], object: &Map<String, Value>, error: &serde_json::Error) -> MlflowError {
    for field in fields {
        let value = object.get(field.name).filter(|value| !value.is_null());
        let absent = value.is_none_or(|value| value.as_str() == Some(""));
        if field.required && absent {
            return missing_value(field.name);
        }
        if let Some(value) = value
            && !field.kind.fits(value)
        {
            return invalid_value(field.name, value);
        }
    }
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    match culprit(fields, object) {
        Some(name) => MlflowError::invalid(format!("Invalid value for parameter '{name}': {text}. {SEE}")),
        None => MlflowError::invalid(format!("Invalid request: {text}. {SEE}")),
    }
}

/// Where only one structured field was sent, the error lies in it.
fn culprit(fields: &[Field], object: &Map<String, Value>) -> Option<&'static str> {
    let mut nested =
        fields.iter().filter(|f| matches!(f.kind, Kind::List | Kind::Object) && object.contains_key(f.name));
    let first = nested.next()?;
    nested.next().is_none().then_some(first.name)
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
