//! Which answers of the registry may be others a moment later.

use std::{future::Future, time::Duration};
use waybill_client::ClientError;

/// Between the attempts to read stored bytes; damaged ones answer 500 every time.
pub const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// No answer, or one that says nothing about the request: 429, or a fault on the server's side.
pub fn may_pass(error: &ClientError) -> bool {
    error.is_unreachable()
        || error.status().is_some_and(|status| status.as_u16() == 429 || status.is_server_error())
}

/// Whether stored bytes may be why: asked again for ever, the registry would answer the same.
pub fn may_be_damage(error: &ClientError) -> bool {
    error.status().is_some_and(|status| status.as_u16() == 500)
}

/// Asks a few times.
pub async fn ask<T, E, F>(mut ask: impl FnMut() -> F, again: impl Fn(&E) -> bool) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    for pause in PAUSES {
        match ask().await {
            Err(error) if again(&error) => tokio::time::sleep(pause).await,
            other => return other,
        }
    }
    ask().await
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use waybill_client::api::Problem;

    pub fn answer(status: u16) -> ClientError {
        ClientError::Problem(Box::new(Problem {
            type_uri: "about:blank".into(),
            title: "title".into(),
            status,
            detail: "detail".into(),
            code: "CODE".into(),
            request_id: None,
        }))
    }

    #[test]
    fn a_servers_fault_may_pass_and_a_refusal_does_not() {
        for status in [429, 500, 502, 503, 504] {
            assert!(may_pass(&answer(status)), "{status}");
        }
        for status in [400, 403, 404, 409, 422] {
            assert!(!may_pass(&answer(status)), "{status}");
        }
    }
}
