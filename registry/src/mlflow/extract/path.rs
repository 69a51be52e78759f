//! Parameters of a path.

use crate::mlflow::MlflowError;
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

/// Path parameters whose rejection has MLflow's shape: text that is no UTF-8 names nothing.
pub struct MlflowPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for MlflowPath<T> {
    type Rejection = MlflowError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, MlflowError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(MlflowError::not_found(rejection.body_text())),
        }
    }
}
