//! Resolution: from what a model requires to every package with its version and hashes.

use super::{Index, fetch};
use crate::engine::{ContainerSpec, Engine, EngineError, Image, Limits, Lines, Tmpfs};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
};

/// Lines of the resolver's output that an error repeats.
const MESSAGE_LINES: usize = 60;

/// What to resolve, against which Python.
#[derive(Debug)]
pub struct ResolveRequest<'a> {
    /// Base image: its Python, its architecture, its uv.
    pub base: &'a Image,
    /// In `requirements.txt` format. Read by the resolver from its standard input, never by a
    /// shell.
    pub requirements: &'a str,
    pub index: Index<'a>,
    /// Only packages published before this (RFC 3339).
    pub cut_off: Option<&'a str>,
    /// Labels of the throwaway container, so that one left by a crash is found.
    pub labels: BTreeMap<String, String>,
}

/// A complete resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// In `requirements.txt` format, each package pinned and with hashes.
    pub text: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The requirements contradict each other, name nothing that exists, or are not requirements.
    #[error("the requirements do not resolve to wheels: {message}")]
    Unresolvable { message: String },
    #[error("the resolver was stopped: it {exit}. {message}")]
    Stopped { exit: String, message: String },
    #[error("the resolver printed bytes that are not UTF-8 text")]
    NotText,
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Resolves in a throwaway container: wheels only, because building a source package runs its
/// code. `lines` receives the resolver's messages.
pub async fn resolve(
    engine: &dyn Engine,
    request: ResolveRequest<'_>,
    lines: Lines<'_>,
) -> Result<Resolution, ResolveError> {
    let last = Mutex::new(VecDeque::with_capacity(MESSAGE_LINES));
    let keep = |line: &str| {
        let mut last = last.lock().unwrap_or_else(|e| e.into_inner());
        if last.len() == MESSAGE_LINES {
            last.pop_front();
        }
        last.push_back(line.to_owned());
        lines(line);
    };
    let mut spec = container(&request);
    let stdin = match request.index.netrc {
        None => bytes::Bytes::copy_from_slice(request.requirements.as_bytes()),
        Some(netrc) => {
            let commands = [std::mem::replace(&mut spec.command, fetch::command())];
            fetch::stdin(netrc, &BTreeMap::new(), &commands, request.requirements.as_bytes()).map_err(
                |error| EngineError::Other {
                    action: "prepare the resolution".to_owned(),
                    message: error.to_string(),
                },
            )?
        }
    };
    let output = engine.run(&spec, stdin, &keep).await?;
    let message = || {
        let last = last.lock().unwrap_or_else(|e| e.into_inner());
        last.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    };
    match output.exit.code {
        0 => Ok(Resolution { text: String::from_utf8(output.stdout).map_err(|_| ResolveError::NotText)? }),
        // uv's own verdicts: 1 for a resolution that fails, 2 for an error in its input.
        1 | 2 => Err(ResolveError::Unresolvable { message: message() }),
        _ => Err(ResolveError::Stopped { exit: output.exit.to_string(), message: message() }),
    }
}

fn container(request: &ResolveRequest<'_>) -> ContainerSpec {
    let mut command: Vec<String> = [
        "uv",
        "pip",
        "compile",
        "--generate-hashes",
        "--only-binary",
        ":all:",
        "--no-annotate",
        "--no-header",
        "--no-progress",
        "--color",
        "never",
        "--python",
        "python3",
    ]
    .map(str::to_owned)
    .into();
    if let Some(cut_off) = request.cut_off {
        command.push(format!("--exclude-newer={cut_off}"));
    }
    command.push("-".to_owned());

    let mut environment = fetch::environment(request.index);
    environment.insert("HOME".to_owned(), "/tmp".to_owned());
    environment.insert("UV_CACHE_DIR".to_owned(), "/tmp/uv".to_owned());
    ContainerSpec {
        name: format!("waybill-resolve-{}", uuid::Uuid::new_v4().simple()),
        image: request.base.id.clone(),
        command,
        environment,
        labels: request.labels.clone(),
        user: "65532:65532".to_owned(),
        mounts: Vec::new(),
        tmpfs: vec![Tmpfs {
            path: "/tmp".to_owned(),
            // Metadata only, but an index without it makes the resolver fetch whole wheels.
            size_bytes: 4 << 30,
        }],
        limits: Limits { memory_bytes: 4 << 30, cpu_millis: 2_000, pids: 256 },
        publish: None,
    }
}
