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
    db::{Conn, DbError},
    models::{Version, store::versions},
    runs::{self, RunStatus},
};
use waybill_client::api::Referrer;
use waybill_proof::{
    Digest,
    bundle::{Bundle, MAX_BUNDLE_BYTES},
    documents::{RunCompleted, RunSnapshot, SchemaVersion},
    media_type,
    statement::{Predicate, RunEnd},
};

/// Others may attest ends of the same run at the same time; each tries again after one of them did.
const ATTEMPTS_MAX: u32 = 8;

/// Attests the end of a run to its frozen versions, in the background, when it has ended. Call it
/// after the commit that ended the run and after one that registered a version of it; what a crash
/// loses is made up for by [`catch_up`].
pub fn run_ended(app: &App, run_id: &str) {
    let (app, run_id) = (app.clone(), run_id.to_owned());
    tokio::spawn(async move {
        if let Err(error) = attest(&app, &run_id).await {
            tracing::error!(run_id, %error, "the end of a run could not be attested; the next start tries again");
        }
    });
}

/// Attests, in the background, the ends that were not attested before the server stopped.
pub fn catch_up(app: &App) {
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(error) = attest_missing(&app).await {
            tracing::error!(%error, "the end of some runs could not be attested; the next start tries again");
        }
    });
}

/// The newest end of each run, where nothing says it yet.
pub async fn attest_missing(app: &App) -> Result<(), ProvenanceError> {
    let runs = store::runs_with_unsaid_end(&mut app.db.read().await?, media_type::RUN_COMPLETED).await?;
    for run_id in runs {
        // One run that cannot be attested keeps the others from nothing.
        if let Err(error) = attest(app, &run_id).await {
            tracing::error!(run_id, %error, "the end of a run could not be attested; the next start tries again");
        }
    }
    Ok(())
}

/// Attests the end of a run, once there is one, to its frozen versions; an end that was attested before
/// is not again.
pub async fn attest(app: &App, run_id: &str) -> Result<(), ProvenanceError> {
    for _ in 0..ATTEMPTS_MAX {
        if attest_once(app, run_id).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// What is to be attached to a version, and what had been attached last when it was made.
struct Made {
    uid: String,
    seen: Option<Digest>,
    referrer: NewReferrer,
}

/// False when somebody else attested an end meanwhile, perhaps an older one.
async fn attest_once(app: &App, run_id: &str) -> Result<bool, ProvenanceError> {
    let mut conn = app.db.snapshot().await?;
    let versions = versions::frozen_of_run(&mut conn, run_id).await?;
    if versions.is_empty() {
        return Ok(true);
    }
    let Some(run) = run_snapshot(&mut conn, run_id).await? else {
        return Ok(true);
    };
    if !RunStatus::parse(&run.status).is_some_and(RunStatus::has_ended) {
        return Ok(true);
    }
    let mut made = Vec::new();
    for version in versions {
        let last = last(&mut conn, &version.uid).await?;
        let seen = last.as_ref().map(|last| last.digest);
        let newest = match last {
            Some(last) => Some(read(app, &mut conn, &last).await?),
            None => None,
        };
        if newest.is_none_or(|end| end.completed.run != run)
            && let Some(referrer) = statement(app, &version, &run)?
        {
            made.push(Made { uid: version.uid, seen, referrer });
        }
    }
    drop(conn);
    if made.is_empty() {
        return Ok(true);
    }
    let input = (run_id.to_owned(), made, app.clock.now_ms());
    app.db.write(input, |tx, (run_id, made, now_ms)| Box::pin(attach(tx, run_id, made, *now_ms))).await
}

async fn attach(tx: &mut Conn, run_id: &str, made: &[Made], now_ms: i64) -> Result<bool, ProvenanceError> {
    // Whoever attests an end of this run waits here.
    runs::store::lock(tx, run_id).await?;
    for one in made {
        if last(tx, &one.uid).await?.map(|last| last.digest) != one.seen {
            return Ok(false);
        }
    }
    for one in made {
        store::insert(tx, &one.uid, &one.referrer, now_ms).await?;
    }
    Ok(true)
}

/// What was attested last, so that the same end is not attested twice.
async fn last(conn: &mut Conn, uid: &str) -> Result<Option<Referrer>, DbError> {
    let attached = store::of_version(conn, uid).await?;
    Ok(attached.into_iter().rev().find(|referrer| referrer.artifact_type == media_type::RUN_COMPLETED))
}

async fn read(app: &App, conn: &mut Conn, attested: &Referrer) -> Result<RunEnd, ProvenanceError> {
    let bytes = super::attach::document_in(app, conn, &attested.digest, attested.size_bytes).await?;
    let bundle: Bundle = serde_json::from_slice(&bytes).map_err(ProvenanceError::Stored)?;
    let payload = bundle.dsse_envelope.payload_bytes().map_err(waybill_proof::bundle::BundleError::from)?;
    let statement = serde_json::from_slice(&payload).map_err(ProvenanceError::Stored)?;
    Ok(RunEnd::read(&statement)?)
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
