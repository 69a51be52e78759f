//! What can go wrong with webhooks and their deliveries.

use super::kind::InvalidAction;
use crate::{
    db::DbError,
    error::{Failure, Kind},
    idempotency::ClaimError,
};

#[derive(Debug, thiserror::Error)]
pub enum WebhooksError {
    /// A field that breaks its rule, in MLflow's words.
    #[error("{message}")]
    Invalid { code: &'static str, message: String },
    #[error(transparent)]
    Action(#[from] InvalidAction),
    #[error("Webhook with ID {webhook_id} not found.")]
    NotFound { webhook_id: String },
    #[error("no delivery has the id {delivery_id:?}; ended deliveries are kept for 30 days")]
    DeliveryNotFound { delivery_id: String },
    #[error("webhook {name:?} is disabled; enable it, then replay")]
    Disabled { name: String },
    #[error("delivery {delivery_id} is still pending: it will be sent by itself")]
    Pending { delivery_id: String },
    #[error("there are {limit} webhooks, the most that are kept")]
    TooMany { limit: i64 },
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl WebhooksError {
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { code, message: message.into() }
    }

    pub fn not_found(webhook_id: &str) -> Self {
        Self::NotFound { webhook_id: webhook_id.chars().take(100).collect() }
    }

    pub fn delivery_not_found(delivery_id: &str) -> Self {
        Self::DeliveryNotFound { delivery_id: delivery_id.chars().take(100).collect() }
    }
}

impl Failure for WebhooksError {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. } | Self::Action(_) | Self::TooMany { .. } => Kind::Invalid,
            Self::NotFound { .. } | Self::DeliveryNotFound { .. } => Kind::NotFound,
            Self::Disabled { .. } | Self::Pending { .. } => Kind::Conflict,
            Self::Claim(error) => error.kind(),
            Self::Db(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Invalid { code, .. } => code,
            Self::Action(_) => "WEBHOOK_EVENT_INVALID",
            Self::NotFound { .. } => "WEBHOOK_NOT_FOUND",
            Self::DeliveryNotFound { .. } => "WEBHOOK_DELIVERY_NOT_FOUND",
            Self::Disabled { .. } => "WEBHOOK_DISABLED",
            Self::Pending { .. } => "WEBHOOK_DELIVERY_PENDING",
            Self::TooMany { .. } => "TOO_MANY",
            Self::Claim(error) => error.code(),
            Self::Db(error) => error.code(),
        }
    }
}
