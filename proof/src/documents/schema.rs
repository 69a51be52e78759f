//! Schema versions and the generated schemas.

use super::{Document, ExperimentConfig, Lockfile, RegistrationSnapshot, Requirements, RunCompleted};
use crate::statement::{LockfileResolution, Registration, RunEnd};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;

const CURRENT: u64 = 1;

/// The number 1: the only version of every document so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaVersion;

impl Serialize for SchemaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(CURRENT)
    }
}

impl<'de> Deserialize<'de> for SchemaVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            CURRENT => Ok(Self),
            other => Err(serde::de::Error::custom(format!("schema_version is {other}; expected {CURRENT}"))),
        }
    }
}

impl JsonSchema for SchemaVersion {
    fn schema_name() -> Cow<'static, str> {
        "SchemaVersion".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "integer", "const": CURRENT })
    }
}

/// File name and JSON Schema (draft 2020-12) of every document that is stored or signed.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        (ExperimentConfig::FILE, schema::<ExperimentConfig>()),
        (Lockfile::FILE, schema::<Lockfile>()),
        (RegistrationSnapshot::FILE, schema::<RegistrationSnapshot>()),
        (Requirements::FILE, schema::<Requirements>()),
        (RunCompleted::FILE, schema::<RunCompleted>()),
        ("lockfile-resolution-predicate.json", schema::<LockfileResolution>()),
        ("registration-predicate.json", schema::<Registration>()),
        ("run-end-predicate.json", schema::<RunEnd>()),
    ]
}

fn schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}
