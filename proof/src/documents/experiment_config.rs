//! The experiment config: what a run was told to do, from its params and tags or from the user.

use super::{
    Document, SchemaVersion,
    redact::{self, url_passwords},
};
use crate::media_type;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a run was told to do. Two runs of the same code, params and data have the same config.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    pub schema_version: SchemaVersion,
    /// Parameters of the run.
    #[serde(default, serialize_with = "redact::texts")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub params: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RunSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ContainerImage>,
    /// What was read, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<Dataset>,
    /// Whatever else the user binds to the version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Value>,
}

/// Where the code that ran came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSource {
    /// `LOCAL`, `NOTEBOOK`, `JOB`, `PROJECT` as MLflow names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Script, notebook or project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<String>,
}

/// Commit that the code was checked out from, as the client reported it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_url: Option<String>,
    #[serde(default)]
    pub dirty: Dirty,
}

/// Whether the work tree had changes that the commit does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dirty {
    True,
    False,
    /// Nobody said.
    #[default]
    Unknown,
}

/// Container image that the run ran in, as the client reported it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerImage {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A dataset that a run read.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    pub name: String,
    /// MLflow's digest: a truncated MD5 of at most 10,000 rows, so a label and no proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mlflow_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_type: Option<String>,
    /// As the client posted it, often JSON; without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it was read for, e.g. `training`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Columns, as the client posted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Row counts and the like, as the client posted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl ExperimentConfig {
    /// Reads the config of a run from its params, its tags (MLflow's `mlflow.source.*`,
    /// `mlflow.project.*` and `mlflow.docker.*`; others say nothing about the config) and what it read.
    pub fn from_run(
        params: BTreeMap<String, String>,
        tags: &BTreeMap<String, String>,
        mut datasets: Vec<Dataset>,
    ) -> Self {
        let tag =
            |name: &str| tags.get(name).filter(|value| !value.is_empty()).map(|value| url_passwords(value));
        let source = RunSource {
            kind: tag("mlflow.source.type"),
            name: tag("mlflow.source.name"),
            entry_point: tag("mlflow.project.entryPoint"),
        };
        let git = GitSource {
            commit: tag("mlflow.source.git.commit"),
            branch: tag("mlflow.source.git.branch"),
            repository_url: tag("mlflow.source.git.repoURL"),
            dirty: dirty(tag("mlflow.source.git.dirty").as_deref()),
        };
        let image = ContainerImage { uri: tag("mlflow.docker.image.uri"), id: tag("mlflow.docker.image.id") };
        for dataset in &mut datasets {
            dataset.source = dataset.source.as_deref().map(url_passwords);
        }
        datasets.sort();
        datasets.dedup();
        Self {
            schema_version: SchemaVersion,
            params,
            source: (source != RunSource::default()).then_some(source),
            git: (git != GitSource::default()).then_some(git),
            image: (image != ContainerImage::default()).then_some(image),
            datasets,
            extra: BTreeMap::new(),
        }
    }
}

fn dirty(tag: Option<&str>) -> Dirty {
    match tag.map(str::to_ascii_lowercase).as_deref() {
        Some("true") => Dirty::True,
        Some("false") => Dirty::False,
        _ => Dirty::Unknown,
    }
}

impl Document for ExperimentConfig {
    const FILE: &'static str = "experiment-config.json";
    const MEDIA_TYPE: &'static str = media_type::EXPERIMENT_CONFIG;
}
