//! The lease on an environment: two deployers never act for the same one.

use crate::patience;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use waybill_client::{Client, api::AcquireLease};

/// The number that every report carries; `None` while the environment is not ours.
#[derive(Debug, Clone)]
pub struct Fence(watch::Receiver<Option<i64>>);

impl Fence {
    pub fn current(&self) -> Option<i64> {
        *self.0.borrow()
    }

    /// Waits until the environment is ours; `None` when the deployer stops.
    pub async fn held(&mut self) -> Option<i64> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|f| *f)
    }

    /// Waits until the environment is not ours any more.
    pub async fn lost(&mut self) {
        if self.0.wait_for(Option::is_none).await.is_err() {
            // Nobody renews it any more because the deployer stops: that is not a loss.
            std::future::pending::<()>().await;
        }
    }
}

/// Takes the lease and renews it three times per `ttl`, until `stop`.
pub fn keep(
    client: Client,
    environment: String,
    holder: String,
    ttl: Duration,
    stop: CancellationToken,
) -> Fence {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let request = AcquireLease { holder, ttl_ms: ttl.as_millis() as i64 };
        let mut valid_until = Instant::now();
        let mut refused = false;
        while !stop.is_cancelled() {
            // Counted from before the call: the registry's clock starts no later.
            let asked = Instant::now();
            match client.acquire_lease(&environment, &request).await {
                Ok(lease) => {
                    valid_until = asked + ttl;
                    refused = false;
                    sender.send_if_modified(|fence| {
                        let changed = *fence != Some(lease.fence);
                        *fence = Some(lease.fence);
                        changed
                    });
                }
                Err(error) => {
                    if !refused {
                        tracing::warn!(%error, environment, "no lease on the environment");
                    }
                    refused = true;
                    if !patience::may_pass(&error) || Instant::now() >= valid_until {
                        sender.send_if_modified(|fence| fence.take().is_some());
                    }
                }
            }
            tokio::select! {
                () = sleep(ttl / 3) => {}
                () = stop.cancelled() => {}
            }
        }
        // The lease itself runs out: work that is under way still reports with it.
    });
    Fence(receiver)
}
