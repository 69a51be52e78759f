//! MLflow's error shape: `{"error_code", "message"}`, with its codes and statuses
//! (mlflow/protos/databricks.proto and `ERROR_CODE_TO_HTTP_STATUS` in mlflow/exceptions.py).

use crate::error::{Failure, Kind, log_internal, public_message};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    InvalidParameterValue,
    BadRequest,
    MalformedRequest,
    ResourceDoesNotExist,
    ResourceAlreadyExists,
    ResourceConflict,
    InvalidState,
    PermissionDenied,
    EndpointNotFound,
    NotImplemented,
    ResourceExhausted,
    TemporarilyUnavailable,
    InternalError,
}

impl ErrorCode {
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameterValue
            | Self::BadRequest
            | Self::MalformedRequest
            | Self::ResourceAlreadyExists => StatusCode::BAD_REQUEST,
            Self::ResourceDoesNotExist | Self::EndpointNotFound => StatusCode::NOT_FOUND,
            Self::ResourceConflict => StatusCode::CONFLICT,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::InvalidState | Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An error on its way to an MLflow client.
#[derive(Debug, Clone)]
pub struct MlflowError {
    pub code: ErrorCode,
    pub status: StatusCode,
    pub message: String,
}

impl MlflowError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, status: code.status(), message: message.into() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameterValue, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ResourceDoesNotExist, message)
    }
}

impl<F: Failure> From<F> for MlflowError {
    fn from(failure: F) -> Self {
        log_internal(&failure);
        let (code, status) = match failure.kind() {
            Kind::Invalid => (ErrorCode::InvalidParameterValue, StatusCode::BAD_REQUEST),
            Kind::Forbidden => (ErrorCode::PermissionDenied, StatusCode::FORBIDDEN),
            Kind::NotFound => (ErrorCode::ResourceDoesNotExist, StatusCode::NOT_FOUND),
            Kind::AlreadyExists => (ErrorCode::ResourceAlreadyExists, StatusCode::BAD_REQUEST),
            Kind::Conflict => (ErrorCode::ResourceConflict, StatusCode::CONFLICT),
            Kind::TooLarge => (ErrorCode::InvalidParameterValue, StatusCode::PAYLOAD_TOO_LARGE),
            Kind::RangeNotSatisfiable => {
                (ErrorCode::InvalidParameterValue, StatusCode::RANGE_NOT_SATISFIABLE)
            }
            Kind::Unsupported => (ErrorCode::EndpointNotFound, StatusCode::NOT_FOUND),
            Kind::InsufficientStorage => (ErrorCode::InternalError, StatusCode::INSUFFICIENT_STORAGE),
            Kind::Unavailable => (ErrorCode::TemporarilyUnavailable, StatusCode::SERVICE_UNAVAILABLE),
            Kind::Internal => (ErrorCode::InternalError, StatusCode::INTERNAL_SERVER_ERROR),
        };
        Self { code, status, message: public_message(&failure) }
    }
}

/// Messages repeat what was sent, as MLflow's do; of megabytes the two ends say enough.
fn abbreviate(message: String) -> String {
    const HEAD_CHARS: usize = 1_000;
    const TAIL_CHARS: usize = 400;
    let chars = message.chars().count();
    if chars <= HEAD_CHARS + TAIL_CHARS {
        return message;
    }
    let head = message.chars().take(HEAD_CHARS);
    head.chain(['…']).chain(message.chars().skip(chars - TAIL_CHARS)).collect()
}

impl IntoResponse for MlflowError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error_code: ErrorCode,
            message: String,
        }
        let message = abbreviate(self.message);
        (self.status, Json(Body { error_code: self.code, message })).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_lose_their_middle() {
        assert_eq!(abbreviate("é".repeat(1_400)), "é".repeat(1_400));
        let short = abbreviate(format!("Run '{}' not found", "é".repeat(1 << 20)));
        assert!(short.starts_with("Run 'éé") && short.contains("é…é") && short.ends_with("é' not found"));
        assert_eq!(short.chars().count(), 1_401);
    }
}
