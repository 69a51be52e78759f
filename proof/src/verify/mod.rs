//! Verification without a server: of a version from its evidence, of a pulled folder, of a
//! lockfile. A report names every check and what it rests on.

mod folder;
mod lockfile;
mod report;
mod version;

pub use folder::folder;
pub use lockfile::{LockfileRefused, lockfile};
pub use report::{Check, Outcome, Report};
pub use version::{Expected, VersionEvidence, version};
