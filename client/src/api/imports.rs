//! Moving in from another registry: objects with the ids, numbers and times that they had there.
//!
//! An import is named by where its objects come from. Whatever was brought over once is not
//! brought again: every object carries the id that it has at the source.

use super::{ImportSpans, ImportTrace, Stage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use waybill_proof::documents::MetricNumber;

/// Objects of one batch.
pub const IMPORT_OBJECTS_MAX: usize = 1_000;
/// Bytes of one batch's body.
pub const IMPORT_BATCH_MAX_BYTES: usize = 32 << 20;

/// What objects come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportKind {
    /// An MLflow tracking server and model registry.
    Mlflow,
}

/// Begins an import, or goes on with the one of the same source.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreateImport {
    pub kind: ImportKind,
    /// Address of the source, e.g. `http://old:5000`; without user name and password.
    pub source: String,
    /// What is known of the source, e.g. `MLflow 3.17.2, read through its REST API`.
    #[serde(default)]
    pub detail: String,
}

/// An import and how much of it is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Import {
    pub import_id: String,
    pub kind: ImportKind,
    pub source: String,
    pub detail: String,
    pub created_by: String,
    pub created_at_ms: i64,
    pub counts: Vec<ImportCount>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportCount {
    pub kind: ImportedKind,
    /// Objects that are here with all that belongs to them.
    pub complete: u64,
    /// Objects that were begun.
    pub incomplete: u64,
}

/// Kinds of objects that an import keeps account of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportedKind {
    Experiment,
    Run,
    LoggedModel,
    RegisteredModel,
    ModelVersion,
    Artifact,
    Trace,
}

impl ImportedKind {
    pub const ALL: [Self; 7] = [
        Self::Experiment,
        Self::Run,
        Self::LoggedModel,
        Self::RegisteredModel,
        Self::ModelVersion,
        Self::Artifact,
        Self::Trace,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Experiment => "experiment",
            Self::Run => "run",
            Self::LoggedModel => "logged_model",
            Self::RegisteredModel => "registered_model",
            Self::ModelVersion => "model_version",
            Self::Artifact => "artifact",
            Self::Trace => "trace",
        }
    }
}

/// An object as the source has it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceObject {
    /// Its id there; `name/number` of a version, the path of an artifact.
    pub id: String,
    /// Changes whenever the object does; at most 200 characters.
    pub fingerprint: String,
}

/// Asks which objects are here already.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LookUpImported {
    pub kind: ImportedKind,
    /// At most 1,000.
    pub objects: Vec<SourceObject>,
}

/// How much of an object is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportedState {
    New,
    /// Begun, then interrupted; or a version that is a pointer, because its files were not found.
    Incomplete,
    /// Complete, but another one than the source has now.
    Changed,
    Complete,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedObject {
    pub state: ImportedState,
    /// Its id here, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_id: Option<String>,
}

/// In the order of the objects that were asked for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportedObjects {
    pub objects: Vec<ImportedObject>,
}

/// Objects that are written together. One that is refused leaves the others alone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportBatch {
    pub objects: Vec<ImportObject>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ImportObject {
    Experiment(ImportExperiment),
    Run(Box<ImportRun>),
    Metrics(ImportMetrics),
    LoggedModel(Box<ImportLoggedModel>),
    Trace(Box<ImportTrace>),
    Spans(ImportSpans),
    RegisteredModel(ImportRegisteredModel),
    Aliases(ImportAliases),
    Complete(ImportComplete),
}

/// An experiment, with its tags. It keeps its id where that is free.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportExperiment {
    pub id: String,
    pub name: String,
    /// Left out: below this server's own root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_location: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A run with all but its metrics.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportRun {
    /// Kept.
    pub id: String,
    /// The experiment's id at the source.
    pub experiment_id: String,
    pub name: String,
    pub user_id: String,
    /// `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`.
    pub status: String,
    pub start_time_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time_ms: Option<i64>,
    /// Left out: below the experiment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_uri: Option<String>,
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub datasets: Vec<ImportDataset>,
    /// Logged models that it read.
    #[serde(default)]
    pub model_inputs: Vec<String>,
    /// Logged models that it made.
    #[serde(default)]
    pub model_outputs: Vec<ImportModelOutput>,
}

/// A dataset that a run read, with the tags of that use.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportDataset {
    pub name: String,
    pub digest: String,
    pub source_type: String,
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportModelOutput {
    pub model_id: String,
    #[serde(default)]
    pub step: i64,
}

/// Values of a run's metrics. What is here already is left alone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportMetrics {
    pub run_id: String,
    pub points: Vec<ImportPoint>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportPoint {
    pub key: String,
    /// A number, or `"NaN"`, `"Infinity"`, `"-Infinity"`.
    #[schema(value_type = Value)]
    pub value: MetricNumber,
    pub timestamp_ms: i64,
    #[serde(default)]
    pub step: i64,
}

/// A logged model with its params, tags and metrics.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportLoggedModel {
    /// Kept.
    pub id: String,
    /// The experiment's id at the source.
    pub experiment_id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_location: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    /// `LOGGED_MODEL_READY` and its kin.
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    #[serde(default)]
    pub model_type: String,
    #[serde(default)]
    pub source_run_id: String,
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub metrics: Vec<ImportModelMetric>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportModelMetric {
    #[serde(flatten)]
    pub point: ImportPoint,
    pub run_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

/// A registered model, or a prompt, without its versions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportRegisteredModel {
    /// Its id and its name.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Aliases of a registered model whose versions are here.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportAliases {
    pub name: String,
    pub aliases: BTreeMap<String, i64>,
    /// When the model was changed last at the source.
    pub updated_at_ms: i64,
}

/// Says that an object is here with all that belongs to it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportComplete {
    pub of: ImportedKind,
    pub id: String,
    pub fingerprint: String,
}

/// A version under the number that it had. Its files are those at `source`, frozen and signed as
/// imported, where this server holds them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportVersion {
    pub name: String,
    pub version: i64,
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who registered it at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    /// The label only: nothing is deployed before somebody promotes it here.
    pub stage: Stage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_link: Option<String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    pub fingerprint: String,
}

/// Binds the files of an upload session below a directory of the artifacts. A path that holds
/// other content of this server's own refuses all of them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportArtifacts {
    pub upload_id: String,
    /// Directory, e.g. `1/<run id>/artifacts`.
    pub root: String,
    /// Of each file by its path in the session.
    pub fingerprints: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportResult {
    Created,
    Updated,
    Unchanged,
    /// Nothing of it was written; code and detail say why.
    Refused,
}

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportOutcome {
    pub result: ImportResult,
    /// Its id here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// In the order of the objects that were sent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportOutcomes {
    pub outcomes: Vec<ImportOutcome>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportPage {
    pub imports: Vec<Import>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
