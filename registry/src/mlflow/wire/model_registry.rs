//! Messages of mlflow/protos/model_registry.proto.

use super::{PAIR, Pair};
use crate::{
    mlflow::extract::{Field, Kind, Message, nonempty, nullable, number, opt_text, optional, required},
    models::{ModelDetails, Tags, VersionDetails, stage},
};
use serde::{Deserialize, Serialize};

/// Tags as sent; the last value of a key wins.
pub fn tags(pairs: Vec<Pair>) -> Tags {
    super::pairs(pairs).into_iter().map(|pair| (pair.key, pair.value)).collect()
}

macro_rules! message {
    ($name:ident { $($field:literal: $presence:ident $kind:expr),* $(,)? }) => {
        impl Message for $name {
            const FIELDS: &'static [Field] = &[$($presence($field, $kind)),*];
        }
    };
}

#[derive(Debug, Deserialize)]
pub struct CreateRegisteredModel {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<Pair>,
    #[serde(default, deserialize_with = "opt_text")]
    pub description: Option<String>,
}
message!(CreateRegisteredModel {
    "name": required Kind::Text,
    "tags": optional Kind::Messages(PAIR),
    "description": optional Kind::Text,
});

/// `GetRegisteredModel`, `DeleteRegisteredModel`.
#[derive(Debug, Deserialize)]
pub struct Named {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
}
message!(Named { "name": required Kind::Text });

#[derive(Debug, Deserialize)]
pub struct UpdateRegisteredModel {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub description: String,
}
message!(UpdateRegisteredModel { "name": required Kind::Text, "description": optional Kind::Text });

#[derive(Debug, Deserialize)]
pub struct RenameRegisteredModel {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub new_name: String,
}
message!(RenameRegisteredModel { "name": required Kind::Text, "new_name": required Kind::Text });

/// `SearchRegisteredModels`, `SearchModelVersions`.
#[derive(Debug, Deserialize)]
pub struct Search {
    #[serde(default, deserialize_with = "nullable")]
    pub filter: String,
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
    #[serde(default, deserialize_with = "nullable")]
    pub order_by: Vec<String>,
    #[serde(default, deserialize_with = "opt_text")]
    pub page_token: Option<String>,
}
message!(Search {
    "filter": optional Kind::Text,
    "max_results": optional Kind::Int,
    "order_by": optional Kind::Texts,
    "page_token": optional Kind::Text,
});

#[derive(Debug, Deserialize)]
pub struct GetLatestVersions {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub stages: Vec<String>,
}
message!(GetLatestVersions { "name": required Kind::Text, "stages": optional Kind::Texts });

#[derive(Debug, Deserialize)]
pub struct SetRegisteredModelTag {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
    #[serde(default, deserialize_with = "nullable")]
    pub value: String,
}
message!(SetRegisteredModelTag {
    "name": required Kind::Text,
    "key": required Kind::Text,
    "value": optional Kind::Text,
});

#[derive(Debug, Deserialize)]
pub struct DeleteRegisteredModelTag {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
}
message!(DeleteRegisteredModelTag { "name": required Kind::Text, "key": required Kind::Text });

#[derive(Debug, Deserialize)]
pub struct SetRegisteredModelAlias {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub alias: String,
    #[serde(deserialize_with = "nonempty")]
    pub version: String,
}
message!(SetRegisteredModelAlias {
    "name": required Kind::Text,
    "alias": required Kind::Text,
    "version": required Kind::Text,
});

/// `DeleteRegisteredModelAlias`, `GetModelVersionByAlias`.
#[derive(Debug, Deserialize)]
pub struct NamedAlias {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub alias: String,
}
message!(NamedAlias { "name": required Kind::Text, "alias": required Kind::Text });

#[derive(Debug, Deserialize)]
pub struct CreateModelVersion {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub source: String,
    #[serde(default, deserialize_with = "opt_text")]
    pub run_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<Pair>,
    #[serde(default, deserialize_with = "opt_text")]
    pub run_link: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub description: String,
    #[serde(default, deserialize_with = "opt_text")]
    pub model_id: Option<String>,
}
message!(CreateModelVersion {
    "name": required Kind::Text,
    "source": required Kind::Text,
    "run_id": optional Kind::Text,
    "tags": optional Kind::Messages(PAIR),
    "run_link": optional Kind::Text,
    "description": optional Kind::Text,
    "model_id": optional Kind::Text,
});

/// `GetModelVersion`, `DeleteModelVersion`, `GetModelVersionDownloadUri`.
#[derive(Debug, Deserialize)]
pub struct Numbered {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub version: String,
}
message!(Numbered { "name": required Kind::Text, "version": required Kind::Text });

