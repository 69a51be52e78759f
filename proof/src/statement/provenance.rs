//! SLSA provenance (v1) of a version: how its files came to be, as far as the registry knows.

use super::{Imported, StatementError, version_subjects};
use crate::{
    Digest,
    bundle::Statement,
    documents::{Dirty, ExperimentConfig, RunSnapshot},
    json::canonical,
    oms::STATEMENT_TYPE,
};
use serde_json::{Map, Value, json};

const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
const BUILD_TRAINING: &str = "https://waybill.dev/build-type/training/v1";
const BUILD_REGISTERING: &str = "https://waybill.dev/build-type/registering/v1";
const BUILD_IMPORTING: &str = "https://waybill.dev/build-type/importing/v1";
/// `builder.id` where another registry told what it knew of a version that came from it.
pub const BUILDER_IMPORTED: &str = "https://waybill.dev/builder/imported/v1";
/// `builder.id` where a client told the registry what it ran (SLSA build level 1).
pub const BUILDER_CLIENT_REPORTED: &str = "https://waybill.dev/builder/client-reported/v1";
/// `builder.id` where the registry or its deployer ran it.
pub const BUILDER_REGISTRY: &str = "https://waybill.dev/builder/registry/v1";

/// What a version's provenance is written from.
#[derive(Debug, Clone)]
pub struct Provenance<'a> {
    /// Registered model: name of the first subject.
    pub name: &'a str,
    pub oms_root: Digest,
    pub manifest_digest: Digest,
    pub config: Option<&'a ExperimentConfig>,
    pub experiment_config_digest: Option<Digest>,
    pub requirements_digest: Option<Digest>,
    /// Lockfile that came with the registration.
    pub lockfile_digest: Option<Digest>,
    /// The run that made the files; absent for a pushed directory.
    pub run: Option<&'a RunSnapshot>,
    /// Names what made the files among all that was ever run: see [`run_invocation_id`].
    pub invocation_id: Option<&'a str>,
    /// Principal that registered the version.
    pub registered_by: &'a str,
    pub registered_at_ms: i64,
    /// There when the version came from another registry.
    pub imported: Option<&'a Imported>,
    /// [`BUILDER_CLIENT_REPORTED`], [`BUILDER_IMPORTED`] or [`BUILDER_REGISTRY`].
    pub builder_id: &'a str,
    /// Version of this software.
    pub builder_version: &'a str,
}

/// The digests that a provenance statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenanceSubjects {
    pub name: String,
    pub oms_root: Digest,
    pub manifest_digest: Digest,
}

impl Provenance<'_> {
    /// The in-toto statement in canonical JSON: what gets signed.
    pub fn statement(&self) -> Result<Vec<u8>, StatementError> {
        Ok(canonical(&Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: version_subjects(self.name, &self.oms_root, &self.manifest_digest),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: json!({ "buildDefinition": self.build_definition(), "runDetails": self.run_details() }),
        })?)
    }

    fn build_definition(&self) -> Value {
        json!({
            "buildType": self.build_type(),
            "externalParameters": self.external_parameters(),
            "internalParameters": without_nulls([
                ("run_id", self.run.map(|run| run.run_id.clone().into())),
                ("experiment_id", self.run.map(|run| run.experiment_id.clone().into())),
                ("user", self.run.and_then(|run| run.user.clone()).map(Value::from)),
                ("registered_by", Some(self.registered_by.into())),
            ]),
            "resolvedDependencies": self.dependencies(),
        })
    }

    fn build_type(&self) -> &'static str {
        match (self.imported, self.run) {
            (Some(_), _) => BUILD_IMPORTING,
            (None, Some(_)) => BUILD_TRAINING,
            (None, None) => BUILD_REGISTERING,
        }
    }

    fn external_parameters(&self) -> Value {
        let source = self.config.and_then(|config| config.source.as_ref());
        let git = self.config.and_then(|config| config.git.as_ref());
        let text = |value: Option<&String>| value.map(|value| Value::from(value.as_str()));
        without_nulls([
            ("repository", text(git.and_then(|git| git.repository_url.as_ref()))),
            ("ref", text(git.and_then(|git| git.branch.as_ref()))),
            ("source", text(source.and_then(|source| source.name.as_ref()))),
            ("entry_point", text(source.and_then(|source| source.entry_point.as_ref()))),
            ("params", self.config.map(|config| json!(config.params))),
            ("imported", self.imported.map(|imported| json!(imported))),
        ])
    }

    fn dependencies(&self) -> Vec<Value> {
        let document = |name: &str, digest: Option<Digest>| {
            digest.map(|digest| json!({ "name": name, "digest": { "sha256": digest.hex() } }))
        };
        let mut dependencies: Vec<Value> = [
            document("experiment-config", self.experiment_config_digest),
            document("requirements", self.requirements_digest),
            document("lockfile", self.lockfile_digest),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let Some(config) = self.config {
            dependencies.extend(git_dependency(config));
            dependencies.extend(image_dependency(config));
            dependencies.extend(config.datasets.iter().map(|dataset| {
                // MLflow's digest covers some rows in MD5: an annotation, never a `digest`.
                json!({
                    "name": dataset.name,
                    "uri": dataset_uri(dataset.source.as_deref(), &dataset.name),
                    "annotations": without_nulls([
                        ("mlflow_digest", dataset.mlflow_digest.clone().map(Value::from)),
                        ("context", dataset.context.clone().map(Value::from)),
                        ("source_type", dataset.source_type.clone().map(Value::from)),
                    ]),
                })
            }));
        }
        dependencies
    }

    fn run_details(&self) -> Value {
        let started = self.run.map_or(self.registered_at_ms, |run| run.start_time_ms);
        let finished = match self.run {
            Some(run) => run.end_time_ms,
            None => Some(self.registered_at_ms),
        };
        json!({
            "builder": { "id": self.builder_id, "version": { "waybill": self.builder_version } },
            "metadata": without_nulls([
                ("invocationId", self.invocation_id.map(Value::from)),
                ("startedOn", rfc3339(started)),
                ("finishedOn", finished.and_then(rfc3339)),
            ]),
        })
    }
}

