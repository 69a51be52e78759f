use std::path::PathBuf;

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "Docker is not reachable at {endpoint}: {detail}. Start it with `systemctl start docker` \
         (or `dockerd` where there is no systemd), or point DOCKER_HOST at a running one"
    )]
    Unavailable { endpoint: String, detail: String },
    #[error("a container named {name:?} exists already")]
    NameTaken { name: String },
    #[error("host port {port} is taken by another program")]
    PortTaken { port: String },
    #[error("the engine has no {what}")]
    NotFound { what: String },
    /// A step of an image build failed; `message` is the builder's own.
    #[error("the image build failed: {message}")]
    BuildFailed { message: String },
    #[error("the engine refused to {action} (HTTP {status}): {message}")]
    Refused { action: String, status: u16, message: String },
    #[error("the engine did not answer in time when asked to {action}")]
    TimedOut { action: String },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("could not {action}: {message}")]
    Other { action: String, message: String },
}

impl EngineError {
    /// Whether trying again later can help without anybody changing the request.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::TimedOut { .. })
    }
}
