//! The audit trail: one event per state change, in the state change's own transaction.

mod store;

pub use store::{list, record};

/// A state change about to be recorded.
#[derive(Debug, Clone)]
pub struct Event {
    pub at_ms: i64,
    pub actor: String,
    /// `<noun>.<verb>` in the past tense, e.g. `model_version.registered`.
    pub action: &'static str,
    /// What it happened to, e.g. `iris@3`.
    pub subject: String,
    pub from: Option<String>,
    pub to: Option<String>,
    pub reason: Option<String>,
    pub request_id: Option<String>,
}
