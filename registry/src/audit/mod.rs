//! The audit trail: one event per state change, in the state change's own transaction.

pub mod routes;
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

/// Who changes something, when, why, and in which request: what every event of one call shares.
#[derive(Debug, Clone)]
pub struct Cause {
    pub at_ms: i64,
    pub actor: String,
    pub reason: Option<String>,
    pub request_id: Option<String>,
}

impl Cause {
    /// The event that `action` happened to `subject`.
    pub fn event(&self, action: &'static str, subject: impl Into<String>) -> Event {
        Event {
            at_ms: self.at_ms,
            actor: self.actor.clone(),
            action,
            subject: subject.into(),
            from: None,
            to: None,
            reason: self.reason.clone(),
            request_id: self.request_id.clone(),
        }
    }
}

impl Event {
    /// Adds what the state was and what it is now.
    #[must_use]
    pub fn change(mut self, from: Option<&str>, to: Option<&str>) -> Self {
        self.from = from.map(str::to_owned);
        self.to = to.map(str::to_owned);
        self
    }
}
