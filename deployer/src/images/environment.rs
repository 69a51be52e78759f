//! The environment image: a base plus the packages of one lockfile. Models are mounted into it,
//! so every version with the same lockfile runs on the same image.

use super::{ENVIRONMENT_LABEL, LOCK_LABEL, PYTHON_VERSION_LABEL, context::ContextTar, proxies};
use crate::engine::{Build, Engine, EngineError, Image, Lines};
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
/// every package with hashes. `lines` receives the builder's output.
pub async fn ensure_environment(
    engine: &dyn Engine,
    key: &EnvironmentKey,
    lock: &str,
    index_url: Option<&str>,
    lines: Lines<'_>,
) -> Result<EnvironmentImage, EngineError> {
    let (tag, digest) = (key.tag(), key.digest().to_string());
    if let Some(image) = engine.image(&tag).await?
        && image.labels.get(ENVIRONMENT_LABEL) == Some(&digest)
    {
        return Ok(EnvironmentImage { image, reused: true });
    }
    let mut arguments: BTreeMap<_, _> = proxies().collect();
    if let Some(url) = index_url {
        arguments.insert("UV_DEFAULT_INDEX".to_owned(), url.to_owned());
    }
    let context = (|| {
        let mut context = ContextTar::new(&dockerfile(&key.base_image_id))?;
        context.add("requirements.lock", lock.as_bytes())?;
        context.finish()
    })()
    .map_err(|error| EngineError::Other {
        action: "write the build context".to_owned(),
        message: error.to_string(),
    })?;
    let labels = BTreeMap::from([
        (ENVIRONMENT_LABEL.to_owned(), digest),
        (LOCK_LABEL.to_owned(), key.lock_digest.to_string()),
    ]);
    let build = Build { tag, context, arguments, labels };
    Ok(EnvironmentImage { image: engine.build(&build, lines).await?, reused: false })
}

/// No shell, and nothing of the user's in a command: the lockfile is a file. Bytecode is compiled
/// here because the container's root is read-only, and each start would compile it again.
fn dockerfile(base_image_id: &str) -> String {
    format!(
        "FROM {base_image_id}\n\
         ARG UV_DEFAULT_INDEX\n\
         COPY requirements.lock /opt/waybill/requirements.lock\n\
         RUN [\"uv\", \"venv\", \"--python\", \"python3\", \"/opt/waybill/venv\"]\n\
         RUN [\"uv\", \"pip\", \"install\", \"--python\", \"/opt/waybill/venv/bin/python\", \
         \"--require-hashes\", \"--no-deps\", \"--only-binary\", \":all:\", \"--no-cache\", \
         \"--compile-bytecode\", \"--no-progress\", \"--color\", \"never\", \
         \"-r\", \"/opt/waybill/requirements.lock\"]\n\
         ENV VIRTUAL_ENV=/opt/waybill/venv PATH=/opt/waybill/venv/bin:$PATH\n"
    )
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
