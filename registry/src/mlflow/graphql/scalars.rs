//! MLflow's scalar and enums, and the shape of an error inside an answer.

use async_graphql::{Enum, InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};

/// A 64-bit integer, which JavaScript cannot hold as a number: text on the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongString(pub i64);

#[Scalar]
impl ScalarType for LongString {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map(Self).ok_or_else(|| InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A metric's value. GraphQL has no infinities: the largest numbers stand for them, as MLflow stores them. It has
/// no NaN either.
pub fn finite(value: f64) -> Option<f64> {
    (!value.is_nan()).then(|| value.clamp(f64::MIN, f64::MAX))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "MlflowViewType")]
pub enum ViewType {
    ActiveOnly,
    DeletedOnly,
    All,
}

impl ViewType {
    /// As it is in MLflow's other requests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ActiveOnly => "ACTIVE_ONLY",
            Self::DeletedOnly => "DELETED_ONLY",
            Self::All => "ALL",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "MlflowRunStatus", remote = "crate::runs::RunStatus")]
pub enum RunStatus {
    Running,
    Scheduled,
    Finished,
    Failed,
    Killed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "MlflowModelVersionStatus")]
pub enum VersionStatus {
    PendingRegistration,
    FailedRegistration,
    Ready,
}

/// MLflow declares it on every answer. Its open-source server never fills it, nor does this one:
/// messages go to `errors`.
#[derive(Debug, Clone, SimpleObject)]
pub struct ApiError {
    code: Option<String>,
    message: Option<String>,
    help_url: Option<String>,
    trace_id: Option<String>,
    error_details: Option<Vec<ErrorDetail>>,
}

#[derive(Debug, Clone, SimpleObject)]
pub struct ErrorDetail {
    field: Option<String>,
    message: Option<String>,
}

/// A list of texts as the schema of MLflow has it: it, and each item of it, may be null.
pub type Texts = Option<Vec<Option<String>>>;

pub fn texts(list: Texts) -> Vec<String> {
    list.into_iter().flatten().flatten().collect()
}

/// A tag or a parameter; each has a type of its own name.
macro_rules! pair {
    ($($name:ident),*) => {$(
        #[derive(Debug, Clone, SimpleObject)]
        pub struct $name {
            key: String,
            value: String,
        }

        impl From<crate::runs::KeyValue> for $name {
            fn from(pair: crate::runs::KeyValue) -> Self {
                Self { key: pair.key, value: pair.value }
            }
        }
    )*};
}

pair!(MlflowExperimentTag, MlflowRunTag, MlflowParam, MlflowInputTag);

pub fn all<T, U: From<T>>(items: Vec<T>) -> Vec<U> {
    items.into_iter().map(U::from).collect()
}
