//! The base image: Python and uv, and what a closed network needs to reach its packages.

use super::{
    BASE_RECIPE_LABEL, Index, PYTHON_VERSION_LABEL, UV_VERSION_LABEL, context,
    context::ContextTar,
    debootstrap, proxies,
    uv::{self, Wheel},
};
use crate::engine::{Build, ContainerSpec, DockerEngine, Engine, EngineError, Image, Limits, Lines, Tmpfs};
use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};
use waybill_proof::Digest;

/// Pinned: two machines that build a base get the same installer. Raise it on purpose.
pub(super) const UV_REQUIREMENT: &str = "uv==0.13.9";
/// Goes up when the steps below change what they produce.
const RECIPE: &str = "1";
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// Where the root filesystem comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BaseSource {
    /// `python:X-slim` from a registry, and Debian by debootstrap when no registry is reachable.
    #[default]
    Auto,
    /// This image, pulled when the engine does not have it.
    From(String),
    /// Debian by debootstrap.
    Debootstrap,
}

/// What `waybill images base` is told.
#[derive(Debug, Clone)]
pub struct BaseOptions {
    /// Tag of the image; left out, `waybill-base:py<python>`.
    pub name: Option<String>,
    pub source: BaseSource,
    /// Minor version, `3.11`.
    pub python: String,
    /// Debian mirror for debootstrap.
    pub mirror: String,
    /// PEM certificates that containers trust besides the usual ones, e.g. of a proxy that
    /// inspects TLS.
    pub ca_bundle: Option<PathBuf>,
    /// Package index to install uv from instead of PyPI; without a password.
    pub index_url: Option<String>,
    /// File in netrc format with the index's user and password.
    pub netrc: Option<PathBuf>,
    /// Folder of wheels that the base carries and that resolution and installation look into
    /// besides the index.
    pub wheels: Option<PathBuf>,
    /// Make it anew although an image of the same options is there, e.g. for Debian's updates.
    /// New lockfiles and environment images are then made on it; what has served keeps its own.
    pub rebuild: bool,
    /// Engine's endpoint; left out, the local Docker's usual socket.
    pub docker_host: Option<String>,
}

impl Default for BaseOptions {
    fn default() -> Self {
        Self {
            name: None,
            source: BaseSource::default(),
            python: "3.11".to_owned(),
            mirror: DEFAULT_MIRROR.to_owned(),
            ca_bundle: None,
            index_url: None,
            netrc: None,
            wheels: None,
            rebuild: false,
            docker_host: None,
        }
    }
}

impl BaseOptions {
    /// Digest of what the image is made from, as far as the options tell.
    fn recipe(&self) -> std::io::Result<Digest> {
        let mut parts = vec![
            RECIPE.to_owned(),
            UV_REQUIREMENT.to_owned(),
            format!("{:?}", self.source),
            self.python.clone(),
            self.mirror.clone(),
            format!("{:?}", self.index_url),
        ];
        if let Some(path) = &self.ca_bundle {
            parts.push(format!("ca {}", Digest::of(&std::fs::read(path)?)));
        }
        if let Some(folder) = &self.wheels {
            for wheel in context::wheels(folder)? {
                parts.push(format!("{} {}", wheel.display(), Digest::of(&std::fs::read(&wheel)?)));
            }
        }
        Ok(Digest::of(parts.join("\n").as_bytes()))
    }

    /// The tag that the image gets.
    pub fn tag(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("waybill-base:py{}", self.python))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("python: no Debian release ships Python {python}; expected one of {known}, or --from IMAGE")]
    NoSuite { python: String, known: String },
    #[error(
        "the program {program:?} is not installed: `apt-get install {program}`, or name an image \
         with --from IMAGE"
    )]
    NoProgram { program: String },
    #[error(
        "{program} failed ({status}); its output is above. debootstrap needs root: run the \
         command with sudo, or name an image with --from IMAGE"
    )]
    ProgramFailed { program: String, status: String },
    #[error("no base image could be made. Pulling {image}: {pull}. debootstrap: {debootstrap}")]
    NoSource { image: String, pull: EngineError, debootstrap: Box<BaseError> },
    #[error("the base image does not work: {command} {detail}")]
    Unusable { command: String, detail: String },
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
}

impl BaseError {
    pub(super) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}

