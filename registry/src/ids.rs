//! Public identifiers, injected.

use uuid::Uuid;

/// Makes identifiers. Tests bring their own.
pub trait Ids: Send + Sync + 'static {
    /// 128 random bits.
    fn random(&self) -> Uuid;

    /// A run's id: 32 hex digits, as MLflow's.
    fn run_id(&self) -> String {
        self.random().simple().to_string()
    }

    /// A logged model's id: `m-` and 32 hex digits, as MLflow's.
    fn logged_model_id(&self) -> String {
        format!("m-{}", self.random().simple())
    }

    /// An id of our own kind, e.g. `ver-…`, `rol-…`.
    fn prefixed(&self, prefix: &'static str) -> String {
        format!("{prefix}-{}", self.random().simple())
    }
}

pub struct RandomIds;

impl Ids for RandomIds {
    fn random(&self) -> Uuid {
        Uuid::new_v4()
    }
}
