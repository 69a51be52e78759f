//! The duty's lease.

use crate::{
    app::App,
    db::DbError,
    leases::store::{self as leases, LeaseRow},
};
use std::time::{Duration, Instant};

pub const NAME: &str = "duty:webhooks";
/// How long others wait for a holder that died.
const TTL: Duration = Duration::from_secs(10);
const RENEW_AFTER: Duration = Duration::from_secs(3);

pub struct DutyLease {
    holder: String,
    held: Option<Held>,
}

struct Held {
    fence: i64,
    /// Before the database was asked: the lease lasts at least for [`TTL`] from then.
    since: Instant,
}

impl DutyLease {
    pub fn new(holder: String) -> Self {
        Self { holder, held: None }
    }

    pub fn is_held(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.since.elapsed() < TTL)
    }

    pub fn fence(&self) -> Option<i64> {
        self.held.as_ref().filter(|held| held.since.elapsed() < TTL).map(|held| held.fence)
    }

    /// Takes the lease, or renews it when it is time to; false while another holds it.
    pub async fn keep(&mut self, app: &App) -> Result<bool, DbError> {
        if self.held.as_ref().is_some_and(|held| held.since.elapsed() < RENEW_AFTER) {
            return Ok(true);
        }
        let since = Instant::now();
        let taken: Option<LeaseRow> = app
            .db
            .write(self.holder.clone(), |tx, holder| {
                Box::pin(async move {
                    let now_ms = tx.now_ms().await?;
                    leases::acquire(tx, NAME, holder, now_ms, TTL.as_millis() as i64).await
                })
            })
            .await?;
        self.held = taken.map(|row| Held { fence: row.fence, since });
        Ok(self.held.is_some())
    }

    /// Gives it up, so that the next holder need not wait.
    pub async fn release(&mut self, app: &App) {
        let Some(held) = self.held.take() else {
            return;
        };
        let released = app.db.write(held.fence, |tx, fence| Box::pin(leases::release(tx, NAME, *fence)));
        if let Err(error) = released.await {
            tracing::debug!(%error, "the lease of the webhooks runs out by itself");
        }
    }
}
