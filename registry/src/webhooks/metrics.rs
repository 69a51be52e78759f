//! Figures of the deliveries.

use super::verdict::Verdict;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::sync::atomic::AtomicU64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

#[derive(Clone, Default)]
pub struct DeliveryMetrics {
    attempts: Family<Labels, Counter>,
    pending: Gauge,
    oldest_seconds: Gauge<f64, AtomicU64>,
}

impl DeliveryMetrics {
    pub fn register(&self, registry: &mut Registry) {
        for outcome in ["delivered", "retried", "failed"] {
            // A figure that is there from the start can be watched before the first failure.
            drop(self.attempts.get_or_create(&Labels { outcome }));
        }
        registry.register("webhook_attempts", "Requests to webhooks' receivers", self.attempts.clone());
        registry.register("webhook_deliveries_pending", "Deliveries not yet made", self.pending.clone());
        registry.register(
            "webhook_oldest_pending_seconds",
            "Age of the oldest delivery not yet made; 0 when there is none",
            self.oldest_seconds.clone(),
        );
    }

    pub(super) fn attempted(&self, verdict: Verdict) {
        let outcome = match verdict {
            Verdict::Delivered => "delivered",
            Verdict::Again(_) => "retried",
            Verdict::Failed => "failed",
        };
        self.attempts.get_or_create(&Labels { outcome }).inc();
    }

    pub(super) fn queued(&self, count: i64, oldest_age_ms: i64) {
        self.pending.set(count);
        self.oldest_seconds.set(oldest_age_ms as f64 / 1e3);
    }
}
