//! Delivering from the outbox.
//!
//! One process at a time holds the lease and delivers for all replicas. It looks when something was
//! announced here, and every so often for what was announced elsewhere. Each receiver has its own few
//! places, one while it fails, so that a slow one holds up nobody else. A process that dies or loses
//! its lease leaves its deliveries pending: the next holder makes them again, under the same ids.

mod attempt;
mod lease;
mod upkeep;

#[cfg(test)]
pub use upkeep::run_within as run_upkeep;

use super::store::deliveries::{self, Due};
use crate::{app::App, db::DbError};
use attempt::Done;
use lease::DutyLease;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Attempts of all receivers at once.
const RUNNING_MAX: usize = 64;
/// Attempts of one receiver at once.
const RUNNING_PER_RECEIVER: usize = 4;
/// How often to look while there is something to do.
const BUSY_POLL: Duration = Duration::from_millis(500);
/// How often to look for what was left behind by others.
const IDLE_POLL: Duration = Duration::from_secs(5);
/// Time for running attempts to end when the server does.
const DRAIN: Duration = Duration::from_secs(5);

/// Delivers until the server ends.
pub async fn run(app: App) {
    let mut duty = Duty::new(app.clone());
    let mut away = false;
    loop {
        let looked = duty.look().await;
        if let (Err(error), false) = (&looked, away) {
            tracing::warn!(%error, "webhooks wait for the database");
        }
        away = looked.is_err();
        let nap = looked.unwrap_or(IDLE_POLL);
        tokio::select! {
            () = app.signals.closed() => break,
            () = app.webhooks.waiting.notified() => {}
            Some(done) = duty.running.join_next() => duty.ended(done),
            () = tokio::time::sleep(nap) => {}
        }
    }
    duty.end().await;
}

struct Duty {
    app: App,
    lease: DutyLease,
    running: JoinSet<Done>,
    /// Deliveries being attempted.
    in_flight: HashSet<i64>,
    receivers: HashMap<i64, Load>,
    next_upkeep: Instant,
}

/// What is known of a receiver.
#[derive(Debug, Default)]
struct Load {
    running: usize,
    /// Its newest attempt failed.
    failing: bool,
}

impl Load {
    fn room(&self) -> usize {
        let places = if self.failing { 1 } else { RUNNING_PER_RECEIVER };
        places.saturating_sub(self.running)
    }
}

impl Duty {
    fn new(app: App) -> Self {
        Self {
            lease: DutyLease::new(app.ids.prefixed("duty")),
            app,
            running: JoinSet::new(),
            in_flight: HashSet::new(),
            receivers: HashMap::new(),
            next_upkeep: Instant::now(),
        }
    }

    /// Starts what is due and has room; how long to rest then.
    async fn look(&mut self) -> Result<Duration, DbError> {
        if self.next_upkeep <= Instant::now() {
            self.look_after().await?;
        }
        let mut conn = self.app.db.read().await?;
        let lanes = deliveries::lanes(&mut conn).await?;
        let now_ms = conn.now_ms().await?;
        drop(conn);
        if lanes.is_empty() && self.running.is_empty() {
            self.receivers.clear();
            return Ok(if self.lease.is_held() { BUSY_POLL } else { IDLE_POLL });
        }
        if !self.lease.keep(&self.app).await? {
            return Ok(BUSY_POLL);
        }
        for (webhook, due_at_ms) in &lanes {
            if *due_at_ms <= now_ms {
                self.start(*webhook, now_ms).await?;
            }
        }
        let next = lanes.iter().map(|(_, due_at_ms)| due_at_ms - now_ms).filter(|wait_ms| *wait_ms > 0).min();
        Ok(next.map_or(BUSY_POLL, |wait_ms| Duration::from_millis(wait_ms as u64).min(BUSY_POLL)))
    }

    /// Starts what of a receiver is due, as far as there is room.
    async fn start(&mut self, webhook: i64, now_ms: i64) -> Result<(), DbError> {
        let Some(fence) = self.lease.fence() else {
            return Ok(());
        };
        let load = self.receivers.entry(webhook).or_default();
        let room = load.room().min(RUNNING_MAX.saturating_sub(self.running.len()));
        if room == 0 {
            return Ok(());
        }
        // Those being attempted are still pending and come first.
        let limit = load.running + room;
        let due = deliveries::due(&mut self.app.db.read().await?, webhook, now_ms, limit as i64).await?;
        let fresh: Vec<Due> =
            due.into_iter().filter(|due| !self.in_flight.contains(&due.id)).take(room).collect();
        for due in fresh {
            self.in_flight.insert(due.id);
            load.running += 1;
            self.running.spawn(attempt::run(self.app.clone(), fence, due));
        }
        Ok(())
    }

    fn ended(&mut self, done: Result<Done, tokio::task::JoinError>) {
        // An attempt that panicked keeps its place: its delivery must not be tried in a loop.
        let Ok(done) = done else {
            return;
        };
        self.in_flight.remove(&done.delivery);
        if let Some(load) = self.receivers.get_mut(&done.webhook) {
            load.running -= 1;
            load.failing = !done.delivered;
        }
    }

    async fn look_after(&mut self) -> Result<(), DbError> {
        self.next_upkeep = Instant::now() + upkeep::EVERY;
        if upkeep::needed(&self.app).await? && self.lease.keep(&self.app).await? {
            upkeep::run(&self.app).await?;
        }
        Ok(())
    }

    /// Lets running attempts end, and hands the lease over.
    async fn end(mut self) {
        let rest = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, rest).await.is_err() {
            tracing::info!("webhook deliveries that still ran are left to the next start");
        }
        self.running.shutdown().await;
        self.lease.release(&self.app).await;
    }
}