/// A run's `invocationId`. A registry is reached by many addresses and none of them for ever, so it is
/// the run's name within the registry's own.
pub fn run_invocation_id(registry_id: &str, run_id: &str) -> String {
    format!("urn:waybill:registry:{registry_id}:run:{run_id}")
}

impl ProvenanceSubjects {
    /// Reads what a provenance statement is about.
    pub fn read(statement: &Statement) -> Result<Self, StatementError> {
        if statement.predicate_type != PREDICATE_TYPE {
            let found = statement.predicate_type.chars().take(200).collect();
            return Err(StatementError::PredicateType { found, expected: PREDICATE_TYPE });
        }
        let [model, manifest] = statement.subject.as_slice() else { return Err(StatementError::Subjects) };
        let digest = |subject: &crate::bundle::Subject| {
            let hex = subject.digest.get("sha256").ok_or(StatementError::Subjects)?;
            Digest::from_hex(hex).map_err(|_| StatementError::Subjects)
        };
        if manifest.name != super::MANIFEST_SUBJECT {
            return Err(StatementError::Subjects);
        }
        Ok(Self { name: model.name.clone(), oms_root: digest(model)?, manifest_digest: digest(manifest)? })
    }
}

fn git_dependency(config: &ExperimentConfig) -> Option<Value> {
    let git = config.git.as_ref()?;
    let commit = git.commit.as_deref()?;
    let dirty = match git.dirty {
        Dirty::True => "true",
        Dirty::False => "false",
        Dirty::Unknown => "unknown",
    };
    let uri = git.repository_url.as_deref().map(|url| format!("git+{url}").into());
    Some(without_nulls([
        ("name", Some("source".into())),
        ("uri", uri),
        ("digest", Some(json!({ "gitCommit": commit }))),
        ("annotations", Some(json!({ "dirty": dirty }))),
    ]))
}

fn image_dependency(config: &ExperimentConfig) -> Option<Value> {
    let image = config.image.as_ref()?;
    let digest = image.id.as_deref().and_then(|id| id.parse::<Digest>().ok());
    let name = image.uri.as_deref().or(image.id.as_deref())?;
    Some(without_nulls([
        ("name", Some("image".into())),
        ("uri", Some(format!("docker:{name}").into())),
        ("digest", digest.map(|digest| json!({ "sha256": digest.hex() }))),
    ]))
}

/// The address in a dataset's source, which MLflow writes as JSON with one of several fields.
fn dataset_uri(source: Option<&str>, name: &str) -> String {
    let parsed = source.and_then(|source| serde_json::from_str::<Map<String, Value>>(source).ok());
    let field = |name: &str| parsed.as_ref()?.get(name)?.as_str().map(str::to_owned);
    ["uri", "url", "path"].into_iter().find_map(field).unwrap_or_else(|| {
        let safe = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        format!(
            "urn:waybill:dataset:{}",
            name.chars().map(|c| if safe(c) { c } else { '_' }).collect::<String>()
        )
    })
}

/// Time as SLSA writes it; `None` for a time that no calendar has.
pub(super) fn rfc3339(epoch_ms: i64) -> Option<Value> {
    jiff::Timestamp::from_millisecond(epoch_ms).ok().map(|time| time.to_string().into())
}

fn without_nulls<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<Map<_, _>>()
        .into()
}
