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
use std::collections::BTreeMap;
use tokio::io::AsyncWriteExt;

/// A throwaway container. It is removed too when the future that runs it is dropped half-way.
struct Throwaway {
    engine: DockerEngine,
    id: String,
    is_gone: bool,
}

impl Throwaway {
    /// Removes the container, whatever came of it, and passes that on. Not left to the drop: a process
    /// that ends with the error would not wait for it.
    async fn end<T>(mut self, outcome: Result<T, EngineError>) -> Result<T, EngineError> {
        let removed = self.engine.remove_container(&self.id).await;
        self.is_gone = removed.is_ok();
        let value = outcome?;
        removed.map(|()| value)
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        let (engine, id) = (self.engine.clone(), std::mem::take(&mut self.id));
        tokio::spawn(async move {
            if let Err(error) = engine.remove(&id).await {
                tracing::warn!(%error, container = id, "a throwaway container stays behind");
            }
        });
    }
}

impl DockerEngine {
    pub(super) async fn run_to_end(
        &self,
        spec: &ContainerSpec,
        stdin: Bytes,
        lines: Lines<'_>,
    ) -> Result<RunOutput, EngineError> {
        let container = self.throwaway(spec, Purpose::Run).await?;
        let ran = self.feed(&container.id, stdin, lines).await;
        container.end(ran).await.map(|(exit, stdout)| RunOutput { exit, stdout })
    }

    pub(super) async fn run_and_commit(
        &self,
        spec: &ContainerSpec,
        stdin: Bytes,
        image: &NewImage,
        lines: Lines<'_>,
    ) -> Result<Image, EngineError> {
        let container = self.throwaway(spec, Purpose::Install).await?;
        let installed = async {
            let (exit, _) = self.feed(&container.id, stdin, lines).await?;
            if exit.code != 0 {
                return Err(EngineError::BuildFailed { message: format!("the installation {exit}") });
            }
            self.commit(&container.id, &spec.labels, image).await
        };
        let installed = installed.await;
        container.end(installed).await?;
        self.made(&image.tag).await
    }

    /// Makes an image of what a container has become.
    async fn commit(
        &self,
        id: &str,
        labels: &BTreeMap<String, String>,
        image: &NewImage,
    ) -> Result<(), EngineError> {
        let (name, tag) = split_tag(&image.tag);
        let options = CommitContainerOptionsBuilder::default().container(id).repo(name).tag(tag).build();
        let config = ContainerConfig {
            // An image takes over its container's labels, which mark what is to be removed.
            labels: Some(
                labels.keys().map(|name| (name.clone(), String::new())).chain(image.labels.clone()).collect(),
            ),
            env: Some(image.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            ..ContainerConfig::default()
        };
        self.patient()
            .await?
            .commit_container(options, config)
            .await
            .map_err(|e| self.error(format!("make an image of container {id}"), e))?;
        Ok(())
    }

    async fn throwaway(&self, spec: &ContainerSpec, purpose: Purpose) -> Result<Throwaway, EngineError> {
        let id = self.create_container(spec, purpose).await?;
        Ok(Throwaway { engine: self.clone(), id, is_gone: false })
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
