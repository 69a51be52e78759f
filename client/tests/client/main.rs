//! The client against services in memory that behave well, badly and not at all.

mod calls;
mod http;
mod logs;
mod pull;
mod push;
mod service;
