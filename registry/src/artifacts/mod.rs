//! Content: blobs by digest, one namespace of artifact paths, and upload sessions.
//!
//! Bytes go through [`ContentStore`]; what exists and where it is bound lives in the database.

mod backend;
mod content;
mod damage;
mod error;
pub mod frozen;
mod hash;
mod ingest;
mod keys;
mod local;
mod location;
mod marker;
pub mod multipart;
mod path;
mod place;
mod read;
pub mod routes;
pub mod signed;
pub mod small;
mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod transfer;
pub mod tree;
pub mod uploads;
mod verify;

pub use content::{BlobInfo, ContentStore, OpenError};
pub use error::ArtifactError;
pub use ingest::{Body, Expected};
pub use location::{InvalidLocation, Location};
pub use path::{ArtifactPath, VERSIONS};
pub use place::{Found, Place};
pub use read::ByteStream;
pub use store::{StoredBlob, stored};
