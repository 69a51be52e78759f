//! Statements about webhooks and their deliveries. Nothing here commits.

pub mod deliveries;
pub mod upkeep;
pub mod webhooks;
