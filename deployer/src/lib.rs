//! Waybill's deployer: makes environments run what the registry desires, on a container engine.

mod cache;
mod claims;
mod config;
mod deployer;
pub mod engine;
mod followers;
pub mod gateway;
mod http;
pub mod images;
mod labels;
mod lease;
mod lockstore;
mod patience;
pub mod plan;
mod ports;
mod reconcile;
mod registry;
mod rollout;
mod routing;
mod runtime;
mod shared;
mod verify;

pub use config::{Config, Deadlines, ImagesConfig};
pub use deployer::{Deployer, StartError};
pub use ports::{InvalidPortRange, PortRange};
pub use verify::hold_unverified_routes;
