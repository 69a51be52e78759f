//! Telling the registry how a rollout goes.

use super::{Kind, Order, RolloutError};
use crate::{lease::Fence, patience};
use std::time::Duration;
use waybill_client::{
    Client,
    api::{ReportRollout, Revision, RolloutPhase},
};

const ATTEMPTS: u32 = 10;
const RETRY_WAIT: Duration = Duration::from_secs(1);

pub struct Reporter<'a> {
    pub client: &'a Client,
    pub fence: &'a Fence,
    pub order: &'a Order,
}

impl Reporter<'_> {
    /// A step forward. An answer that the rollout is over, or not ours, aborts it.
    pub async fn phase(&self, phase: RolloutPhase, revision: Option<&Revision>) -> Result<(), RolloutError> {
        self.send(phase, revision, None, None).await
    }

    /// A step after the gateway was seen to serve the new revision.
    pub async fn switched(
        &self,
        phase: RolloutPhase,
        revision: &Revision,
        switched_at_ms: Option<i64>,
    ) -> Result<(), RolloutError> {
        self.send(phase, Some(revision), switched_at_ms, None).await
    }

    pub async fn failed(&self, code: &str, message: String) -> Result<(), RolloutError> {
        let phase = RolloutPhase::Failed;
        self.send(phase, None, None, Some((code, message))).await
    }

    async fn send(
        &self,
        phase: RolloutPhase,
        revision: Option<&Revision>,
        switched_at_ms: Option<i64>,
        failure: Option<(&str, String)>,
    ) -> Result<(), RolloutError> {
        if self.order.kind == Kind::Restore {
            return Ok(());
        }
        let (reason_code, message) =
            failure.map_or((None, None), |(code, message)| (Some(code.to_owned()), Some(message)));
        let mut attempt = 0;
        loop {
            attempt += 1;
            let report = ReportRollout {
                fence: self.fence.current().ok_or(RolloutError::Aborted)?,
                phase,
                reason_code: reason_code.clone(),
                message: message.clone(),
                revision: revision.cloned(),
                switched_at_ms,
            };
            let id = &self.order.rollout_id;
            match self.client.report_rollout(id, &report).await {
                Ok(_) => return Ok(()),
                Err(error) if patience::may_pass(&error) && attempt < ATTEMPTS => {
                    tokio::time::sleep(RETRY_WAIT).await;
                }
                Err(error) if patience::may_pass(&error) => return Err(error.into()),
                Err(error) => {
                    tracing::info!(%error, rollout = *id, phase = phase.as_str(), "refused");
                    return Err(RolloutError::Aborted);
                }
            }
        }
    }
}
