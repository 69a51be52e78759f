//! Everything before the container: proof, lockfile, image, model.

use super::{
    Rollout, RolloutError,
    evidence::{self, Verified},
    lock::{self, Locked},
    log::RolloutLog,
    reason, revision, within,
};
use crate::{
    cache::FromRegistry,
    engine::Image,
    images::{self, EnvironmentImage, EnvironmentKey},
    runtime::{self, Runtime},
    shared::Shared,
};
use std::path::PathBuf;
use waybill_client::api::{LogStream, Revision, RolloutPhase};

/// Ready to be started.
pub struct Prepared {
    pub runtime: &'static Runtime,
    pub revision: Revision,
    pub model_folder: PathBuf,
}

pub(super) async fn prepare(rollout: &Rollout<'_>) -> Result<Prepared, RolloutError> {
    let Rollout { shared, order, log, reporter, .. } = rollout;
    let deadlines = &shared.config.deadlines;

    reporter.phase(RolloutPhase::Verifying, None).await?;
    let verified =
        within("verifying the version", deadlines.verify, evidence::verify(shared, order, log)).await?;
    let runtime = runtime_of(&verified)?;

    reporter.phase(RolloutPhase::Resolving, None).await?;
    let base = base_image(shared).await?;
    let locked = within(
        "resolving the requirements",
        deadlines.resolve,
        lock::lock(shared, order, &verified, &base, log),
    )
    .await?;
    check_packages(runtime, &locked)?;

    reporter.phase(RolloutPhase::Building, None).await?;
    let (environment, model_folder) =
        within("building the image and fetching the model", deadlines.build, async {
            tokio::try_join!(
                environment_image(shared, &locked, &base, runtime, log),
                model(shared, &order.version_uid, &verified, log),
            )
        })
        .await?;
    let revision = revision::revision(
        order,
        &verified,
        &locked,
        &environment.image,
        environment.reused,
        runtime,
        &shared.config.limits,
    )?;
    Ok(Prepared { runtime, revision, model_folder })
}

fn runtime_of(verified: &Verified) -> Result<&'static Runtime, RolloutError> {
    runtime::for_model(|path| verified.manifest.file(path).is_some()).ok_or_else(|| {
        let known: Vec<_> = runtime::RUNTIMES
            .iter()
            .map(|r| format!("{} at its root for {}", r.marker_file, r.name))
            .collect();
        RolloutError::failed(
            reason::RUNTIME_UNSUPPORTED,
            format!("no runtime serves this model; expected {}", known.join(" or ")),
        )
    })
}

fn check_packages(runtime: &Runtime, locked: &Locked) -> Result<(), RolloutError> {
    match runtime::missing_package(runtime, &locked.text) {
        None => Ok(()),
        Some(group) => Err(RolloutError::failed(
            reason::RUNTIME_UNSUPPORTED,
            format!(
                "the runtime {} needs {} among the model's requirements",
                runtime.name,
                group.join(" or ")
            ),
        )),
    }
}

async fn base_image(shared: &Shared) -> Result<Image, RolloutError> {
    let name = &shared.config.images.base;
    let found = shared.engine.image(name).await?;
    let usable = found.filter(|i| i.labels.contains_key(images::PYTHON_VERSION_LABEL));
    usable.ok_or_else(|| {
        RolloutError::failed(
            reason::BASE_IMAGE_MISSING,
            format!(
                "the engine has no base image {name:?}: run `waybill images base` once, then promote \
                 again"
            ),
        )
    })
}

async fn environment_image(
    shared: &Shared,
    locked: &Locked,
    base: &Image,
    runtime: &Runtime,
    log: &RolloutLog,
) -> Result<EnvironmentImage, RolloutError> {
    let key = EnvironmentKey::new(locked.digest, base, runtime.identity());
    // Two deployments that need the same image build it once.
    let _turn = shared.turns.take(&key.tag()).await;
    let started = std::time::Instant::now();
    let environment = images::ensure_environment(
        shared.engine.as_ref(),
        &key,
        &locked.text,
        shared.config.images.index_url.as_deref(),
        &|line| log.line(LogStream::Build, line),
    )
    .await?;
    let id = &environment.image.id;
    log.event(&if environment.reused {
        format!("environment image {} exists ({id}): nothing to build", key.tag())
    } else {
        format!(
            "built environment image {} ({id}, {} MB) in {:.1} s",
            key.tag(),
            environment.image.size_bytes / 1_000_000,
            started.elapsed().as_secs_f64()
        )
    });
    Ok(environment)
}

async fn model(
    shared: &Shared,
    version_uid: &str,
    verified: &Verified,
    log: &RolloutLog,
) -> Result<PathBuf, RolloutError> {
    let source = FromRegistry { client: &shared.client, version_uid };
    // Two environments that need the same model fetch it once.
    let name = format!("model {}", verified.manifest.digest());
    let _turn = shared.turns.take(&name).await;
    let cached = shared.cache.ensure(&verified.manifest, &source).await?;
    let (count, bytes) = (verified.manifest.files().len(), verified.manifest.size_bytes());
    log.event(&if cached.reused {
        let ms = cached.verified_ms;
        format!("model cache: {count} files, {bytes} bytes, hashed again in {ms} ms")
    } else {
        format!("fetched {count} files, {bytes} bytes, hashed on the way")
    });
    Ok(cached.folder)
}
