//! Stage transitions, history, audit.

use super::Client;
use crate::{
    api::{AuditPage, CreatePromotion, CreateRollback, History, Promotion},
    error::ClientError,
};

/// Which audit events to list.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery<'a> {
    /// Events of this subject only, e.g. `iris@3`.
    pub subject: Option<&'a str>,
    pub limit: Option<u32>,
    pub page_token: Option<&'a str>,
}

impl Client {
    /// Moves a version to a stage. Returns once recorded; the rollout goes on by itself.
    pub async fn create_promotion(
        &self,
        name: &str,
        version: i64,
        promotion: &CreatePromotion,
    ) -> Result<Promotion, ClientError> {
        let version = version.to_string();
        self.post(&["models", name, "versions", &version, "promotions"]).json(promotion).receive().await
    }

    /// Goes back to an earlier version. Returns once recorded.
    pub async fn create_rollback(
        &self,
        name: &str,
        rollback: &CreateRollback,
    ) -> Result<Promotion, ClientError> {
        self.post(&["models", name, "rollbacks"]).json(rollback).receive().await
    }

    /// What really served in an environment and what was asked of it, newest first.
    pub async fn history(&self, name: &str, environment: &str) -> Result<History, ClientError> {
        self.get(&["models", name, "history"]).query("environment", Some(environment)).receive().await
    }

    /// State changes, newest first.
    pub async fn audit(&self, query: &AuditQuery<'_>) -> Result<AuditPage, ClientError> {
        self.get(&["audit"])
            .query("subject", query.subject)
            .query("limit", query.limit)
            .query("page_token", query.page_token)
            .receive()
            .await
    }
}
