//! The statement about how the run behind a version ended. Autolog registers before it logs
//! metrics and datasets, so it comes after the registration; it changes nothing about what the
//! version is.

use super::{
    ProvenanceError,
    evidence::inline_bundle,
    lineage::run_snapshot,
    store::{self, NewReferrer},
};
use crate::{
    app::App,
    models::{Version, store::versions},
    runs::RunStatus,
};
use waybill_proof::{
    bundle::{Bundle, MAX_BUNDLE_BYTES},
    documents::{RunCompleted, RunSnapshot, SchemaVersion},
    media_type,
    statement::{Predicate, RunEnd},
};

/// Attests the end of a run to its frozen versions, in the background, when it has ended. Call it
/// after the commit that ended the run and after one that registered a version of it; what a crash loses is made up for by [`catch_up`].
pub fn run_ended(app: &App, run_id: &str) {
    let (app, run_id) = (app.clone(), run_id.to_owned());
    tokio::spawn(async move {
        if let Err(error) = attest(&app, &run_id).await {
            tracing::error!(run_id, %error, "the end of a run could not be attested; the next start tries again");
        }
    });
}

/// Attests, in the background, what was not attested before the server stopped.
pub fn catch_up(app: &App) {
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(error) = attest_missing(&app).await {
            tracing::error!(%error, "the end of some runs could not be attested; the next start tries again");
        }
    });
}

async fn attest_missing(app: &App) -> Result<(), ProvenanceError> {
    let runs = store::runs_without_end(&mut app.db.read().await?, media_type::RUN_COMPLETED).await?;
    for run_id in runs {
        // One run that cannot be attested keeps the others from nothing.
        if let Err(error) = attest(app, &run_id).await {
            tracing::error!(run_id, %error, "the end of a run could not be attested; the next start tries again");
        }
    }
    Ok(())
}

/// Attests the end of a run, once there is one, to its frozen versions; an end that was attested before is not again.
pub async fn attest(app: &App, run_id: &str) -> Result<(), ProvenanceError> {
    let mut conn = app.db.snapshot().await?;
    let versions = versions::frozen_of_run(&mut conn, run_id).await?;
    if versions.is_empty() {
        return Ok(());
    }
    let Some(run) = run_snapshot(&mut conn, run_id).await? else {
        return Ok(());
    };
    if !RunStatus::parse(&run.status).is_some_and(RunStatus::has_ended) {
        return Ok(());
    }
    let mut made = Vec::new();
    for version in versions {
        let newest = newest(app, &mut conn, &version.uid).await?;
        if newest.is_none_or(|end| end.completed.run != run)
            && let Some(referrer) = statement(app, &version, &run)?
        {
            made.push((version.uid, referrer));
        }
    }
    drop(conn);
    if made.is_empty() {
        return Ok(());
    }
    let input = (made, app.clock.now_ms());
    app.db
        .write(input, |tx, (made, now_ms)| {
            Box::pin(async move {
                for (uid, referrer) in made {
                    store::insert(tx, uid, referrer, *now_ms).await?;
                }
                Ok::<_, ProvenanceError>(())
            })
        })
        .await
}

/// What was attested last, so that the same end is not attested twice.
async fn newest(app: &App, conn: &mut crate::db::Conn, uid: &str) -> Result<Option<RunEnd>, ProvenanceError> {
    let attached = store::of_version(conn, uid).await?;
    let Some(last) = attached.into_iter().rev().find(|r| r.artifact_type == media_type::RUN_COMPLETED) else {
        return Ok(None);
    };
    let bytes = super::attach::document_in(app, conn, &last.digest, last.size_bytes).await?;
    let bundle: Bundle = serde_json::from_slice(&bytes).map_err(ProvenanceError::Stored)?;
    let payload = bundle.dsse_envelope.payload_bytes().map_err(waybill_proof::bundle::BundleError::from)?;
    let statement = serde_json::from_slice(&payload).map_err(ProvenanceError::Stored)?;
    Ok(Some(RunEnd::read(&statement)?))
}

fn statement(
    app: &App,
    version: &Version,
    run: &RunSnapshot,
) -> Result<Option<NewReferrer>, ProvenanceError> {
    let Some(content) = &version.content else {
        return Ok(None);
    };
    let completed =
        RunCompleted { schema_version: SchemaVersion, run: run.clone(), observed_at_ms: app.clock.now_ms() };
    let end = RunEnd {
        uid: version.uid.clone(),
        name: version.name.clone(),
        version: version.version,
        manifest_digest: content.manifest_digest,
        oms_root: content.oms_root,
        completed,
    };
    let bytes = end.sign(app.signer.as_ref())?;
    if bytes.len() > MAX_BUNDLE_BYTES {
        // Nobody would read it, and it would stand in the way of what is read.
        tracing::warn!(run_id = run.run_id, bytes = bytes.len(), "the end of a run is too large to attest");
        return Ok(None);
    }
    Ok(Some(inline_bundle(app.signer.as_ref(), media_type::RUN_COMPLETED, &bytes)))
}
