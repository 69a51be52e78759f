//! Throwaway containers.

use super::{DockerEngine, Purpose, images::split_tag};
use crate::engine::{ContainerSpec, Engine, EngineError, Exit, Image, Lines, NewImage, RunOutput};
use bollard::{
    container::LogOutput,
    models::ContainerConfig,
    query_parameters::{AttachContainerOptionsBuilder, CommitContainerOptionsBuilder},
};
use bytes::Bytes;
use futures::TryStreamExt;
use tokio::io::AsyncWriteExt;

/// Removes the container when the future that runs it is dropped half-way.
struct RemoveOnDrop {
    engine: DockerEngine,
    id: Option<String>,
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let engine = self.engine.clone();
            tokio::spawn(async move {
                if let Err(error) = engine.remove(&id).await {
                    tracing::warn!(%error, container = id, "a throwaway container stays behind");
                }
            });
        }
    }
}

impl DockerEngine {
    pub(super) async fn run_to_end(
        &self,
        spec: &ContainerSpec,
        stdin: Bytes,
        lines: Lines<'_>,
    ) -> Result<RunOutput, EngineError> {
        let (mut guard, id) = self.create_to_run(spec, Purpose::Run).await?;
        let (exit, stdout) = self.feed(&id, stdin, lines).await?;
        self.remove_container(&id).await?;
        guard.id = None;
        Ok(RunOutput { exit, stdout })
    }

    pub(super) async fn run_and_commit(
        &self,
        spec: &ContainerSpec,
        stdin: Bytes,
        image: &NewImage,
        lines: Lines<'_>,
    ) -> Result<Image, EngineError> {
        let (mut guard, id) = self.create_to_run(spec, Purpose::Install).await?;
        let (exit, _) = self.feed(&id, stdin, lines).await?;
        if exit.code != 0 {
            self.remove_container(&id).await?;
            guard.id = None;
            return Err(EngineError::BuildFailed { message: format!("the installation {exit}") });
        }
        let (name, tag) = split_tag(&image.tag);
        let options = CommitContainerOptionsBuilder::default().container(&id).repo(name).tag(tag).build();
        let config = ContainerConfig {
            // An image takes over its container's labels, which mark what is to be removed.
            labels: Some(
                spec.labels
                    .keys()
                    .map(|name| (name.clone(), String::new()))
                    .chain(image.labels.clone())
                    .collect(),
            ),
            env: Some(image.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            ..ContainerConfig::default()
        };
        self.patient()
            .await?
            .commit_container(options, config)
            .await
            .map_err(|e| self.error(format!("make an image of container {id}"), e))?;
        self.remove_container(&id).await?;
        guard.id = None;
        self.made(&image.tag).await
    }

    async fn create_to_run(
        &self,
        spec: &ContainerSpec,
        purpose: Purpose,
    ) -> Result<(RemoveOnDrop, String), EngineError> {
        let id = self.create_container(spec, purpose).await?;
        Ok((RemoveOnDrop { engine: self.clone(), id: Some(id.clone()) }, id))
    }

    /// Starts the container, gives it its input and waits for its end.
    async fn feed(&self, id: &str, stdin: Bytes, lines: Lines<'_>) -> Result<(Exit, Vec<u8>), EngineError> {
        // Attached before the start, or the first output would be lost.
        let options = AttachContainerOptionsBuilder::default()
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .stream(true)
            .build();
        let mut attached = self
            .patient()
            .await?
            .attach_container(id, Some(options))
            .await
            .map_err(|e| self.error(format!("attach to container {id}"), e))?;
        self.start_container(id).await?;

        let write = async {
            // A command that ends without reading its input closes the pipe; its exit tells more.
            let _ = attached.input.write_all(&stdin).await;
            let _ = attached.input.shutdown().await;
        };
        let read = async {
            let mut stdout = Vec::new();
            let mut errors = LineSplitter::default();
            while let Some(output) = attached.output.try_next().await? {
                match output {
                    LogOutput::StdErr { message } => errors.push(&message, lines),
                    other => stdout.extend_from_slice(&other.into_bytes()),
                }
            }
            errors.finish(lines);
            Ok(stdout)
        };
        let ((), stdout) = tokio::join!(write, read);
        let stdout = stdout.map_err(|e| self.error(format!("read the output of container {id}"), e))?;
        Ok((self.wait_container(id).await?, stdout))
    }
}

#[derive(Default)]
struct LineSplitter {
    partial: Vec<u8>,
}

impl LineSplitter {
    fn push(&mut self, bytes: &[u8], lines: Lines<'_>) {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            lines(String::from_utf8_lossy(&line).trim_end());
        }
    }

    fn finish(self, lines: Lines<'_>) {
        if !self.partial.is_empty() {
            lines(String::from_utf8_lossy(&self.partial).trim_end());
        }
    }
}
