//! Media types of what the registry stores beside a model's files.

/// OMS signature over every file: a Sigstore bundle (OpenSSF Model Signing 1.0), `model.sig`.
pub const OMS_SIGNATURE: &str = "application/vnd.waybill.oms-signature.v1+json";
/// Signed statement that binds a version's uid, name and number to its content.
pub const REGISTRATION_STATEMENT: &str = "application/vnd.waybill.registration-statement.v1+json";
/// Signed SLSA v1 provenance, `provenance.sigstore.json`.
pub const PROVENANCE: &str = "application/vnd.waybill.provenance.v1+json";
/// Signed statement about the run that made the version, once it has ended.
pub const RUN_COMPLETED: &str = "application/vnd.waybill.run-completed.v1+json";
/// [`crate::documents::Requirements`], canonical JSON.
pub const REQUIREMENTS: &str = "application/vnd.waybill.requirements.v1+json";
/// [`crate::documents::ExperimentConfig`], canonical JSON.
pub const EXPERIMENT_CONFIG: &str = "application/vnd.waybill.experiment-config.v1+json";
/// [`crate::documents::RegistrationSnapshot`], canonical JSON.
pub const REGISTRATION_SNAPSHOT: &str = "application/vnd.waybill.registration-snapshot.v1+json";
/// [`crate::documents::Lockfile`], canonical JSON.
pub const LOCKFILE: &str = "application/vnd.waybill.lockfile.v1+json";
/// Signed statement of who resolved a lockfile, from what and how.
pub const LOCKFILE_SIGNATURE: &str = "application/vnd.waybill.lockfile-signature.v1+json";

/// OCI image manifest, the form of a version's manifest (OCI image-spec 1.1).
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// `artifactType` of a model manifest (CNCF ModelPack model-spec).
pub const MODEL_MANIFEST: &str = "application/vnd.cncf.model.manifest.v1+json";
/// Config blob of a model manifest (CNCF ModelPack model-spec).
pub const MODEL_CONFIG: &str = "application/vnd.cncf.model.config.v1+json";
/// Sigstore bundle, the only version that OMS 1.0 verifiers accept.
pub const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// DSSE payload type of every in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
