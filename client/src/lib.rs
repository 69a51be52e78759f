//! Waybill's client: the native API's types, a transport, streaming push and pull.

pub mod api;
