//! How a command fails: what is told, and the exit code.

use serde_json::json;
use waybill_client::{ClientError, FilesError, pull::PullError, push::PushError};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error(transparent)]
    Pull(#[from] PullError),
    /// Arguments that parse but make no sense together, or a configuration that is wrong.
    #[error("{0}")]
    Usage(String),
    /// A check of a signature or digest did not pass.
    #[error("{0}")]
    Verification(String),
    #[error("{0}")]
    NotFound(String),
    /// Something other than the registry does not answer.
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Failure {
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// `cannot read x: No such file`, for files that the user named.
    pub fn file(action: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Failed(format!("cannot {action} {}: {error}", path.display()))
    }

    /// See the table in `waybill --help`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Client(ClientError::InvalidArgument { .. }) => 2,
            Self::Verification(_) | Self::Pull(PullError::Digest { .. } | PullError::Manifest(_)) => 3,
            Self::NotFound(_) => 4,
            Self::Unreachable(_) => 5,
            Self::Push(PushError::Files(error)) | Self::Pull(PullError::Files(error)) => {
                files_exit_code(error)
            }
            _ => self.client_error().map_or(1, client_exit_code),
        }
    }

    fn client_error(&self) -> Option<&ClientError> {
        match self {
            Self::Client(error)
            | Self::Push(PushError::Client(error))
            | Self::Pull(PullError::Client(error)) => Some(error),
            _ => None,
        }
    }

    /// On standard error: a line for people, an object for scripts.
    pub fn print(&self, json: bool) {
        if !json {
            eprintln!("error: {self}");
            return;
        }
        let client = self.client_error();
        let mut error = json!({ "message": self.to_string(), "exit_code": self.exit_code() });
        if let Some(code) = client.and_then(ClientError::code) {
            error["code"] = code.into();
        }
        if let Some(request_id) = client.and_then(ClientError::request_id) {
            error["request_id"] = request_id.into();
        }
        eprintln!("{}", json!({ "error": error }));
    }
}

fn client_exit_code(error: &ClientError) -> u8 {
    match error {
        _ if error.is_not_found() => 4,
        _ if error.is_unreachable() => 5,
        _ => 1,
    }
}

fn files_exit_code(error: &FilesError) -> u8 {
    match error {
        FilesError::Io { .. } | FilesError::Changed(_) => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_client::api::Problem;

    fn problem(status: u16) -> Failure {
        let problem = Problem {
            type_uri: "about:blank".into(),
            title: "t".into(),
            status,
            detail: "d".into(),
            code: "C".into(),
            request_id: None,
        };
        Failure::Push(PushError::Client(ClientError::Problem(Box::new(problem))))
    }

    #[test]
    fn exit_codes_are_those_of_the_help() {
        let unreachable = ClientError::Unreachable { url: "u".into(), message: "m".into() };
        let missing =
            FilesError::Io { action: "read", path: "x".into(), source: std::io::ErrorKind::NotFound.into() };
        for (failure, code) in [
            (problem(409), 1),
            (problem(404), 4),
            (Failure::Client(unreachable), 5),
            (Failure::Usage(String::new()), 2),
            (Failure::Verification(String::new()), 3),
            (Failure::Pull(PullError::ForeignFile("x".into())), 1),
            (Failure::Push(PushError::Files(missing)), 1),
            (Failure::Push(PushError::Files(FilesError::Empty("x".into()))), 2),
        ] {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
        }
    }
}
