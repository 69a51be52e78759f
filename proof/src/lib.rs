//! Formats that a stranger can check: content digests, the manifest of a model version, its
//! signatures and statements, and their verification without a server.
//!
//! Everything here is synchronous and free of network access; only [`keys`] and
//! [`verify::folder`] read files. Parsers take bytes from strangers: they return errors, never
//! panic, and say which field held which value and what was expected instead.
//!
//! ```
//! use waybill_proof::{Digest, bundle, keys::{FileKey, TrustedKeys}, manifest::{Manifest, ModelFile}, oms, verify};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("model.pkl"), "weights")?;
//! let files = vec![ModelFile { path: "model.pkl".into(), digest: Digest::of(b"weights"), size_bytes: 7 }];
//!
//! let key = FileKey::generate()?;
//! let manifest = Manifest::build(files)?;
//! let signature = bundle::sign_statement(&key, &oms::statement("iris", manifest.files())?)?;
//! std::fs::write(folder.path().join("model.sig"), signature)?;
//!
//! let trusted = TrustedKeys::pinned([key.public_key().clone()]);
//! assert!(verify::folder(folder.path(), &trusted).passed());
//! std::fs::write(folder.path().join("model.pkl"), "Weights")?;
//! assert!(!verify::folder(folder.path(), &trusted).passed());
//! # Ok(())
//! # }
//! ```

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
