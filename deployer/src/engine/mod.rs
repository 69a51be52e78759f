//! The seam to the container engine. Everything that Waybill asks of Docker is a method here;
//! only `docker` knows the engine's own API.

mod docker;
mod error;
mod types;

pub use docker::DockerEngine;
pub use error::EngineError;
pub use types::{
    Build, Container, ContainerSpec, ContainerState, Context, EngineInfo, Exit, Image, Limits, ListedImage,
    LogLine, Mount, NewImage, RunOutput, Tmpfs,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::{collections::BTreeMap, time::Duration};

/// Receives output while a step runs, a line at a time, without its line end.
pub type Lines<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A container engine.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Says whether the engine answers, and what it is.
    async fn check(&self) -> Result<EngineInfo, EngineError>;

    /// The image with this tag or id, `None` when the engine has none.
    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError>;
    /// Pulls an image from its registry.
    async fn pull(&self, reference: &str, lines: Lines<'_>) -> Result<Image, EngineError>;
    /// Makes an image with one layer out of a root filesystem's tar.
    async fn import(&self, reference: &str, tar: Context) -> Result<Image, EngineError>;
    /// Builds an image. Dropping the future cancels the build.
    async fn build(&self, build: &Build, lines: Lines<'_>) -> Result<Image, EngineError>;
    /// Removes a tag, and the image when it was the last one. No error when it is not there.
    async fn remove_image(&self, reference: &str) -> Result<(), EngineError>;

    /// Runs a container to its end with `stdin`, gives its standard output back and its standard
    /// error to `lines`, and removes it, also when the future is dropped.
    async fn run(
        &self,
        spec: &ContainerSpec,
        stdin: Bytes,
        lines: Lines<'_>,
    ) -> Result<RunOutput, EngineError>;

    /// Runs a container as [`Engine::run`] does, but with a writable root, and makes an image of
    /// what it wrote there; nothing of its input. A command that fails is
    /// [`EngineError::BuildFailed`].
    async fn run_into_image(
        &self,
        spec: &ContainerSpec,
        stdin: Bytes,
        image: &NewImage,
        lines: Lines<'_>,
    ) -> Result<Image, EngineError>;

    /// Creates a container and gives its id back. [`EngineError::NameTaken`] makes the name an
    /// idempotency lock.
    async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError>;
    /// Starts a container that was created or has exited. It stays in `Created` when its host
    /// port is taken ([`EngineError::PortTaken`]): the caller removes it.
    async fn start(&self, id: &str) -> Result<(), EngineError>;
    /// Asks a container to stop, and kills it after `grace`. No error when it is not there.
    async fn stop(&self, id: &str, grace: Duration) -> Result<(), EngineError>;
    /// Removes a container, running or not. No error when it is not there.
    async fn remove(&self, id: &str) -> Result<(), EngineError>;
    /// The container with this name or id.
    async fn container(&self, id: &str) -> Result<Option<Container>, EngineError>;
    /// All containers, running or not, that carry all these labels.
    async fn containers(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Container>, EngineError>;
    /// Waits until the container is not running.
    async fn wait(&self, id: &str) -> Result<Exit, EngineError>;
    /// The last `count` log lines, oldest first.
    async fn last_logs(&self, id: &str, count: usize) -> Result<Vec<LogLine>, EngineError>;
    /// Log lines from `since_s` (epoch seconds) on, and then as they are written, until the
    /// container ends.
    fn follow_logs(&self, id: &str, since_s: i64) -> BoxStream<'static, Result<LogLine, EngineError>>;
    /// An item whenever a container with these labels was started or ended.
    fn changes(&self, labels: &BTreeMap<String, String>) -> BoxStream<'static, Result<(), EngineError>>;
}
