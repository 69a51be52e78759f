//! How a capability's errors present themselves to both faces, native and MLflow.

use crate::db::DbError;

/// What went wrong, in the few ways that a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong; sending it again will not help. 400
    Invalid,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// The name or number is taken. 400 for MLflow's `RESOURCE_ALREADY_EXISTS`, 409 natively.
    AlreadyExists,
    /// The state does not allow it now. 409
    Conflict,
    /// 413
    TooLarge,
    /// 416
    RangeNotSatisfiable,
    /// The endpoint or option is not offered. 501, MLflow: 404 `ENDPOINT_NOT_FOUND`
    Unsupported,
    /// Full disk. 507
    InsufficientStorage,
    /// Something outside is down; trying later can help. 503
    Unavailable,
    /// Our fault; the caller learns the request id, the log learns the rest. 500
    Internal,
}

/// An error of a capability. Each variant has one stable code; a table test holds them.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    fn kind(&self) -> Kind;
    /// SCREAMING_SNAKE_CASE, stable over releases.
    fn code(&self) -> &'static str;
}

const DATABASE_UNREACHABLE: &str = "DATABASE_UNREACHABLE";
const DATABASE_DAMAGED: &str = "DATABASE_DAMAGED";

impl Failure for DbError {
    fn kind(&self) -> Kind {
        if self.is_full() {
            return Kind::InsufficientStorage;
        }
        match self {
            Self::Closing | Self::Damaged(_) => Kind::Unavailable,
            _ if self.is_unreachable() => Kind::Unavailable,
            _ => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self.kind() {
            Kind::InsufficientStorage => "DATABASE_DISK_FULL",
            Kind::Unavailable if matches!(self, Self::Damaged(_)) => DATABASE_DAMAGED,
            Kind::Unavailable if self.is_unreachable() => DATABASE_UNREACHABLE,
            Kind::Unavailable => "SHUTTING_DOWN",
            _ => "INTERNAL",
        }
    }
}

/// What a caller may read: the error's own text, or a general sentence for our own faults.
pub fn public_message(failure: &dyn Failure) -> String {
    match failure.kind() {
        Kind::Internal => "the server failed; its log has the details under this request id".to_owned(),
        Kind::InsufficientStorage => {
            "the server's disk is full; nothing was changed. Free space and try again".to_owned()
        }
        Kind::Unavailable if failure.code() == DATABASE_UNREACHABLE => {
            "the server cannot reach its database for the moment; try again".to_owned()
        }
        Kind::Unavailable if failure.code() == DATABASE_DAMAGED => {
            "the server's database is damaged; its operator restores a backup with `waybill restore`"
                .to_owned()
        }
        _ => failure.to_string(),
    }
}

/// Logs what the caller does not get to read. Called once, where the error becomes a response.
pub fn log_internal(failure: &dyn Failure) {
    if matches!(failure.kind(), Kind::Internal | Kind::InsufficientStorage | Kind::Unavailable) {
        tracing::error!(code = failure.code(), error = chain(failure), "request failed");
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
