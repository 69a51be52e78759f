//! Wakes those who wait for changes in this process. Changes made by other replicas are found by
//! looking again every [`POLL`].

use std::{pin::Pin, time::Duration};
use tokio::sync::{Notify, futures::Notified};
use tokio_util::sync::CancellationToken;

/// How often a waiter looks for what another replica changed.
pub const POLL: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Signals {
    desired: Notify,
    logs: Notify,
    closing: CancellationToken,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something may have changed.
    Look,
    /// The server shuts down; waiters end so that connections can close.
    Closing,
}

impl Signals {
    /// To be called after the commit that changed what an environment desires.
    pub fn desired_changed(&self) {
        self.desired.notify_waiters();
    }

    /// To be called after the commit that appended to a log.
    pub fn log_appended(&self) {
        self.logs.notify_waiters();
    }

    /// Ends all waits, now and from now on.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Waits for the end of the server.
    pub async fn closed(&self) {
        self.closing.cancelled().await;
    }

    /// A wait that counts from this call: subscribe, look, then await.
    pub fn on_desired(&self) -> Notified<'_> {
        self.desired.notified()
    }

    pub fn on_log(&self) -> Notified<'_> {
        self.logs.notified()
    }

    /// Waits for `notified`, the next look, `at_most`, or the end of the server.
    pub async fn wait(&self, notified: Pin<&mut Notified<'_>>, at_most: Duration) -> Woken {
        tokio::select! {
            () = notified => Woken::Look,
            () = tokio::time::sleep(POLL.min(at_most)) => Woken::Look,
            () = self.closing.cancelled() => Woken::Closing,
        }
    }
}
