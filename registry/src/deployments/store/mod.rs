//! Statements about deployments, rollouts, leases and logs. Nothing here commits.

pub mod deployments;
pub mod leases;
pub mod logs;
pub mod rollouts;
pub mod serving;
