//! How our containers are told from everybody else's, and from each other.

use std::collections::BTreeMap;

/// Id of the deployer that made it: several deployers may share an engine.
pub const INSTANCE: &str = "io.waybill.instance";
/// [`SERVE`] or [`RESOLVE`]; the latter also of containers that install.
pub const PURPOSE: &str = "io.waybill.purpose";
pub const SERVE: &str = "serve";
pub const RESOLVE: &str = "resolve";
pub const ENVIRONMENT: &str = "io.waybill.environment";
pub const MODEL: &str = "io.waybill.model";
pub const VERSION: &str = "io.waybill.version";
pub const VERSION_UID: &str = "io.waybill.version-uid";
/// Digest of the manifest whose files are mounted.
pub const MANIFEST: &str = "io.waybill.manifest";
pub const REVISION: &str = "io.waybill.revision";
pub const SPEC_HASH: &str = "io.waybill.spec-hash";
/// Name of the runtime.
pub const RUNTIME: &str = "io.waybill.runtime";
pub const ROLLOUT: &str = "io.waybill.rollout";
pub const GENERATION: &str = "io.waybill.generation";

/// Set where the container's answers name its revision.
pub const TELLS_REVISION: &str = "io.waybill.tells-revision";

/// Of every container with this purpose.
pub fn of(instance: &str, purpose: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(INSTANCE.to_owned(), instance.to_owned()), (PURPOSE.to_owned(), purpose.to_owned())])
}

/// Of the serving containers of one environment.
pub fn serving(instance: &str, environment: &str) -> BTreeMap<String, String> {
    let mut labels = of(instance, SERVE);
    labels.insert(ENVIRONMENT.to_owned(), environment.to_owned());
    labels
}
