//! A revision: the immutable recipe of a container, and the names that follow from it.

use super::{Order, RolloutError, evidence::Verified, lock::Locked, reason};
use crate::{
    engine::{ContainerSpec, Image, Limits, Mount, Tmpfs},
    gateway::routes::REVISION_FIELD,
    labels,
    runtime::Runtime,
    shared::Shared,
};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};
use waybill_client::api::Revision;
use waybill_proof::{Digest, json::canonical};

/// Everything that decides what runs. Equal recipes are one revision, so that a rollback finds the
/// container or the image that served before.
#[derive(Serialize)]
struct Recipe<'a> {
    environment: &'a str,
    model: &'a str,
    version_uid: &'a str,
    manifest_digest: Digest,
    lock_digest: Digest,
    image_id: &'a str,
    runtime: String,
    command: &'a [&'a str],
    variables: BTreeMap<&'a str, &'a str>,
    memory_bytes: u64,
    cpu_millis: u64,
    pids: u32,
}

pub fn revision(
    order: &Order,
    verified: &Verified,
    locked: &Locked,
    image: &Image,
    image_reused: bool,
    runtime: &Runtime,
    limits: &Limits,
) -> Result<Revision, RolloutError> {
    let recipe = Recipe {
        environment: &order.environment,
        model: &order.model,
        version_uid: &order.version_uid,
        manifest_digest: verified.manifest.digest(),
        lock_digest: locked.digest,
        image_id: &image.id,
        runtime: runtime.identity(),
        command: runtime.command,
        variables: runtime.environment.iter().copied().collect(),
        memory_bytes: limits.memory_bytes,
        cpu_millis: limits.cpu_millis,
        pids: limits.pids,
    };
    let bytes =
        canonical(&recipe).map_err(|e| RolloutError::failed(reason::DEPLOYER_ERROR, e.to_string()))?;
    let spec_hash = Digest::of(&bytes);
    Ok(Revision {
        revision_id: format!("rev_{}", &spec_hash.hex()[..16]),
        manifest_digest: recipe.manifest_digest,
        lock_digest: locked.digest,
        runtime: runtime.name.to_owned(),
        image_digest: image.id.clone(),
        spec_hash,
        image_reused,
        lock_reused: locked.reused,
    })
}

/// The container of a revision. Its name is the same at every attempt, which makes it the lock
/// against starting it twice.
pub fn container(
    shared: &Shared,
    order: &Order,
    revision: &Revision,
    runtime: &Runtime,
    model_folder: &Path,
) -> ContainerSpec {
    let mut all = labels::serving(&shared.instance, &order.environment);
    let own = [
        (labels::MODEL, order.model.clone()),
        (labels::VERSION, order.version.to_string()),
        (labels::VERSION_UID, order.version_uid.clone()),
        (labels::REVISION, revision.revision_id.clone()),
        (labels::MANIFEST, revision.manifest_digest.to_string()),
        (labels::SPEC_HASH, revision.spec_hash.to_string()),
        (labels::RUNTIME, runtime.name.to_owned()),
        (labels::ROLLOUT, order.rollout_id.clone()),
        (labels::GENERATION, order.generation.to_string()),
        (labels::TELLS_REVISION, true.to_string()),
    ];
    all.extend(own.map(|(name, value)| (name.to_owned(), value)));
    ContainerSpec {
        name: name(&shared.instance, order, &revision.revision_id),
        image: revision.image_digest.clone(),
        command: command(runtime, &revision.revision_id),
        environment: runtime
            .environment
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        labels: all,
        user: "65532:65532".to_owned(),
        mounts: vec![Mount { host: model_folder.to_owned(), container: runtime.model_path.to_owned() }],
        tmpfs: vec![Tmpfs { path: "/tmp".to_owned(), size_bytes: runtime.tmp_bytes }],
        limits: shared.config.limits,
        publish: None,
    }
}

/// Answers name the revision: by that the gateway knows that it still talks to this container.
fn command(runtime: &Runtime, revision_id: &str) -> Vec<String> {
    let mut command: Vec<String> = runtime.command.iter().map(|&part| part.to_owned()).collect();
    command.extend([runtime.answer_field.to_owned(), format!("{REVISION_FIELD}:{revision_id}")]);
    command
}

/// Instance and revision make it unique; the rest is for people who read `docker ps`.
fn name(instance: &str, order: &Order, revision_id: &str) -> String {
    let slug: String =
        order.model.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(32).collect();
    format!(
        "waybill-{}-{}-{slug}-{}-g{}",
        &instance[..instance.len().min(8)],
        order.environment,
        revision_id.trim_start_matches("rev_"),
        order.generation
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::Kind;

    #[test]
    fn any_model_name_makes_a_container_name() {
        let order = Order {
            environment: "staging".into(),
            model: "Iris models/ünïcode: 1".into(),
            version: 3,
            version_uid: "uid".into(),
            generation: 7,
            rollout_id: "ro".into(),
            serving_revision: None,
            served_as: None,
            kind: Kind::Rollout,
        };
        let name = name("0123456789abcdef", &order, "rev_00ff00ff00ff00ff");
        assert_eq!(name, "waybill-01234567-staging-Iris-models--n-code--1-00ff00ff00ff00ff-g7");
    }
}
