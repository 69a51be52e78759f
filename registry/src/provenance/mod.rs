//! What is recorded and signed about a version: manifest, documents, signatures, statements.

mod attach;
mod error;
mod evidence;
pub mod keys;
mod lineage;
mod rename;
pub mod routes;
mod run_end;
pub mod store;

pub use attach::{attach, find_lockfile, inline_document, manifest, referrers};
pub use error::ProvenanceError;
pub use evidence::{Draft, Evidence, registration_statement};
pub use lineage::{logged_model_snapshot, run_snapshot};
pub use rename::sign_again;
#[cfg(test)]
pub use run_end::attest_missing;
pub use run_end::{attest, catch_up, run_ended};
