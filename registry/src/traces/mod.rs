//! Traces: what an application did in one call, as a tree of spans, and what was said about it.
//!
//! A trace comes in two parts that arrive in any order: its spans, over OTLP ([`ingest`]), and its
//! summary ([`lifecycle`]). Clients that cannot send spans keep them in an artifact `traces.json`.

pub mod artifacts;
pub mod assessments;
pub mod correlation;
mod error;
pub mod ingest;
pub mod lifecycle;
pub mod limits;
pub mod links;
pub mod metrics;
pub mod otlp;
mod preview;
pub mod read;
pub mod span;
pub mod store;
pub mod tags;
mod translate;
mod types;
pub mod usage;
pub mod value;

pub use error::TracesError;
pub use types::{Pairs, Trace, TraceInfo, TraceState, metadata_key, spans_location, tag_key};
