use super::DockerEngine;
use crate::engine::{Build, Context, EngineError, Image, Lines, ListedImage};
use bollard::{
    errors::Error,
    models::BuildInfo,
    query_parameters::{
        BuildImageOptionsBuilder, BuilderVersion, CreateImageOptionsBuilder, ListImagesOptionsBuilder,
        RemoveImageOptionsBuilder,
    },
};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use http_body_util::{Either, Full, StreamBody};
use std::{collections::HashMap, io, pin::Pin};
use tokio_util::io::ReaderStream;

/// Splits `name:tag`; a registry's port is not a tag.
pub(super) fn split_tag(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

/// What bollard sends; it does not export its own name for it.
type Body =
    Either<Full<Bytes>, StreamBody<Pin<Box<dyn Stream<Item = io::Result<http_body::Frame<Bytes>>> + Send>>>>;

async fn body(context: &Context) -> Result<Body, EngineError> {
    match context {
        Context::Memory(bytes) => Ok(bollard::body_full(bytes.clone())),
        Context::File(path) => {
            let file = tokio::fs::File::open(path)
                .await
                .map_err(|source| EngineError::File { path: path.clone(), source })?;
            Ok(bollard::body_try_stream(ReaderStream::with_capacity(file, 256 * 1024)))
        }
    }
}

impl DockerEngine {
    /// Images that carry a label, newest first.
    pub async fn labelled_images(&self, label: &str) -> Result<Vec<ListedImage>, EngineError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let found = self
            .docker()
            .await?
            .list_images(Some(options))
            .await
            .map_err(|e| self.error("list images", e))?;
        let mut images: Vec<ListedImage> = found
            .into_iter()
            .map(|image| ListedImage {
                id: image.id,
                tags: image.repo_tags,
                size_bytes: image.size as u64,
                created_at_ms: image.created * 1000,
                labels: image.labels.into_iter().collect(),
            })
            .collect();
        images.sort_by_key(|image| std::cmp::Reverse(image.created_at_ms));
        Ok(images)
    }

    pub(super) async fn inspect_image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        match self.docker().await?.inspect_image(reference).await {
            Ok(found) => Ok(Some(Image {
                id: found.id.unwrap_or_default(),
                platform: format!(
                    "{}/{}",
                    found.os.unwrap_or_default(),
                    found.architecture.unwrap_or_default()
                ),
                size_bytes: found.size.unwrap_or_default() as u64,
                labels: found
                    .config
                    .and_then(|config| config.labels)
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
            })),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(e) => Err(self.error(format!("inspect image {reference:?}"), e)),
        }
    }

    pub(super) async fn made(&self, reference: &str) -> Result<Image, EngineError> {
        self.inspect_image(reference).await?.ok_or_else(|| EngineError::NotFound {
            what: format!("image {reference:?} although it was just made"),
        })
    }

    pub(super) async fn pull_image(&self, reference: &str, lines: Lines<'_>) -> Result<Image, EngineError> {
        let (name, tag) = split_tag(reference);
        let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
        let docker = self.patient().await?;
        let mut progress = docker.create_image(Some(options), None, None);
        while let Some(step) =
            progress.try_next().await.map_err(|e| self.error(format!("pull {reference}"), e))?
        {
            // Byte counts come many times a second; the status alone is worth a line.
            if let (Some(status), None) = (step.status, step.progress_detail) {
                lines(&status);
            }
        }
        self.made(reference).await
    }

    pub(super) async fn import_image(&self, reference: &str, tar: Context) -> Result<Image, EngineError> {
        let (name, tag) = split_tag(reference);
        let options = CreateImageOptionsBuilder::default().from_src("-").repo(name).tag(tag).build();
        let body = body(&tar).await?;
        self.patient()
            .await?
            .create_image(Some(options), Some(body), None)
            .try_collect::<Vec<_>>()
            .await
            .map_err(|e| self.error(format!("import {reference}"), e))?;
        self.made(reference).await
    }

    pub(super) async fn build_image(&self, build: &Build, lines: Lines<'_>) -> Result<Image, EngineError> {
        let arguments: HashMap<_, _> = build.arguments.clone().into_iter().collect();
        let labels: HashMap<_, _> = build.labels.clone().into_iter().collect();
        let options = BuildImageOptionsBuilder::default()
            .dockerfile("Dockerfile")
            .t(&build.tag)
            .rm(true)
            .forcerm(true)
            .nocache(build.anew)
            .buildargs(&arguments)
            .labels(&labels)
            .version(BuilderVersion::BuilderV1)
            .build();
        let body = body(&build.context).await?;
        let docker = self.patient().await?;
        let mut output = docker.build_image(options, None, Some(body));
        let mut partial = String::new();
        while let Some(step) = output.try_next().await.map_err(|e| self.build_error(e))? {
            emit(&mut partial, step, lines);
        }
        let rest = without_colors(&partial);
        if !rest.trim().is_empty() {
            lines(rest.trim_end());
        }
        self.made(&build.tag).await
    }

    fn build_error(&self, error: Error) -> EngineError {
        match error {
            Error::DockerStreamError { error } => EngineError::BuildFailed { message: error },
            Error::DockerResponseServerError { status_code: 400, message } => {
                EngineError::BuildFailed { message }
            }
            other => self.error("build an image", other),
        }
    }

    pub(super) async fn delete_image(&self, reference: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptionsBuilder::default().build();
        match self.patient().await?.remove_image(reference, Some(options), None).await {
            Ok(_) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            Err(e) => Err(self.error(format!("remove image {reference:?}"), e)),
        }
    }
}

/// The builder's output comes in pieces that need not end with a line.
fn emit(partial: &mut String, step: BuildInfo, lines: Lines<'_>) {
    let Some(text) = step.stream.or(step.status) else {
        return;
    };
    partial.push_str(&text);
    while let Some(end) = partial.find(['\n', '\r']) {
        let line: String = partial.drain(..=end).collect();
        let line = without_colors(&line);
        let line = line.trim_end();
        if !line.is_empty() {
            lines(line);
        }
    }
}

/// The builder paints a step's standard error red: `ESC [ … m` sequences go.
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        plain.push_str(&part[end..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_registrys_port_is_not_a_tag() {
        assert_eq!(split_tag("python:3.11-slim"), ("python", "3.11-slim"));
        assert_eq!(split_tag("localhost:5000/a"), ("localhost:5000/a", "latest"));
        assert_eq!(split_tag("localhost:5000/a:b"), ("localhost:5000/a", "b"));
    }

    #[test]
    fn colors_are_left_out() {
        assert_eq!(without_colors("\x1b[91mInstalled \x1b[0m\x1b[1;31m88\x1b[0m"), "Installed 88");
        assert_eq!(without_colors("plain [1] \x1b["), "plain [1] ");
    }

    #[test]
    fn build_output_is_joined_into_lines() {
        let seen = Mutex::new(Vec::new());
        let sink = |line: &str| seen.lock().unwrap().push(line.to_owned());
        let mut partial = String::new();
        for piece in ["Step 1", "/2 : FROM x\n", "\n", " ---> ab\r\nrest"] {
            let step = BuildInfo { stream: Some(piece.to_owned()), ..BuildInfo::default() };
            emit(&mut partial, step, &sink);
        }
        assert_eq!(*seen.lock().unwrap(), ["Step 1/2 : FROM x", " ---> ab"]);
        assert_eq!(partial, "rest");
    }
}
