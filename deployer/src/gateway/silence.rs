//! A limit on how long a peer may keep still.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Starts to count when something is first found pending, and again after each sign of life. The
/// timer is made on the first wait, so that a peer who never pauses costs none.
pub(super) struct Silence {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    counting: bool,
}

impl Silence {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: None, counting: false }
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Something came, or went.
    pub(super) fn broken(&mut self) {
        self.counting = false;
    }

    /// Ready once the peer has kept still for the limit.
    pub(super) fn poll_exceeded(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.counting {
            timer.as_mut().reset(Instant::now() + limit);
            self.counting = true;
        }
        timer.as_mut().poll(cx)
    }
}
