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
    labels,
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
    let (locked, source) =
        within("resolving the requirements", deadlines.resolve, locked(rollout, &verified, runtime)).await?;
    check_packages(runtime, &locked)?;

    reporter.phase(RolloutPhase::Building, None).await?;
    let (environment, model_folder) =
        within("building the image and fetching the model", deadlines.build, async {
            tokio::try_join!(
                environment(shared, &locked, source, runtime, log),
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

/// Where the environment image comes from.
enum ImageSource {
    /// It served before, and the engine still has it.
    OnRecord(Image),
    /// Made on this base, unless that was done before.
    Base(Image),
}

/// What to install, and on what. What served before is run again as it was: only what is missing of
/// it is made anew, and only then the base image is asked for.
async fn locked(
    rollout: &Rollout<'_>,
    verified: &Verified,
    runtime: &Runtime,
) -> Result<(Locked, ImageSource), RolloutError> {
    let Rollout { shared, order, log, .. } = rollout;
    let mut known = lock::on_record(shared, order, verified, log)?;
    if let (Some(locked), Some(served_as)) = (known.take(), &order.served_as) {
        if let Some(image) = image_on_record(shared, served_as, &locked, runtime).await? {
            return Ok((locked, ImageSource::OnRecord(image)));
        }
        log.event(&format!("image {}, which served before, is gone", served_as.image_digest));
        known = Some(locked);
    }
    let base = base_image(shared).await?;
    let locked = match known.filter(|locked| locked.fits(&base)) {
        Some(locked) => locked,
        None => lock::lock(shared, order, verified, &base, log).await?,
    };
    Ok((locked, ImageSource::Base(base)))
}

/// The registry's record names the image; that it is an environment image made from this lockfile
/// is the engine's word.
async fn image_on_record(
    shared: &Shared,
    served_as: &Revision,
    locked: &Locked,
    runtime: &Runtime,
) -> Result<Option<Image>, RolloutError> {
    if !served_as.image_digest.starts_with("sha256:") {
        return Ok(None);
    }
    let found = shared.engine.image(&served_as.image_digest).await?;
    Ok(found.filter(|image| {
        let label = |name| image.labels.get(name);
        image.id == served_as.image_digest
            && label(images::ENVIRONMENT_LABEL).is_some()
            && label(images::LOCK_LABEL) == Some(&locked.digest.to_string())
            // Images made before the label was were all made for the first one.
            && label(images::RUNTIME_LABEL).map_or(runtime.version == "1", |made| *made == runtime.identity())
    }))
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

async fn environment(
    shared: &Shared,
    locked: &Locked,
    source: ImageSource,
    runtime: &Runtime,
    log: &RolloutLog,
) -> Result<EnvironmentImage, RolloutError> {
    let base = &match source {
        ImageSource::OnRecord(image) => {
            log.event(&format!("environment image {} served before: nothing to build", image.id));
            return Ok(EnvironmentImage { image, reused: true });
        }
        ImageSource::Base(base) => base,
    };
    let key = EnvironmentKey::new(locked.digest, base, runtime.identity());
    // Two deployments that need the same image build it once.
    let _turn = shared.turns.take(&key.tag()).await;
    let started = std::time::Instant::now();
    let environment = images::ensure_environment(
        shared.engine.as_ref(),
        &key,
        &locked.text,
        shared.config.images.index(),
        labels::of(&shared.instance, labels::RESOLVE),
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
