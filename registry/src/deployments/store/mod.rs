//! Statements about deployments, rollouts and logs. Nothing here commits.

pub mod deployments;
pub mod logs;
pub mod outages;
pub mod rollouts;
pub mod serving;
