//! The environment image: a base plus the packages of one lockfile. Models are mounted into it,
//! so every version with the same lockfile runs on the same image.

use super::{
    ENVIRONMENT_LABEL, Index, LOCK_LABEL, PYTHON_VERSION_LABEL, RUNTIME_LABEL, context::ContextTar, fetch,
};
use crate::engine::{Build, Context, Engine, EngineError, Image, Lines, NewImage};
use serde::Serialize;
use std::collections::BTreeMap;
use waybill_proof::Digest;

/// Everything that an environment image is made from; its digest names the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvironmentKey {
    pub lock_digest: Digest,
    pub base_image_id: String,
    pub python_version: String,
    /// `linux/amd64`, …
    pub platform: String,
    /// Name and version of the runtime, `mlflow-pyfunc/1`.
    pub runtime: String,
}

impl EnvironmentKey {
    /// Of the key on this base.
    pub fn new(lock_digest: Digest, base: &Image, runtime: String) -> Self {
        Self {
            lock_digest,
            base_image_id: base.id.clone(),
            python_version: base.labels.get(PYTHON_VERSION_LABEL).cloned().unwrap_or_default(),
            platform: base.platform.clone(),
            runtime,
        }
    }

    pub fn digest(&self) -> Digest {
        let parts = [
            self.lock_digest.to_string(),
            self.base_image_id.clone(),
            self.python_version.clone(),
            self.platform.clone(),
            self.runtime.clone(),
            RECIPE.to_owned(),
        ];
        Digest::of(parts.join("\n").as_bytes())
    }

    /// `waybill-env:<16 hex digits>`.
    pub fn tag(&self) -> String {
        format!("waybill-env:{}", &self.digest().hex()[..16])
    }
}

/// Goes up when the steps of [`dockerfile`] change what they produce.
const RECIPE: &str = "1";

/// An image that holds a lockfile's packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentImage {
    pub image: Image,
    /// It was there already.
    pub reused: bool,
}

/// The image of this key: the one that exists, or a new one installed from `lock`, which must pin
/// every package with hashes. `container_labels` mark a container of the installation, so that one
/// left by a crash is found. `lines` receives the builder's output.
pub async fn ensure_environment(
    engine: &dyn Engine,
    key: &EnvironmentKey,
    lock: &str,
    index: Index<'_>,
    container_labels: BTreeMap<String, String>,
    lines: Lines<'_>,
) -> Result<EnvironmentImage, EngineError> {
    let (tag, digest) = (key.tag(), key.digest().to_string());
    if let Some(image) = engine.image(&tag).await?
        && image.labels.get(ENVIRONMENT_LABEL) == Some(&digest)
    {
        return Ok(EnvironmentImage { image, reused: true });
    }
    let labels = BTreeMap::from([
        (ENVIRONMENT_LABEL.to_owned(), digest),
        (LOCK_LABEL.to_owned(), key.lock_digest.to_string()),
        (RUNTIME_LABEL.to_owned(), key.runtime.clone()),
    ]);
    let file_error = |error: std::io::Error| EngineError::Other {
        action: "prepare the installation".to_owned(),
        message: error.to_string(),
    };
    let image = match index.netrc {
        None => {
            let context = context(key, lock).map_err(file_error)?;
            let build = Build { tag, context, arguments: fetch::environment(index), labels, anew: false };
            engine.build(&build, lines).await?
        }
        Some(netrc) => {
            let mut variables = fetch::environment(index);
            // Downloads go to the disk: `/tmp` is memory.
            variables.insert("TMPDIR".to_owned(), "/var/tmp".to_owned());
            let commands = [words(&VENV), words(&[&INSTALL[..], &["-r", "-"]].concat())];
            let stdin = fetch::stdin(netrc, &variables, &commands, lock.as_bytes()).map_err(file_error)?;
            let spec = fetch::container("install", &key.base_image_id, container_labels);
            let image = NewImage { tag, labels, environment: venv_variables() };
            engine.run_into_image(&spec, stdin, &image, lines).await?
        }
    };
    Ok(EnvironmentImage { image, reused: false })
}

const VENV: [&str; 5] = ["uv", "venv", "--python", "python3", "/opt/waybill/venv"];
/// Bytecode is compiled here because the container's root is read-only, and each start would
/// compile it again.
const INSTALL: [&str; 14] = [
    "uv",
    "pip",
    "install",
    "--python",
    "/opt/waybill/venv/bin/python",
    "--require-hashes",
    "--no-deps",
    "--only-binary",
    ":all:",
    "--no-cache",
    "--compile-bytecode",
    "--no-progress",
    "--color",
    "never",
];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn context(key: &EnvironmentKey, lock: &str) -> std::io::Result<Context> {
    let mut context = ContextTar::new(&dockerfile(&key.base_image_id))?;
    context.add("requirements.lock", lock.as_bytes())?;
    context.finish()
}

/// No shell, and nothing of the user's in a command: the lockfile is a file.
fn dockerfile(base_image_id: &str) -> String {
    let run = |words: &[&str]| format!("RUN {}\n", serde_json::json!(words));
    let install = [&INSTALL[..], &["-r", "/opt/waybill/requirements.lock"]].concat();
    format!(
        "FROM {base_image_id}\n\
         ARG UV_DEFAULT_INDEX\n\
         COPY requirements.lock /opt/waybill/requirements.lock\n\
         {}{}\
         ENV VIRTUAL_ENV=/opt/waybill/venv PATH=/opt/waybill/venv/bin:$PATH\n",
        run(&VENV),
        run(&install),
    )
}

/// A commit does not know the base's PATH.
fn venv_variables() -> BTreeMap<String, String> {
    let path = "/opt/waybill/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    [("VIRTUAL_ENV", "/opt/waybill/venv"), ("PATH", path)].map(|(n, v)| (n.to_owned(), v.to_owned())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_key_changes_the_tag() {
        let key = EnvironmentKey {
            lock_digest: Digest::of(b"lock"),
            base_image_id: "sha256:base".into(),
            python_version: "3.11.2".into(),
            platform: "linux/amd64".into(),
            runtime: "mlflow-pyfunc/1".into(),
        };
        let others = [
            EnvironmentKey { lock_digest: Digest::of(b"other"), ..key.clone() },
            EnvironmentKey { base_image_id: "sha256:other".into(), ..key.clone() },
            EnvironmentKey { python_version: "3.11.3".into(), ..key.clone() },
            EnvironmentKey { platform: "linux/arm64".into(), ..key.clone() },
            EnvironmentKey { runtime: "mlflow-pyfunc/2".into(), ..key.clone() },
        ];
        for other in others {
            assert_ne!(other.tag(), key.tag(), "{other:?}");
        }
        assert_eq!(key.tag().len(), "waybill-env:".len() + 16);
    }
}
