//! Everything about a version that does not depend on its number: made and stored before the
//! version exists, so that registering it is one transaction of rows.

use super::{ProvenanceError, store::NewReferrer};
use crate::app::App;
use std::collections::BTreeMap;
use waybill_client::api::FrozenContent;
use waybill_proof::{
    Digest, bundle,
    documents::{
        Completeness, Document, ExperimentConfig, Lockfile, LoggedModelSnapshot, MAX_DOCUMENT_BYTES,
        MAX_FILE_BYTES, RegistrationSnapshot, Requirements, RunSnapshot, SchemaVersion,
    },
    keys::Signer,
    manifest::{Manifest, ModelFile},
    media_type, oms,
    statement::{
        BUILDER_CLIENT_REPORTED, BUILDER_IMPORTED, Imported, Predicate, Provenance, Registration,
        run_invocation_id,
    },
};

/// What a version is made from.
#[derive(Debug, Clone)]
pub struct Draft {
    pub name: String,
    /// Their blobs are stored.
    pub files: Vec<ModelFile>,
    pub source: String,
    pub description: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub run: Option<RunSnapshot>,
    pub logged_model: Option<LoggedModelSnapshot>,
    /// The user's own; `None`: from the run or logged model, where there is one.
    pub config: Option<ExperimentConfig>,
    /// A lockfile document, or a whole resolution in pip's format.
    pub lockfile: Option<String>,
    /// There when the version had a number elsewhere.
    pub imported: Option<Imported>,
    pub actor: String,
    pub now_ms: i64,
}

/// What was made and stored.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub content: FrozenContent,
    pub files: Vec<ModelFile>,
    pub referrers: Vec<NewReferrer>,
    pub lockfile_digest: Option<Digest>,
}

impl Evidence {
    /// Builds manifest and documents, signs what needs no number, and stores all of it by digest.
    pub async fn prepare(app: &App, draft: Draft) -> Result<Self, ProvenanceError> {
        let manifest = Manifest::build(draft.files.clone())?;
        let root = oms::root(manifest.files());
        let mut made = Made { app, referrers: Vec::new() };
        app.content.put_bytes(manifest.to_bytes()).await?;
        app.content.put_bytes(manifest.config_bytes().to_vec()).await?;

        let (requirements, lockfile) = environment(app, &draft, manifest.files()).await?;
        let config = draft.config.clone().or_else(|| config_of(&draft));
        let requirements_digest = made.document(requirements.as_ref()).await?;
        let config_digest = made.document(config.as_ref()).await?;
        let lockfile_digest = made.document(lockfile.as_ref()).await?;
        if let (Some(lockfile), Some(referrer)) = (&lockfile, made.referrers.last_mut()) {
            referrer.lock_key = Some(lockfile.key());
        }
        let snapshot_digest = made.document(Some(&snapshot(&draft))).await?;

        let statement = oms::statement(&draft.name, manifest.files())?;
        made.bundle(media_type::OMS_SIGNATURE, &statement).await?;
        let invocation_id = draft.run.as_ref().map(|run| run_invocation_id(&app.registry_id, &run.run_id));
        let provenance = Provenance {
            name: &draft.name,
            oms_root: root,
            manifest_digest: manifest.digest(),
            config: config.as_ref(),
            experiment_config_digest: config_digest,
            requirements_digest,
            lockfile_digest,
            run: draft.run.as_ref(),
            invocation_id: invocation_id.as_deref(),
            registered_by: &draft.actor,
            registered_at_ms: draft.now_ms,
            imported: draft.imported.as_ref(),
            builder_id: if draft.imported.is_some() { BUILDER_IMPORTED } else { BUILDER_CLIENT_REPORTED },
            builder_version: env!("CARGO_PKG_VERSION"),
        };
        made.bundle(media_type::PROVENANCE, &provenance.statement()?).await?;
        let Some(registration_snapshot_digest) = snapshot_digest else {
            unreachable!("a document that was given has a digest");
        };
        let content = FrozenContent {
            manifest_digest: manifest.digest(),
            oms_root: root,
            file_count: manifest.files().len() as u64,
            size_bytes: manifest.size_bytes(),
            requirements_digest,
            experiment_config_digest: config_digest,
            registration_snapshot_digest,
        };
        let referrers = made.referrers;
        Ok(Self { content, files: manifest.files().to_vec(), referrers, lockfile_digest })
    }
}

/// Stores what is made, and remembers it.
struct Made<'a> {
    app: &'a App,
    referrers: Vec<NewReferrer>,
}

