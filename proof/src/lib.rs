//! Formats that a stranger can check.

mod digest;
pub use digest::Digest;
