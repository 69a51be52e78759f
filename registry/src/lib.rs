//! The registry: names, references and state in a database; bytes by digest in an object store.
//!
//! One folder per capability, thin layers inside: `routes` → rules → `store` → [`db`]. Only
//! `routes` and [`http`] know axum, only `store` and [`db`] know sqlx, nothing imports [`mlflow`].

pub mod access;
pub mod app;
pub mod artifacts;
pub mod audit;
pub mod backup;
pub mod clock;
pub mod config;
pub mod db;
pub mod deployments;
pub mod error;
pub mod http;
pub mod idempotency;
pub mod identity;
pub mod ids;
pub mod imports;
pub mod leases;
pub mod logged_models;
pub mod mlflow;
pub mod models;
mod native;
pub mod promotion;
pub mod provenance;
mod python_json;
mod redact;
pub mod runs;
pub mod search;
mod service;
#[cfg(test)]
mod testing;
pub mod traces;
pub mod ui;
pub mod webhooks;

pub use config::Config;
pub use native::openapi;
pub use service::{OpenError, Registry};
