//! One attempt of one delivery.

use super::lease;
use crate::{
    app::App,
    db::DbError,
    leases::store as leases,
    webhooks::{
        Webhooks,
        send::{Answer, Message, SendError},
        store::deliveries::{self, Attempted, Due},
        types::DeliveryState,
        verdict::{Verdict, judge},
    },
};
use std::time::Duration;

/// Of an answer's body, kept in the history.
const KEPT_CHARS: usize = 1_000;

/// An attempt that ended.
pub struct Done {
    pub delivery: i64,
    pub webhook: i64,
    pub delivered: bool,
}

pub async fn run(app: App, fence: i64, due: Due) -> Done {
    let (outcome, took) = send(&app, &due).await;
    let earlier = u32::try_from(due.attempts).unwrap_or(u32::MAX);
    let random = app.ids.random().as_u128() as u64;
    let verdict = judge(&outcome, earlier, app.webhooks.max_retries, random);
    app.metrics.webhooks.attempted(verdict);
    tell(&due, &outcome, verdict, took);
    let attempted = attempted(&due, outcome, verdict, took);
    if let Err(error) = record(&app, fence, attempted).await {
        // It stays pending, and is made again: at least once, not at most.
        tracing::warn!(%error, delivery_id = due.delivery_id, "an attempt could not be recorded");
    }
    Done { delivery: due.id, webhook: due.webhook, delivered: verdict == Verdict::Delivered }
}

async fn send(app: &App, due: &Due) -> (Result<Answer, SendError>, Duration) {
    let Webhooks { key, sender, .. } = &*app.webhooks;
    let unsendable = |error: String| (Err(SendError::Prepare(error)), Duration::ZERO);
    let secret = match due.sealed_secret.as_deref().map(|sealed| key.open(&due.webhook_id, sealed)) {
        None => None,
        Some(Ok(secret)) => Some(secret),
        // Another replica may have the key, and an unsigned request would be a lie.
        Some(Err(error)) => return unsendable(error.to_string()),
    };
    let receiver = match app.webhooks.receiver(&due.url) {
        Ok(receiver) => receiver,
        Err(error) => return unsendable(error.to_string()),
    };
    let message = Message {
        delivery_id: &due.delivery_id,
        body: &due.body,
        secret: secret.as_ref(),
        at_ms: app.clock.now_ms(),
    };
    sender.send(&receiver, &message).await
}

/// The log has ids, never the URL: for many receivers it is a password.
fn tell(due: &Due, outcome: &Result<Answer, SendError>, verdict: Verdict, took: Duration) {
    let duration_ms = took.as_millis() as u64;
    let (delivery_id, webhook_id) = (&due.delivery_id, &due.webhook_id);
    let status = outcome.as_ref().ok().map(|answer| answer.status);
    let error = outcome.as_ref().err().map(ToString::to_string);
    match verdict {
        Verdict::Delivered => {
            tracing::debug!(delivery_id, webhook_id, status, duration_ms, "webhook delivered");
        }
        Verdict::Again(_) => {
            tracing::info!(delivery_id, webhook_id, status, error, duration_ms, "webhook will be sent again");
        }
        Verdict::Failed => {
            tracing::warn!(delivery_id, webhook_id, status, error, duration_ms, "webhook given up");
        }
    }
}

fn attempted(due: &Due, outcome: Result<Answer, SendError>, verdict: Verdict, took: Duration) -> Attempted {
    let (state, due_in) = match verdict {
        Verdict::Delivered => (DeliveryState::Delivered, Duration::ZERO),
        Verdict::Again(pause) => (DeliveryState::Pending, pause),
        Verdict::Failed => (DeliveryState::Failed, Duration::ZERO),
    };
    let (status, body, error) = match outcome {
        Ok(answer) => {
            let redirected = (300..400).contains(&answer.status);
            let error = redirected.then(|| "redirects are not followed".to_owned());
            (Some(i64::from(answer.status)), Some(answer.body.chars().take(KEPT_CHARS).collect()), error)
        }
        Err(error) => (None, None, Some(error.to_string())),
    };
    Attempted {
        id: due.id,
        state,
        due_in_ms: due_in.as_millis() as i64,
        response_status: status,
        response_body: body,
        error,
        duration_ms: took.as_millis() as i64,
    }
}

/// A holder whose lease was taken over records nothing: the new one makes the attempt again.
async fn record(app: &App, fence: i64, done: Attempted) -> Result<(), DbError> {
    app.db
        .write((fence, done), |tx, (fence, done)| {
            Box::pin(async move {
                if leases::holds(tx, lease::NAME, *fence).await? {
                    let now_ms = tx.now_ms().await?;
                    deliveries::attempted(tx, done, now_ms).await?;
                }
                Ok(())
            })
        })
        .await
}