/// Builds the base image and tags it. `progress` receives the output of every step.
pub async fn build_base(options: &BaseOptions, progress: Lines<'_>) -> Result<Image, BaseError> {
    let engine = DockerEngine::new(options.docker_host.as_deref());
    engine.check().await?;
    let recipe = options.recipe().map_err(|source| BaseError::io("CA bundle or wheels", source))?;
    if let Some(present) = engine.image(&options.tag()).await?
        && !options.rebuild
        && present.labels.get(BASE_RECIPE_LABEL) == Some(&recipe.to_string())
    {
        progress(&format!("base image {} is there already; --rebuild makes it anew", options.tag()));
        return Ok(present);
    }
    let root = root_image(&engine, options, progress).await?;
    let tag = options.tag();
    let uv = match &options.netrc {
        Some(netrc) => {
            let index = Index { url: options.index_url.as_deref(), netrc: Some(netrc) };
            Some(uv::fetch_wheel(&engine, &root, index, netrc, options.ca_bundle.as_ref(), progress).await?)
        }
        None => None,
    };
    let built = engine.build(&tools_build(options, &root.id, &tag, uv.as_ref())?, progress).await?;

    // Only the built image knows its exact versions; a last layer of metadata records them.
    let python = version_of(&engine, &built, &["python3", "--version"]).await?;
    let uv = version_of(&engine, &built, &["uv", "--version"]).await?;
    let context = ContextTar::new(&format!("FROM {}\n", built.id))
        .and_then(ContextTar::finish)
        .map_err(|source| BaseError::io("build context", source))?;
    let labels = BTreeMap::from([
        (PYTHON_VERSION_LABEL.to_owned(), python),
        (UV_VERSION_LABEL.to_owned(), uv),
        (BASE_RECIPE_LABEL.to_owned(), recipe.to_string()),
    ]);
    let image = engine
        .build(
            &Build { tag: tag.clone(), context, arguments: BTreeMap::new(), labels, anew: false },
            progress,
        )
        .await?;
    // Untags only: the base stands on its layers.
    engine.remove_image(&root_tag(&options.python)).await?;
    progress(&format!("base image {tag} is {}", image.id));
    Ok(image)
}

async fn root_image(
    engine: &dyn Engine,
    options: &BaseOptions,
    progress: Lines<'_>,
) -> Result<Image, BaseError> {
    match &options.source {
        BaseSource::From(image) => {
            if let Some(present) = engine.image(image).await? {
                return Ok(present);
            }
            Ok(engine.pull(image, progress).await?)
        }
        BaseSource::Debootstrap => bootstrapped(engine, options, progress).await,
        BaseSource::Auto => {
            let image = format!("python:{}-slim", options.python);
            if let Some(present) = engine.image(&image).await? {
                return Ok(present);
            }
            let pull = match engine.pull(&image, progress).await {
                Ok(pulled) => return Ok(pulled),
                Err(error) => error,
            };
            progress(&format!("{image} cannot be pulled ({pull}): bootstrapping Debian instead"));
            bootstrapped(engine, options, progress).await.map_err(|error| BaseError::NoSource {
                image,
                pull,
                debootstrap: Box::new(error),
            })
        }
    }
}

async fn bootstrapped(
    engine: &dyn Engine,
    options: &BaseOptions,
    progress: Lines<'_>,
) -> Result<Image, BaseError> {
    let suite = debootstrap::suite(&options.python)?;
    let tag = root_tag(&options.python);
    debootstrap::import(engine, suite, &options.mirror, &tag, progress).await
}

fn root_tag(python: &str) -> String {
    format!("waybill-rootfs:py{python}")
}

