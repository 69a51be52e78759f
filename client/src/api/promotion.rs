//! Stage transitions, rollbacks, history, audit.

use super::{Outage, Revision, Stage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Moves a version to a stage; the deployment that follows the stage follows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatePromotion {
    pub to: Stage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Goes back to what the environment served before, or to `to_version`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreateRollback {
    pub environment: String,
    /// Left out: the version that served before the one that serves now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_version: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromotionKind {
    Promotion,
    Rollback,
}

/// A recorded transition. How its rollout ended is told by `rollout_id`, not here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Promotion {
    pub promotion_id: String,
    pub kind: PromotionKind,
    pub name: String,
    pub version: i64,
    pub version_uid: String,
    pub from: Stage,
    pub to: Stage,
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub applied_at_ms: i64,
    /// The rollout that leads to what the environment desires now; absent where no environment
    /// follows the stage, or nothing there can be deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_id: Option<String>,
    /// Why this version is not what the environment desires, where one might expect it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One time in which a version really served an environment's traffic, but for its outages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServingInterval {
    pub environment: String,
    pub name: String,
    pub version: i64,
    pub version_uid: String,
    pub revision_id: String,
    pub from_ms: i64,
    /// Absent while it still serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<i64>,
    /// Who asked for it, and why.
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub rollout_id: String,
    /// What ran; absent for what started before this was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// When it did not answer, newest first; an answer names its newest 1,000 outages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Newest first: what really served.
    pub serving: Vec<ServingInterval>,
    /// Newest first: every requested transition, failed rollouts included.
    pub promotions: Vec<Promotion>,
}

/// One state change, written in the transaction that made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    pub event_id: i64,
    pub at_ms: i64,
    pub actor: String,
    /// `<noun>.<verb>`, e.g. `model_version.registered`.
    pub action: String,
    /// What it happened to, e.g. `iris@3`.
    pub subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    pub events: Vec<AuditEvent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
