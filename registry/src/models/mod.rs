//! Registered models, their numbered versions, aliases and tags.

mod announce;
mod error;
mod imported;
mod manage;
mod names;
mod origin;
mod read;
mod register;
pub mod routes;
mod source;
pub mod stage;
pub mod store;
#[cfg(test)]
mod tests;

pub use error::ModelsError;
pub use imported::Importing;
pub use manage::{
    Tagged, create_model, delete_alias, delete_model, delete_tag, delete_version, describe_model,
    describe_version, rename_model, set_alias, set_tag,
};
pub use names::{
    check_alias, check_description, check_id, check_model_name, check_new_alias, check_reference, check_tag,
    check_tag_key, check_tags, parse_version,
};
pub use read::{
    ModelDetails, VersionDetails, download_uri, latest_versions, model, models_page, resolve, search_models,
    search_versions, to_api_model, version, version_by_alias, version_by_uid, versions_page, with_details,
    with_tags,
};
pub use register::{Content, Registering, register};

use std::collections::BTreeMap;
use waybill_client::api::{Custody, FrozenContent, Stage};

/// Tag by which MLflow tells prompts from models.
pub const IS_PROMPT_TAG: &str = "mlflow.prompt.is_prompt";
/// Aliases of one model.
pub const ALIASES_MAX: i64 = 1_000;
/// Tags of one model or version.
pub const TAGS_MAX: i64 = 2_000;

/// A registered model without its tags, aliases and versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub model_id: i64,
    pub name: String,
    pub description: Option<String>,
    pub last_version: i64,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

/// A version without its tags and aliases.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    pub version_id: i64,
    pub model_id: i64,
    pub uid: String,
    /// The model's name now.
    pub name: String,
    pub version: i64,
    pub custody: Custody,
    pub stage: Stage,
    pub source: String,
    /// Where a pointer's files are, `models:/` references followed.
    pub location: String,
    pub description: Option<String>,
    pub run_id: Option<String>,
    pub run_link: Option<String>,
    pub logged_model_id: Option<String>,
    pub created_by: String,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    pub deleted: bool,
    /// There for frozen versions.
    pub content: Option<FrozenContent>,
}

impl Version {
    /// `iris@3`, as audit events and people name it.
    pub fn subject(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// Whether `tags` mark a prompt.
pub fn marks_prompt(tags: &Tags) -> bool {
    tags.get(IS_PROMPT_TAG).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}