fn tools_build(options: &BaseOptions, root: &str, tag: &str, uv: Option<&Wheel>) -> Result<Build, BaseError> {
    let mut arguments: BTreeMap<_, _> = proxies().collect();
    let mut dockerfile = format!("FROM {root}\n");
    if options.ca_bundle.is_some() {
        dockerfile.push_str(CA_STEPS);
    }
    if options.wheels.is_some() {
        dockerfile.push_str(
            "COPY wheels /opt/waybill/wheels\n\
             ENV UV_FIND_LINKS=/opt/waybill/wheels PIP_FIND_LINKS=/opt/waybill/wheels\n",
        );
    }
    let mut source = "";
    if uv.is_some() {
        dockerfile.push_str("COPY uv /opt/waybill/uv-wheel\n");
        source = "\"--no-index\", \"--find-links\", \"/opt/waybill/uv-wheel\", ";
    } else if let Some(url) = &options.index_url {
        dockerfile.push_str("ARG PIP_INDEX_URL\n");
        arguments.insert("PIP_INDEX_URL".to_owned(), url.clone());
    }
    let _ = write!(
        dockerfile,
        "RUN [\"python3\", \"-m\", \"venv\", \"/opt/waybill/uv\"]\n\
         RUN [\"/opt/waybill/uv/bin/pip\", \"install\", \"--no-cache-dir\", \
         \"--disable-pip-version-check\", \"--only-binary\", \":all:\", {source}\"{UV_REQUIREMENT}\"]\n\
         RUN [\"ln\", \"-sfn\", \"/opt/waybill/uv/bin/uv\", \"/usr/local/bin/uv\"]\n\
         ENV UV_PYTHON_DOWNLOADS=never PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1\n"
    );

    let context = (|| {
        let mut context = ContextTar::new(&dockerfile)?;
        if let Some(path) = &options.ca_bundle {
            context.add("ca-bundle.pem", &std::fs::read(path)?)?;
        }
        if let Some(folder) = &options.wheels {
            context.add_wheels("wheels", folder)?;
        }
        if let Some(wheel) = uv {
            context.add(&format!("uv/{}", wheel.name), &wheel.bytes)?;
        }
        context.finish()
    })();
    Ok(Build {
        tag: tag.to_owned(),
        context: context.map_err(|source| BaseError::io("CA bundle or wheels", source))?,
        arguments,
        labels: BTreeMap::new(),
        anew: options.rebuild,
    })
}

/// The given certificates are trusted besides the distribution's, by every tool that we run.
const CA_STEPS: &str = "COPY ca-bundle.pem /opt/waybill/extra-ca.pem\n\
     RUN cat /etc/ssl/certs/ca-certificates.crt /opt/waybill/extra-ca.pem \
     > /opt/waybill/ca-bundle.pem\n\
     ENV SSL_CERT_FILE=/opt/waybill/ca-bundle.pem PIP_CERT=/opt/waybill/ca-bundle.pem \
     REQUESTS_CA_BUNDLE=/opt/waybill/ca-bundle.pem CURL_CA_BUNDLE=/opt/waybill/ca-bundle.pem\n";

/// Runs `<program> --version` in the image, hardened as everything is, and gives the number back.
async fn version_of(engine: &dyn Engine, image: &Image, command: &[&str]) -> Result<String, BaseError> {
    let unusable = |detail: String| BaseError::Unusable { command: command.join(" "), detail };
    let output = engine
        .run(
            &ContainerSpec {
                name: format!("waybill-version-{}", uuid::Uuid::new_v4().simple()),
                image: image.id.clone(),
                command: command.iter().map(|&part| part.to_owned()).collect(),
                environment: BTreeMap::from([("HOME".to_owned(), "/tmp".to_owned())]),
                labels: BTreeMap::new(),
                user: "65532:65532".to_owned(),
                mounts: Vec::new(),
                tmpfs: vec![Tmpfs { path: "/tmp".to_owned(), size_bytes: 16 << 20 }],
                limits: Limits { memory_bytes: 256 << 20, cpu_millis: 1_000, pids: 64 },
                publish: None,
            },
            bytes::Bytes::new(),
            &|_| {},
        )
        .await?;
    if output.exit.code != 0 {
        return Err(unusable(output.exit.to_string()));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace()
        .nth(1)
        .map(str::to_owned)
        .ok_or_else(|| unusable(format!("printed {text:?}, expected a name and a version")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_image_is_made_from_decides_whether_it_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, "one").unwrap();
        let options = BaseOptions { ca_bundle: Some(ca.clone()), ..BaseOptions::default() };
        let recipe = options.recipe().unwrap();
        assert_eq!(BaseOptions { name: Some("other".into()), ..options.clone() }.recipe().unwrap(), recipe);
        let others = [
            BaseOptions { python: "3.13".into(), ..options.clone() },
            BaseOptions { source: BaseSource::Debootstrap, ..options.clone() },
            BaseOptions { ca_bundle: None, ..options.clone() },
            BaseOptions { index_url: Some("https://x/simple".into()), ..options.clone() },
        ];
        for other in others {
            assert_ne!(other.recipe().unwrap(), recipe, "{other:?}");
        }
        std::fs::write(&ca, "two").unwrap();
        assert_ne!(options.recipe().unwrap(), recipe);
    }
}
