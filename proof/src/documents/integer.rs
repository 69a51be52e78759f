//! Integers that callers choose. Canonical JSON holds those up to ±(2^53 − 1); the rest are
//! written as decimal text.

use crate::json::MAX_SAFE_INTEGER;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serializer};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
pub fn serialize<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    if is_safe(*value) { serializer.serialize_i64(*value) } else { serializer.collect_str(value) }
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Wire::deserialize(deserializer)?.read()
}

pub fn schema(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "description": "An integer; beyond ±9007199254740991 its decimal text.",
        "anyOf": [{ "type": "integer" }, { "type": "string", "pattern": "^-?[1-9][0-9]{15,18}$" }],
    })
}

fn is_safe(value: i64) -> bool {
    value.unsigned_abs() <= MAX_SAFE_INTEGER
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Number(i64),
    Text(String),
}

impl Wire {
    fn read<E: serde::de::Error>(self) -> Result<i64, E> {
        match self {
            Self::Number(value) => Ok(value),
            // One form for each integer: what is read is written back the same.
            Self::Text(text) => {
                let value = text.parse::<i64>().ok().filter(|v| !is_safe(*v) && v.to_string() == text);
                value.ok_or_else(|| {
                    let shown: String = text.chars().take(40).collect();
                    E::custom(format!(
                        "{shown:?}; expected an integer, as text only beyond ±9007199254740991"
                    ))
                })
            }
        }
    }
}

/// The same for a field that may be missing.
pub mod option {
    use super::Wire;
    use schemars::{Schema, SchemaGenerator};
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes fields so")]
    pub fn serialize<S: Serializer>(value: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        Option::<Wire>::deserialize(deserializer)?.map(Wire::read).transpose()
    }

    pub fn schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "An integer; beyond ±9007199254740991 its decimal text.",
            "anyOf": [
                { "type": "integer" },
                { "type": "string", "pattern": "^-?[1-9][0-9]{15,18}$" },
                { "type": "null" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{documents::MetricValue, json::canonical};

    #[test]
    fn large_integers_are_text_and_read_back() {
        for (step, text) in [
            (-1, "-1"),
            (9_007_199_254_740_991, "9007199254740991"),
            (9_007_199_254_740_992, "\"9007199254740992\""),
            (1 << 62, "\"4611686018427387904\""),
            (i64::MIN, "\"-9223372036854775808\""),
        ] {
            let json = format!(r#"{{"step":{text},"timestamp_ms":0,"value":1}}"#);
            let read: MetricValue = serde_json::from_str(&json).unwrap();
            assert_eq!(read.step, step);
            assert_eq!(String::from_utf8(canonical(&read).unwrap()).unwrap(), json);
        }
        for text in
            ["\"1\"", "\"+9007199254740992\"", "\"09007199254740992\"", "\"9223372036854775808\"", "1.5"]
        {
            let json = format!(r#"{{"step":{text},"timestamp_ms":0,"value":1}}"#);
            assert!(serde_json::from_str::<MetricValue>(&json).is_err(), "{text}");
        }
    }
}
