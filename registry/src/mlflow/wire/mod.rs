//! MLflow's messages, by the names of its protos (mlflow/protos/service.proto). Unset fields are
//! left out, 64-bit integers are JSON numbers, NaN and infinities are strings.

pub mod artifacts;
pub mod assessments;
pub mod datasets;
pub mod experiments;
pub mod logged_models;
pub mod metrics;
pub mod model_registry;
pub mod run_inputs;
pub mod runs;
pub mod time;
pub mod trace_metrics;
pub mod trace_requests;
pub mod traces;
pub mod traces_v2;
pub mod webhooks;

use super::{
    MlflowError,
    extract::{Field, Kind, invalid_value, nonempty, nullable, optional, required},
};
use crate::runs::KeyValue;
use serde::{Deserialize, Serialize};

/// An answer that says nothing.
#[derive(Debug, Serialize)]
pub struct Empty {}

/// `RunTag`, `ExperimentTag`, `Param`, `InputTag`, `LoggedModelTag`, `LoggedModelParameter`.
#[derive(Debug, Deserialize)]
pub struct Pair {
    #[serde(deserialize_with = "nonempty")]
    key: String,
    #[serde(default, deserialize_with = "nullable")]
    value: String,
}

pub const PAIR: &[Field] = &[required("key", Kind::Text), optional("value", Kind::Text)];

impl From<Pair> for KeyValue {
    fn from(pair: Pair) -> Self {
        Self { key: pair.key, value: pair.value }
    }
}

pub fn pairs(pairs: Vec<Pair>) -> Vec<KeyValue> {
    pairs.into_iter().map(KeyValue::from).collect()
}

/// A pair on its way out.
#[derive(Debug, Serialize)]
pub struct PairRef<'a> {
    key: &'a str,
    value: &'a str,
}

pub fn pair_refs(pairs: &[KeyValue]) -> Vec<PairRef<'_>> {
    pairs.iter().map(|pair| PairRef { key: &pair.key, value: &pair.value }).collect()
}

/// An enum's value as proto3's JSON has it: its name or its number.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum EnumValue {
    Number(i64),
    Name(String),
}

impl EnumValue {
    /// The value in `values`, whose numbers begin at `first`.
    pub fn pick<T: Copy>(
        &self,
        field: &str,
        values: &[T],
        first: i64,
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, MlflowError> {
        let by_number = |number: i64| values.get(usize::try_from(number.checked_sub(first)?).ok()?).copied();
        let found = match self {
            Self::Number(number) => by_number(*number),
            Self::Name(text) => values
                .iter()
                .copied()
                .find(|value| name(*value) == text)
                .or_else(|| by_number(text.parse().ok()?)),
        };
        found.ok_or_else(|| {
            let value = match self {
                Self::Number(number) => (*number).into(),
                Self::Name(text) => text.clone().into(),
            };
            invalid_value(field, &value)
        })
    }
}

/// The run that a request means: newer clients send `run_id`, older ones `run_uuid`, some both.
pub fn run_id(run_id: Option<String>, run_uuid: Option<String>) -> Result<String, MlflowError> {
    run_id.or(run_uuid).ok_or_else(|| super::extract::missing_value("run_id"))
}
