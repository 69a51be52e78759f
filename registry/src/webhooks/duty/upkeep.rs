//! Keeps outbox and history bounded.

use crate::{app::App, db::DbError, webhooks::store::upkeep};
use std::time::Duration;

pub const EVERY: Duration = Duration::from_mins(10);
/// How long ended deliveries can be read and replayed.
const HISTORY_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Ended deliveries that a webhook keeps at most.
const HISTORY_MAX: i64 = 10_000;
/// An event that could not be told for so long is old news: after a restore, say.
const PENDING_MS: i64 = 24 * 60 * 60 * 1000;
/// Deliveries that a webhook has pending at most; older ones make way.
const PENDING_MAX: i64 = 10_000;
const TOO_OLD: &str = "given up: it was pending for 24 hours";
const TOO_MANY: &str = "given up: 10,000 newer ones were pending";

pub async fn needed(app: &App) -> Result<bool, DbError> {
    upkeep::any(&mut app.db.read().await?).await
}

pub async fn run(app: &App) -> Result<(), DbError> {
    run_within(app, HISTORY_MAX, PENDING_MAX).await
}

pub async fn run_within(app: &App, history_max: i64, pending_max: i64) -> Result<(), DbError> {
    app.db
        .write((), |tx, ()| {
            Box::pin(async move {
                let now_ms = tx.now_ms().await?;
                upkeep::give_up_before(tx, now_ms - PENDING_MS, now_ms, TOO_OLD).await
            })
        })
        .await?;
    let forget = || {
        app.db.write((), |tx, ()| {
            Box::pin(async move {
                let now_ms = tx.now_ms().await?;
                upkeep::forget_ended_before(tx, now_ms - HISTORY_MS).await
            })
        })
    };
    while forget().await? == upkeep::BATCH as u64 {}
    let owners = upkeep::owners(&mut app.db.read().await?).await?;
    for webhook in owners {
        app.db
            .write((webhook, pending_max), |tx, (webhook, pending_max)| {
                Box::pin(async move {
                    let now_ms = tx.now_ms().await?;
                    upkeep::give_up_beyond(tx, *webhook, *pending_max, now_ms, TOO_MANY).await
                })
            })
            .await?;
        let forget = || {
            app.db.write((webhook, history_max), |tx, (webhook, history_max)| {
                Box::pin(upkeep::forget_beyond(tx, *webhook, *history_max))
            })
        };
        while forget().await? == upkeep::BATCH as u64 {}
    }
    Ok(())
}
