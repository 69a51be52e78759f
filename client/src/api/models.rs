//! Registered models and their versions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use waybill_proof::{Digest, media_type};

/// A registered model: a name and its numbered versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    /// Highest version number given out so far; 0 when there is none.
    pub last_version: i64,
    pub aliases: Vec<Alias>,
}

/// A name that points to one version of a model and may be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alias {
    pub alias: String,
    pub version: i64,
}

/// Whether the registry holds a version's files, and so can prove and deploy it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Custody {
    /// Files copied by content at registration; immutable, signed, deployable.
    Frozen,
    /// Files live elsewhere; the source is handed back as posted. No proof, not deployable.
    Pointer,
    /// A prompt, stored the way MLflow stores them.
    Prompt,
}

/// Where a version stands on its way to production.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    None,
    Test,
    Staging,
    Production,
    Archived,
}

/// A word that names no stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stage {0:?} is none of none, test, staging, production, archived")]
pub struct InvalidStage(String);

impl Stage {
    pub const ALL: [Self; 5] = [Self::None, Self::Test, Self::Staging, Self::Production, Self::Archived];

    /// The word on the wire and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Test => "test",
            Self::Staging => "staging",
            Self::Production => "production",
            Self::Archived => "archived",
        }
    }
}

/// Written by hand so that any other value, text or not, is answered with the stages there are.
impl<'de> Deserialize<'de> for Stage {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl serde::de::Visitor<'_> for Word {
            type Value = Stage;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one of \"none\", \"test\", \"staging\", \"production\", \"archived\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Stage, E> {
                let found = Stage::ALL.into_iter().find(|stage| stage.as_str() == text);
                found.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Word)
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Stage {
    type Err = InvalidStage;

    /// Reads a stage in any case: MLflow writes `Production`.
    fn from_str(text: &str) -> Result<Self, InvalidStage> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| InvalidStage(text.chars().take(100).collect()))
    }
}

/// One immutable version of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelVersion {
    /// Which version it is, for ever: survives deletion and re-creation of the model's name.
    pub uid: String,
    pub name: String,
    pub version: i64,
    pub custody: Custody,
    pub stage: Stage,
    pub aliases: Vec<String>,
    /// As the client posted it.
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Id of the MLflow logged model (`m-…`) it was registered from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    pub created_by: String,
    pub created_at_ms: i64,
    /// What follows is there for `custody: frozen` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<FrozenContent>,
}

/// Digests of what was frozen and signed at registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrozenContent {
    /// Digest of the ModelPack manifest: what the version *is*.
    #[schema(value_type = String)]
    pub manifest_digest: Digest,
    /// Root over all file digests, the subject of every signed statement (hex without prefix in OMS).
    #[schema(value_type = String)]
    pub oms_root: Digest,
    pub file_count: u64,
    pub size_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub requirements_digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub experiment_config_digest: Option<Digest>,
    #[schema(value_type = String)]
    pub registration_snapshot_digest: Digest,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ModelPage {
    pub models: Vec<Model>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ModelVersionPage {
    pub versions: Vec<ModelVersion>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A document, signature or statement attached to a version's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Referrer {
    /// Media type that tells what it is; the constants are in `waybill_proof::media_type`.
    pub artifact_type: String,
    #[schema(value_type = String)]
    pub digest: Digest,
    pub size_bytes: u64,
    pub created_at_ms: i64,
    /// Key hint of the signer, for signed referrers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

impl Referrer {
    /// Of what is attached to a version, the oldest first, what a verification has to fetch: of the
    /// statements about its run's end only the newest. A run that is opened again has one more each time.
    pub fn to_verify(mut attached: Vec<Self>) -> Vec<Self> {
        let is_end = |referrer: &Self| referrer.artifact_type == media_type::RUN_COMPLETED;
        let newest = attached.iter().rposition(is_end);
        let mut at = 0;
        attached.retain(|referrer| {
            let kept = !is_end(referrer) || Some(at) == newest;
            at += 1;
            kept
        });
        attached
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReferrerList {
    pub referrers: Vec<Referrer>,
}

/// Attaches a signed document to a version, e.g. a lockfile with the bundle that signs it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AttachReferrer {
    pub artifact_type: String,
    /// The document, as text exactly as signed or hashed.
    pub content: String,
}

/// A lockfile found by its key, with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundLockfile {
    #[serde(flatten)]
    pub referrer: Referrer,
    /// The document, as text exactly as hashed.
    pub content: String,
    /// The signature that came with it, the text of a Sigstore bundle; a deployer uses no lockfile
    /// of another version without one that it trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_ends_of_a_run_the_newest_is_verified() {
        let types = [
            media_type::LOCKFILE,
            media_type::RUN_COMPLETED,
            media_type::PROVENANCE,
            media_type::RUN_COMPLETED,
        ];
        let attached: Vec<Referrer> = (types.iter().zip(0..))
            .map(|(artifact_type, created_at_ms)| Referrer {
                artifact_type: (*artifact_type).to_owned(),
                digest: Digest::of(b""),
                size_bytes: 0,
                created_at_ms,
                signed_by: None,
            })
            .collect();
        let times = |referrers: &[Referrer]| referrers.iter().map(|r| r.created_at_ms).collect::<Vec<_>>();
        assert_eq!(times(&Referrer::to_verify(attached.clone())), [0, 2, 3]);
        assert_eq!(times(&Referrer::to_verify(attached[..1].to_vec())), [0]);
    }
}
