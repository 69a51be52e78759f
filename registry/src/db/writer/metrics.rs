//! Figures of SQLite's single writer.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// 1 to a full group.
const BUCKETS_CHANGES: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

#[derive(Debug, Clone)]
pub struct WriterMetrics {
    waiting: Gauge,
    commit_changes: Histogram,
    splits: Counter,
}

impl Default for WriterMetrics {
    fn default() -> Self {
        Self {
            waiting: Gauge::default(),
            commit_changes: Histogram::new(BUCKETS_CHANGES),
            splits: Counter::default(),
        }
    }
}

impl WriterMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "sqlite_writes_waiting",
            "Changes that wait for the single writer",
            self.waiting.clone(),
        );
        registry.register(
            "sqlite_commit_changes",
            "Changes that shared one durable commit",
            self.commit_changes.clone(),
        );
        registry.register(
            "sqlite_group_splits",
            "Groups that were rolled back and split because one of their changes failed",
            self.splits.clone(),
        );
    }

    pub(super) fn queued(&self) {
        self.waiting.inc();
    }

    pub(super) fn took(&self, changes: usize) {
        self.waiting.dec_by(changes as i64);
    }

    pub(super) fn committed(&self, changes: usize) {
        if changes > 0 {
            self.commit_changes.observe(changes as f64);
        }
    }

    pub(super) fn split(&self) {
        self.splits.inc();
    }
}
