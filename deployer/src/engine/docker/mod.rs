//! Docker Engine, through bollard. The facts that this folder knows: always negotiate the
//! version; a taken port is HTTP 500 and leaves the container in `Created`; a name conflict is
//! 409; a failed build step comes inside the stream, a syntax error as 400; waiting for a
//! container that failed is an `Err`.

mod containers;
mod convert;
mod images;
mod run;

use super::{
    Build, Container, ContainerSpec, Context, Engine, EngineError, EngineInfo, Exit, Image, Lines, LogLine,
    NewImage, RunOutput,
};
use async_trait::async_trait;
use bollard::Docker;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// Where Docker listens when nothing else is said.
const DEFAULT_ENDPOINT: &str = "unix:///var/run/docker.sock";
/// Bound on one answer's beginning: a daemon that hangs must not hang us.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// The same for what answers late by its nature. An import or a build does only once its whole
/// context has arrived and its first step ran; a container's log may be silent for long.
const WORK_TIMEOUT: Duration = Duration::from_mins(30);
/// Bound on the first contact: a stopped daemon should be told at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a container is created for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Serve,
    /// With standard input and output.
    Run,
    /// The same on a writable root, which becomes an image.
    Install,
}

/// A Docker Engine. Cheap to clone; connects when first asked, and again until it succeeds.
#[derive(Clone)]
pub struct DockerEngine {
    endpoint: Arc<str>,
    connection: Arc<OnceCell<Connection>>,
}

struct Connection {
    docker: Docker,
    /// The same with [`WORK_TIMEOUT`].
    patient: Docker,
    /// Docker refuses a limit above what the machine has.
    cpus: Option<u64>,
}

impl DockerEngine {
    /// `endpoint` is `unix:///path`, `tcp://host:port` or `http://host:port`; left out, the local
    /// engine's usual socket. Does not connect yet.
    pub fn new(endpoint: Option<&str>) -> Self {
        Self { endpoint: endpoint.unwrap_or(DEFAULT_ENDPOINT).into(), connection: Arc::new(OnceCell::new()) }
    }

    async fn docker(&self) -> Result<&Docker, EngineError> {
        Ok(&self.connection().await?.docker)
    }

    async fn patient(&self) -> Result<&Docker, EngineError> {
        Ok(&self.connection().await?.patient)
    }

    async fn connection(&self) -> Result<&Connection, EngineError> {
        self.connection
            .get_or_try_init(|| async {
                match tokio::time::timeout(CONNECT_TIMEOUT, self.connect()).await {
                    Ok(Ok(connection)) => Ok(connection),
                    Ok(Err(error)) => Err(self.unavailable(&convert::chain(&error))),
                    Err(_) => Err(self.unavailable("no answer within 10 s")),
                }
            })
            .await
    }

    async fn connect(&self) -> Result<Connection, bollard::errors::Error> {
        let docker = Docker::connect_with_host(&self.endpoint)?
            .with_timeout(ANSWER_TIMEOUT)
            .negotiate_version()
            .await?;
        let cpus = docker.info().await?.ncpu.and_then(|count| u64::try_from(count).ok());
        let patient = docker.clone().with_timeout(WORK_TIMEOUT);
        Ok(Connection { docker, patient, cpus: cpus.filter(|count| *count > 0) })
    }

    fn unavailable(&self, detail: &str) -> EngineError {
        EngineError::Unavailable { endpoint: self.endpoint.to_string(), detail: detail.to_owned() }
    }

    fn error(&self, action: impl Into<String>, error: bollard::errors::Error) -> EngineError {
        convert::error(&self.endpoint, action.into(), error)
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn check(&self) -> Result<EngineInfo, EngineError> {
        let docker = self.docker().await?;
        let version = docker.version().await.map_err(|e| self.error("say its version", e))?;
        Ok(EngineInfo {
            version: version.version.unwrap_or_default(),
            platform: format!("{}/{}", version.os.unwrap_or_default(), version.arch.unwrap_or_default()),
        })
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        self.inspect_image(reference).await
    }

    async fn pull(&self, reference: &str, lines: Lines<'_>) -> Result<Image, EngineError> {
        self.pull_image(reference, lines).await
    }

    async fn import(&self, reference: &str, tar: Context) -> Result<Image, EngineError> {
        self.import_image(reference, tar).await
    }

    async fn build(&self, build: &Build, lines: Lines<'_>) -> Result<Image, EngineError> {
        self.build_image(build, lines).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        self.delete_image(reference).await
    }

    async fn run(
        &self,
        spec: &ContainerSpec,
        stdin: Bytes,
        lines: Lines<'_>,
    ) -> Result<RunOutput, EngineError> {
        self.run_to_end(spec, stdin, lines).await
    }

    async fn run_into_image(
        &self,
        spec: &ContainerSpec,
        stdin: Bytes,
        image: &NewImage,
        lines: Lines<'_>,
    ) -> Result<Image, EngineError> {
        self.run_and_commit(spec, stdin, image, lines).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        self.create_container(spec, Purpose::Serve).await
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        self.start_container(id).await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), EngineError> {
        self.stop_container(id, grace).await
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        self.remove_container(id).await
    }

    async fn container(&self, id: &str) -> Result<Option<Container>, EngineError> {
        self.inspect_container(id).await
    }

    async fn containers(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Container>, EngineError> {
        self.list_containers(labels).await
    }

    async fn wait(&self, id: &str) -> Result<Exit, EngineError> {
        self.wait_container(id).await
    }

    async fn last_logs(&self, id: &str, count: usize) -> Result<Vec<LogLine>, EngineError> {
        self.tail_logs(id, count).await
    }

    fn follow_logs(&self, id: &str, since_s: i64) -> BoxStream<'static, Result<LogLine, EngineError>> {
        self.stream_logs(id, since_s)
    }

    fn changes(&self, labels: &BTreeMap<String, String>) -> BoxStream<'static, Result<(), EngineError>> {
        self.stream_changes(labels)
    }
}
