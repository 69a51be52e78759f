//! Stage transitions and rollbacks: recorded, audited and followed by deployments in one
//! transaction. How a rollout ends is told later, by its own events.

mod error;
mod history;
mod rollback;
pub mod routes;
pub mod store;
#[cfg(test)]
pub(crate) mod tests;
mod transition;

pub use error::PromotionError;
pub use history::history;
pub use rollback::rollback;
pub use transition::{Others, Transition, promote};