impl Made<'_> {
    async fn document<D: Document>(
        &mut self,
        document: Option<&D>,
    ) -> Result<Option<Digest>, ProvenanceError> {
        let Some(document) = document else {
            return Ok(None);
        };
        let bytes = document.to_bytes().map_err(ProvenanceError::Document)?;
        refuse_large(D::FILE, bytes.len(), MAX_DOCUMENT_BYTES)?;
        let blob = self.app.content.put_bytes(bytes).await?;
        self.referrers.push(NewReferrer {
            artifact_type: D::MEDIA_TYPE,
            digest: blob.digest,
            size_bytes: blob.size_bytes,
            signed_by: None,
            content: None,
            lock_key: None,
        });
        Ok(Some(blob.digest))
    }

    async fn bundle(&mut self, artifact_type: &'static str, statement: &[u8]) -> Result<(), ProvenanceError> {
        let signer = &self.app.signer;
        let bytes = bundle::sign_statement(signer.as_ref(), statement)?;
        refuse_large("signed statement", bytes.len(), bundle::MAX_BUNDLE_BYTES)?;
        let blob = self.app.content.put_bytes(bytes).await?;
        self.referrers.push(NewReferrer {
            artifact_type,
            digest: blob.digest,
            size_bytes: blob.size_bytes,
            signed_by: Some(signer.hint().to_owned()),
            content: None,
            lock_key: None,
        });
        Ok(())
    }
}

/// What is larger than anybody reads would be kept and never verify.
fn refuse_large(file: &'static str, bytes: usize, max: usize) -> Result<(), ProvenanceError> {
    if bytes > max {
        return Err(ProvenanceError::DocumentTooLarge { file, bytes, max });
    }
    Ok(())
}

/// Requirements from the files at the model's root, and the lockfile that came with the version.
/// A lockfile in pip's format is the better description of what the model requires.
async fn environment(
    app: &App,
    draft: &Draft,
    files: &[ModelFile],
) -> Result<(Option<Requirements>, Option<Lockfile>), ProvenanceError> {
    let mut texts = BTreeMap::new();
    for file in files.iter().filter(|file| Requirements::FILE_NAMES.contains(&file.path.as_str())) {
        // One byte past the limit is enough for the error that names it.
        let bytes = app.content.read_bytes(&file.digest, MAX_FILE_BYTES as u64 + 1).await?;
        texts.insert(file.path.clone(), bytes.to_vec());
    }
    let Some(lockfile) = &draft.lockfile else {
        return Ok((Requirements::from_files(&texts)?, None));
    };
    if lockfile.trim_start().starts_with('{') {
        let document = Lockfile::parse(lockfile.as_bytes()).map_err(ProvenanceError::Lockfile)?;
        return Ok((Requirements::from_files(&texts)?, Some(document)));
    }
    for name in ["uv.lock", "pylock.toml"] {
        texts.remove(name);
    }
    texts.insert("requirements.txt".to_owned(), lockfile.clone().into_bytes());
    let requirements = Requirements::from_files(&texts)?;
    match requirements.as_ref().map(|r| r.completeness) {
        Some(Completeness::Hashed) => Ok((requirements, None)),
        other => Err(ProvenanceError::LockfileIncomplete {
            completeness: match other {
                Some(Completeness::Pinned) => "pinned",
                Some(Completeness::Direct) => "direct",
                _ => "open",
            },
        }),
    }
}

/// The run's parameters, source and datasets; a logged model without a run has parameters only.
fn config_of(draft: &Draft) -> Option<ExperimentConfig> {
    match (&draft.run, &draft.logged_model) {
        (Some(run), _) => {
            Some(ExperimentConfig::from_run(run.params.clone(), &run.tags, run.datasets.clone()))
        }
        (None, Some(model)) => {
            Some(ExperimentConfig::from_run(model.params.clone(), &model.tags, Vec::new()))
        }
        (None, None) => None,
    }
}

fn snapshot(draft: &Draft) -> RegistrationSnapshot {
    RegistrationSnapshot {
        schema_version: SchemaVersion,
        source: draft.source.clone(),
        description: draft.description.clone(),
        tags: draft.tags.clone(),
        registered_by: draft.actor.clone(),
        registered_at_ms: draft.now_ms,
        run: draft.run.clone(),
        logged_model: draft.logged_model.clone(),
    }
}

/// The signed statement that binds uid, name and number to the content. Small, and made where
/// the number is known: inside the transaction, so it is kept in its row.
pub fn registration_statement(
    signer: &dyn Signer,
    registration: &Registration,
) -> Result<NewReferrer, ProvenanceError> {
    let bytes = registration.sign(signer)?;
    Ok(inline_bundle(signer, media_type::REGISTRATION_STATEMENT, &bytes))
}

pub(super) fn inline_bundle(signer: &dyn Signer, artifact_type: &'static str, bytes: &[u8]) -> NewReferrer {
    NewReferrer {
        artifact_type,
        digest: Digest::of(bytes),
        size_bytes: bytes.len() as u64,
        signed_by: Some(signer.hint().to_owned()),
        content: Some(String::from_utf8_lossy(bytes).into_owned()),
        lock_key: None,
    }
}
