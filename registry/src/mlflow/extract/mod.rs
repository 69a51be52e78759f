//! Requests as MLflow's server reads them (`_get_request_message` in mlflow/server/handlers.py):
//! a GET from its query, anything else from a JSON body by proto3's JSON rules. Unknown fields
//! are ignored, `null` is absent, a 64-bit integer is a number or a string.
//!
//! A message is a plain serde struct. Required fields have their own type (`String`, not
//! `Option`), every other field is `#[serde(default)]`, and numbers go through [`number`]:
//! ```ignore
//! #[derive(Deserialize)]
//! pub struct SetTag {
//!     #[serde(deserialize_with = "extract::nonempty")]
//!     pub key: String,
//!     #[serde(default, deserialize_with = "extract::nullable")]
//!     pub value: String,
//! }
//! impl Message for SetTag {
//!     const FIELDS: &'static [Field] = &[required("key", Kind::Text), optional("value", Kind::Text)];
//! }
//! ```
//! Good requests never look at `FIELDS`; they explain bad ones in MLflow's words, and tell which
//! query keys are lists.

mod camel;
mod not_finite;
pub mod number;
mod path;
mod schema;

pub use path::MlflowPath;
pub use schema::{Field, Kind, Message, invalid_value, missing_value, optional, required};

use super::MlflowError;
use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, Method, header},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

/// Largest request body: a dataset's profile alone may have 16 MiB.
pub const BODY_MAX_BYTES: usize = 20 << 20;

/// A request message of any method.
pub struct MlflowJson<T>(pub T);

impl<S: Send + Sync, T: Message> FromRequest<S> for MlflowJson<T> {
    type Rejection = MlflowError;

    async fn from_request(request: Request, _: &S) -> Result<Self, MlflowError> {
        let (parts, body) = request.into_parts();
        if matches!(parts.method, Method::GET | Method::HEAD)
            && let Some(query) = parts.uri.query().filter(|query| !query.is_empty())
        {
            return from_query(query).map(Self);
        }
        if matches!(parts.method, Method::POST | Method::PUT) {
            check_content_type(&parts.headers)?;
        }
        refuse_flood(&parts.headers)?;
        from_body(&read(body).await?).map(Self)
    }
}

/// A body that promises too much is not waited for.
fn refuse_flood(headers: &HeaderMap) -> Result<(), MlflowError> {
    let promised = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if promised.is_some_and(|bytes: u64| bytes > BODY_MAX_BYTES as u64) {
        return Err(too_large());
    }
    Ok(())
}

fn too_large() -> MlflowError {
    MlflowError::invalid(format!("The request body is larger than {BODY_MAX_BYTES} bytes."))
}

async fn read(body: Body) -> Result<axum::body::Bytes, MlflowError> {
    to_bytes(body, BODY_MAX_BYTES).await.map_err(|error| {
        use std::error::Error as _;
        if error.source().is_some_and(|e| e.downcast_ref::<http_body_util::LengthLimitError>().is_some()) {
            return too_large();
        }
        MlflowError::invalid("The request body ended before it was complete.")
    })
}

fn check_content_type(headers: &HeaderMap) -> Result<(), MlflowError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err(MlflowError::invalid("Bad Request. Content-Type header is missing."));
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    if essence == "application/json" {
        return Ok(());
    }
    Err(MlflowError::invalid("Bad Request. Content-Type must be one of ['application/json']."))
}

/// The message in a JSON body. No body at all is an empty message.
pub fn from_body<T: Message>(body: &[u8]) -> Result<T, MlflowError> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    refuse_nul(body)?;
    if camel::may_name(T::FIELDS, body)
        && let Ok(object) = serde_json::from_slice(body)
    {
        return from_value(camel::renamed(T::FIELDS, object)?);
    }
    match serde_json::from_slice(body) {
        Ok(message) => Ok(message),
        Err(error) => from_unusual_body(body, &error),
    }
}

/// PostgreSQL keeps no NUL in text. JSON can only say it as an escape, which is rare enough that
/// a body that might contain one is read once more.
fn refuse_nul(body: &[u8]) -> Result<(), MlflowError> {
    let suspicious = memchr::memmem::find(body, b"\\u0000").is_some();
    match suspicious.then(|| serde_json::from_slice(body)) {
        Some(Ok(value)) => refuse_nul_in(&value),
        _ => Ok(()),
    }
}

fn refuse_nul_in(value: &Value) -> Result<(), MlflowError> {
    fn contains_nul(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(contains_nul),
            Value::Object(object) => {
                object.iter().any(|(key, value)| key.contains('\0') || contains_nul(value))
            }
            _ => false,
        }
    }
    if contains_nul(value) { Err(nul()) } else { Ok(()) }
}

/// What says that a request contains NUL.
pub fn nul() -> MlflowError {
    MlflowError::invalid(NUL)
}

const NUL: &str = "The request contains the character U+0000, which no value may have.";

/// Old clients send JSON encoded twice, Python numbers that JSON does not have; everything else that
/// ends here is an error to explain.
fn from_unusual_body<T: Message>(body: &[u8], error: &serde_json::Error) -> Result<T, MlflowError> {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => {
            return match not_finite::object::<T>(body) {
                Some(object) => from_value(camel::renamed(T::FIELDS, object?)?),
                None => Err(MlflowError::invalid(format!("The request body is not valid JSON: {error}."))),
            };
        }
    };
    match value {
        Value::Object(object) => Err(schema::explain(T::FIELDS, &object, error)),
        Value::Null => from_value(Map::new()),
        Value::String(inner) => match serde_json::from_str(&inner) {
            Ok(Value::Object(object)) => from_value(object),
            _ => Err(MlflowError::invalid("The request body is a JSON string; an object is expected.")),
        },
        other => Err(MlflowError::invalid(format!(
            "The request body is a JSON {}; an object is expected.",
            schema::python_type(&other)
        ))),
    }
}

/// The message in a query. Of a key that is not a list the first value counts.
pub fn from_query<T: Message>(query: &str) -> Result<T, MlflowError> {
    let mut object = Map::new();
    for (key, text) in url::form_urlencoded::parse(query.as_bytes()) {
        let Some(field) = T::FIELDS.iter().find(|field| field.name == key) else {
            continue;
        };
        if field.kind.is_list() {
            let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = list {
                items.push(text.into());
            }
            continue;
        }
        let value = match field.kind {
            Kind::Bool => match text.to_ascii_lowercase().as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => {
                    let message = format!("Invalid boolean value: {text}, must be 'true' or 'false'.");
                    return Err(MlflowError::invalid(message));
                }
            },
            _ => text.into(),
        };
        object.entry(field.name).or_insert(value);
    }
    from_value(object)
}

fn from_value<T: Message>(object: Map<String, Value>) -> Result<T, MlflowError> {
    let value = Value::Object(object);
    refuse_nul_in(&value)?;
    T::deserialize(&value).map_err(|error| {
        let object = value.as_object().cloned().unwrap_or_default();
        schema::explain(T::FIELDS, &object, &error)
    })
}

/// For required text: MLflow takes `""` for absent.
pub fn nonempty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Err(D::Error::custom("a value is expected")) } else { Ok(text) }
}

/// For optional text: MLflow takes `""` for absent, as it does `null`.
pub fn opt_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// For optional fields with a default: `null` is absent.
pub fn nullable<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
