//! Waybill's deployer: makes environments run what the registry desires, on a container engine.

pub mod engine;
pub mod gateway;
pub mod images;
