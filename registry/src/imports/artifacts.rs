//! Artifacts: the files of an upload session, bound to the paths that they had.

use super::{
    ImportsError,
    batch::outcome,
    check,
    store::{self, Mark},
};
use crate::{
    app::App,
    artifacts::{
        ArtifactError, ArtifactPath,
        tree::{self, Node},
        uploads,
    },
    audit::{self, Cause},
    db::Conn,
};
use waybill_client::api::{ImportArtifacts, ImportOutcome, ImportResult, ImportedKind};
use waybill_proof::manifest::ModelFile;

#[derive(Clone)]
struct Input {
    import_id: String,
    import_rid: i64,
    root: ArtifactPath,
    request: ImportArtifacts,
    cause: Cause,
}

/// Binds all files of the session, or none of them. Content that this server holds under one of
/// the paths, and that did not come by this import, is not replaced.
pub async fn bind(
    app: &App,
    cause: Cause,
    import_id: &str,
    request: ImportArtifacts,
) -> Result<ImportOutcome, ImportsError> {
    let import_rid = store::rid(&mut app.db.read().await?, import_id).await?;
    let root = ArtifactPath::parse_file(&request.root)?;
    if root.frozen().is_some() {
        return Err(ArtifactError::ReadOnly { path: root.to_string() }.into());
    }
    for fingerprint in request.fingerprints.values() {
        check::fingerprint(fingerprint)?;
    }
    let input = Input { import_id: import_id.to_owned(), import_rid, root, request, cause };
    let bound = app.content.bind_write(input, |tx, input| Box::pin(bind_all(tx, input))).await;
    match bound {
        Ok(outcome) => Ok(outcome),
        Err(error @ ArtifactError::NoUpload { .. }) => Err(error.into()),
        Err(error) => ImportsError::from(error).refusal(),
    }
}

async fn bind_all(tx: &mut Conn, input: &Input) -> Result<ImportOutcome, ArtifactError> {
    let now_ms = input.cause.at_ms;
    let files = uploads::consume(tx, &input.request.upload_id, now_ms).await?;
    let count = files.len();
    for file in files {
        bind_one(tx, input, &file).await?;
    }
    let what = format!("{count} files below {}", input.root);
    let event = input.cause.event("import.artifacts_added", input.import_id.clone());
    audit::record(tx, &event.change(None, Some(&what))).await?;
    Ok(outcome(ImportResult::Created, &format!("mlflow-artifacts:/{}", input.root)))
}

async fn bind_one(tx: &mut Conn, input: &Input, file: &ModelFile) -> Result<(), ArtifactError> {
    let path = input.root.join(&ArtifactPath::parse_file(&file.path)?)?;
    let blob = crate::artifacts::stored(tx, &file.digest).await?;
    let known = store::mark_of(tx, input.import_rid, ImportedKind::Artifact, path.as_str()).await?;
    if let (None, Node::File(there)) = (known, tree::resolve(tx, &path).await?)
        && there.digest != file.digest
    {
        let path = path.to_string();
        return Err(ArtifactError::Occupied { existing: path.clone(), path, what: "file of other content" });
    }
    tree::bind(tx, &path, blob.blob_id).await?;
    let fingerprint = input.request.fingerprints.get(&file.path).cloned();
    let mark = Mark { local_id: file.digest.to_string(), fingerprint };
    let (kind, now_ms) = (ImportedKind::Artifact, input.cause.at_ms);
    Ok(store::mark(tx, input.import_rid, kind, path.as_str(), &mark, now_ms).await?)
}
