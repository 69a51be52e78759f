//! A value of a span's attribute: read from OTLP, kept as JSON text, handed back as either.

use crate::python_json;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeStruct as _},
};
use std::fmt::{self, Write as _};

/// Ids and other bytes are base64 in JSON.
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

/// Unlike [`serde_json::Value`] it keeps the order of keys, NaN, infinities and bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// The value in JSON text; `None` where it is none. Python writes NaN and infinities, which
    /// JSON does not have.
    pub fn parse(text: &str) -> Option<Self> {
        match serde_json::from_str(text) {
            Ok(value) => Some(value),
            Err(_) => serde_json::from_str::<Self>(&python_json::marked(text)?).ok()?.unmarked(),
        }
    }

    /// What was meant before [`python_json::marked`].
    fn unmarked(self) -> Option<Self> {
        match self {
            Self::Text(text) => match text.strip_prefix('s') {
                Some(text) => Some(text.into()),
                None => python_json::number(&text).map(Self::Double),
            },
            Self::List(items) => items.into_iter().map(Self::unmarked).collect::<Option<_>>().map(Self::List),
            Self::Map(entries) => {
                let entry = |(key, value): (String, Self)| {
                    Some((key.strip_prefix('s')?.to_owned(), value.unmarked()?))
                };
                entries.into_iter().map(entry).collect::<Option<_>>().map(Self::Map)
            }
            value => Some(value),
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value under `key`, of a map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// A whole number, perhaps written as a double.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Double(number) if number.fract() == 0.0 && number.abs() < 9.2e18 => Some(*number as i64),
            _ => None,
        }
    }

    /// As Python's `json.dumps(…, ensure_ascii=False)` writes it: that is the text which MLflow
    /// keeps, compares and searches.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => {
                let _ = write!(out, "{value}");
            }
            Self::Double(value) if value.is_nan() => out.push_str("NaN"),
            Self::Double(value) if value.is_infinite() => {
                out.push_str(if *value > 0.0 { "Infinity" } else { "-Infinity" });
            }
            // Rust's shortest form that reads back as a double: `1.0`, `1e300`.
            Self::Double(value) => {
                let _ = write!(out, "{value:?}");
            }
            Self::Text(value) => write_text(out, value),
            Self::Bytes(value) => write_text(out, &BASE64.encode(value)),
            Self::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                for (i, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    write_text(out, key);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    // Text is always JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// From plain JSON.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Double(value as f64), Value::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

/// As OTLP's `AnyValue` in JSON: `{"string_value": "…"}`. No value at all is `{}`.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut any = serializer.serialize_map(None)?;
        match self {
            Self::Null => {}
            Self::Bool(value) => any.serialize_entry("bool_value", value)?,
            Self::Int(value) => any.serialize_entry("int_value", value)?,
            Self::Double(value) if value.is_nan() => any.serialize_entry("double_value", "NaN")?,
            Self::Double(value) if value.is_infinite() => {
                let text = if *value > 0.0 { "Infinity" } else { "-Infinity" };
                any.serialize_entry("double_value", text)?;
            }
            Self::Double(value) => any.serialize_entry("double_value", value)?,
            Self::Text(value) => any.serialize_entry("string_value", value)?,
            Self::Bytes(value) => any.serialize_entry("bytes_value", &BASE64.encode(value))?,
            Self::List(items) => any.serialize_entry("array_value", &Values { values: items })?,
            Self::Map(entries) => {
                let values: Vec<_> = entries.iter().map(|(key, value)| KeyValue { key, value }).collect();
                any.serialize_entry("kvlist_value", &Values { values: &values })?;
            }
        }
        any.end()
    }
}

#[derive(Serialize)]
struct Values<'v, T> {
    #[serde(skip_serializing_if = "<[T]>::is_empty")]
    values: &'v [T],
}

/// An entry as OTLP has it; the value is left out where there is none.
pub struct KeyValue<'v> {
    pub key: &'v str,
    pub value: &'v Value,
}

impl Serialize for KeyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entry = serializer.serialize_struct("KeyValue", 2)?;
        if !self.key.is_empty() {
            entry.serialize_field("key", self.key)?;
        }
        if *self.value != Value::Null {
            entry.serialize_field("value", self.value)?;
        }
        entry.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_what_python_writes() {
        let value = Value::Map(vec![
            ("z".into(), Value::List(vec![Value::Int(1), Value::Double(2.0), Value::Null])),
            ("a\"".into(), "ä\n".into()),
            ("n".into(), Value::Double(f64::NAN)),
            ("b".into(), Value::Bytes(vec![0, 255])),
        ]);
        let text = "{\"z\": [1, 2.0, null], \"a\\\"\": \"ä\\n\", \"n\": NaN, \"b\": \"AP8=\"}";
        assert_eq!(value.to_json(), text);
        assert_eq!(Value::parse("NaN").unwrap().to_json(), "NaN");
        assert_eq!(Value::parse("{"), None);
    }

    #[test]
    fn numbers_that_json_does_not_have_are_read_anywhere() {
        for text in [
            "NaN",
            "[NaN, Infinity, -Infinity, -1, null]",
            r#"{"a": {"b": NaN}, "NaN": "NaN", "s": "s", "e\"NaN\\": "Infinity\\"}"#,
            r#"["ä NaN", "NaN", Infinity]"#,
        ] {
            assert_eq!(Value::parse(text).unwrap().to_json(), text);
        }
        for text in [
            "{NaN: 1}",
            "NaN1",
            "-NaN",
            "[NaN",
            "NaNNaN",
            "\"NaN",
            "\"NaN\\",
            "nan",
            "+Infinity",
            "[\"\"NaN]",
        ] {
            assert_eq!(Value::parse(text), None, "{text}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::INFINITE)
                .prop_map(Value::Double),
            "\\PC{0,10}|[\"\\\\NaN]{0,6}".prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                proptest::collection::vec(("\\PC{0,5}", inner), 0..4).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in any_value()) {
            prop_assert_eq!(Value::parse(&value.to_json()), Some(value));
        }

        #[test]
        fn any_text_is_read_or_none(text in "\\PC{0,60}|([\"\\\\,:{}\\[\\]ä]|NaN|-?Infinity){0,20}") {
            let _ = Value::parse(&text);
        }
    }
}
