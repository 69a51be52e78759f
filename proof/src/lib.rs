//! Formats that a stranger can check: content digests, the manifest of a model version, its
//! signatures and statements, and their verification without a server.
//!
//! Everything here is synchronous and free of network access; only [`keys`] and
//! [`verify::folder`] read files. Parsers take bytes from strangers: they return errors, never
//! panic, and say which field held which value and what was expected instead.

pub mod bundle;
mod digest;
pub mod documents;
pub mod dsse;
pub mod json;
pub mod keys;
pub mod manifest;
pub mod media_type;
pub mod oms;
pub mod path;
pub mod statement;
pub mod verify;

pub use digest::{Digest, InvalidDigest};
