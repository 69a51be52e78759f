//! The deployer's reverse proxy: a stable address per deployment, weights per revision.

pub mod routes;
