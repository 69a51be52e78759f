//! Paths, queries and headers whose rejection is a problem.

use super::ApiError;
use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{StatusCode, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use waybill_client::api::PageQuery;

/// Items on a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

/// A query whose rejection names the field.
pub struct ApiQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::invalid("QUERY_INVALID", rejection.body_text())),
        }
    }
}

/// Path parameters whose rejection names them.
pub struct ApiPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                // A number in the path that is none names nothing that exists.
                let status = if rejection.status().is_server_error() {
                    rejection.status()
                } else {
                    StatusCode::NOT_FOUND
                };
                Err(ApiError::new(status, "PATH_INVALID", rejection.body_text()))
            }
        }
    }
}

/// `Idempotency-Key`, when it was sent.
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let value = parts.headers.get("idempotency-key");
        // A key that is no text is no key that can be claimed: the empty one is refused there.
        Ok(Self(value.map(|value| value.to_str().unwrap_or_default().to_owned())))
    }
}

/// Items that the page may hold, and where the page before ended.
pub fn page(query: &PageQuery) -> Result<(usize, Option<String>), ApiError> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::invalid(
            "LIMIT_INVALID",
            format!("limit is {limit}; expected 1 to {LIMIT_MAX}"),
        ));
    }
    let position = query.page_token.as_deref().map(|token| {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
            ApiError::invalid("PAGE_TOKEN_INVALID", "page_token: expected next_page_token of the page before")
        })
    });
    Ok((limit as usize, position.transpose()?))
}

/// The token of the page after `items`, which were asked for with one more than `limit` to tell
/// whether there is one; cuts the surplus off.
pub fn next_page<T>(items: &mut Vec<T>, limit: usize, position: impl Fn(&T) -> String) -> Option<String> {
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    items.last().map(|last| URL_SAFE_NO_PAD.encode(position(last)))
}

/// A position that is a number.
pub fn number(position: Option<String>) -> Result<Option<i64>, ApiError> {
    position
        .map(|text| {
            text.parse()
                .map_err(|_| ApiError::invalid("PAGE_TOKEN_INVALID", "page_token: it is of another list"))
        })
        .transpose()
}