/// The query of `model-versions/get-artifact`, which is no proto.
#[derive(Debug, Deserialize)]
pub struct ModelVersionFile {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub version: String,
    #[serde(deserialize_with = "nonempty")]
    pub path: String,
}
message!(ModelVersionFile {
    "name": required Kind::Text,
    "version": required Kind::Text,
    "path": required Kind::Text,
});

#[derive(Debug, Deserialize)]
pub struct UpdateModelVersion {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub version: String,
    #[serde(default)]
    pub description: Option<String>,
}
message!(UpdateModelVersion {
    "name": required Kind::Text,
    "version": required Kind::Text,
    "description": optional Kind::Text,
});

#[derive(Debug, Deserialize)]
pub struct TransitionModelVersionStage {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub version: String,
    #[serde(deserialize_with = "nonempty")]
    pub stage: String,
    #[serde(default, deserialize_with = "nullable")]
    pub archive_existing_versions: bool,
}
message!(TransitionModelVersionStage {
    "name": required Kind::Text,
    "version": required Kind::Text,
    "stage": required Kind::Text,
    "archive_existing_versions": optional Kind::Bool,
});

#[derive(Debug, Deserialize)]
pub struct SetModelVersionTag {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub version: String,
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
    #[serde(default, deserialize_with = "nullable")]
    pub value: String,
}
message!(SetModelVersionTag {
    "name": required Kind::Text,
    "version": required Kind::Text,
    "key": required Kind::Text,
    "value": optional Kind::Text,
});

#[derive(Debug, Deserialize)]
pub struct DeleteModelVersionTag {
    #[serde(deserialize_with = "nonempty")]
    pub name: String,
    #[serde(deserialize_with = "nonempty")]
    pub version: String,
    #[serde(deserialize_with = "nonempty")]
    pub key: String,
}
message!(DeleteModelVersionTag {
    "name": required Kind::Text,
    "version": required Kind::Text,
    "key": required Kind::Text,
});

#[derive(Debug, Serialize)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

fn tag_list(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key, value }).collect()
}

#[derive(Debug, Serialize)]
pub struct RegisteredModelAlias {
    alias: String,
    version: String,
}

#[derive(Debug, Serialize)]
pub struct RegisteredModel {
    name: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latest_versions: Vec<ModelVersion>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<RegisteredModelAlias>,
}

impl From<ModelDetails> for RegisteredModel {
    fn from(details: ModelDetails) -> Self {
        let model = details.model;
        Self {
            name: model.name,
            creation_timestamp: model.created_at_ms,
            last_updated_timestamp: model.updated_at_ms,
            description: model.description.filter(|text| !text.is_empty()),
            latest_versions: details.latest.into_iter().map(ModelVersion::without_aliases).collect(),
            tags: tag_list(details.tags),
            aliases: details
                .aliases
                .into_iter()
                .map(|a| RegisteredModelAlias { alias: a.alias, version: a.version.to_string() })
                .collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct ModelVersion {
    pub name: String,
    pub version: String,
    pub creation_timestamp: i64,
    pub last_updated_timestamp: i64,
    pub current_stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub source: String,
    pub run_id: String,
    pub status: &'static str,
    pub run_link: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

impl From<VersionDetails> for ModelVersion {
    fn from(details: VersionDetails) -> Self {
        let version = details.version;
        Self {
            name: version.name,
            version: version.version.to_string(),
            creation_timestamp: version.created_at_ms,
            last_updated_timestamp: version.updated_at_ms,
            current_stage: stage::mlflow_name(version.stage),
            description: version.description,
            source: version.source,
            run_id: version.run_id.unwrap_or_default(),
            status: "READY",
            run_link: version.run_link.unwrap_or_default(),
            tags: tag_list(details.tags),
            aliases: details.aliases,
        }
    }
}

impl ModelVersion {
    /// As MLflow lists versions: it looks aliases up only for a version that is asked for by name.
    pub fn without_aliases(details: VersionDetails) -> Self {
        Self { aliases: Vec::new(), ..details.into() }
    }
}

#[derive(Debug, Serialize)]
pub struct RegisteredModelResponse {
    pub registered_model: RegisteredModel,
}

#[derive(Debug, Serialize)]
pub struct ModelVersionResponse {
    pub model_version: ModelVersion,
}

#[derive(Debug, Serialize)]
pub struct RegisteredModelsResponse {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registered_models: Vec<RegisteredModel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ModelVersionsResponse {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub model_versions: Vec<ModelVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct DownloadUriResponse {
    pub artifact_uri: String,
}
