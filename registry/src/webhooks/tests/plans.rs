//! Which index serves which statement of the outbox, on both engines: its cost must not grow with
//! the history.

use crate::{
    db::{Conn, Db, DbError, testing::each_engine},
    webhooks::{
        kind::EventType,
        store::{
            deliveries::{self, Attempted},
            upkeep, webhooks,
        },
        types::DeliveryState,
    },
};
use std::fmt::Write as _;

/// A history in which reading all of it shows; one delivery of a hundred is pending.
const STATEMENTS: &[&str] = &[
    "INSERT INTO webhooks (webhook_id, name, url, status, created_at_ms, updated_at_ms)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
     SELECT 'w' || i, 'hook', 'u', 'ACTIVE', i, i FROM n",
    "INSERT INTO webhook_subscriptions (event, webhook)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
     SELECT 'event' || n.i, w.id FROM webhooks w CROSS JOIN n",
    "INSERT INTO webhook_deliveries (delivery_id, webhook, event, body, state, attempts, created_at_ms, due_at_ms,
         ended_at_ms)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
     SELECT 'd' || i, 1 + i % 50, 'model_version.created', 'body', CASE WHEN i % 100 = 0 THEN 'pending' ELSE 'delivered' END,
         1, i, i, CASE WHEN i % 100 = 0 THEN NULL ELSE i END FROM n",
];

const EVENT: &str = "model_version.created";

/// Reports every statement that ran and grows, or that `index` does not serve.
async fn check(tx: &mut Conn, wrong: &mut String, index: &str) -> Result<(), DbError> {
    let ran = tx.take_written();
    assert!(!ran.is_empty(), "{index}");
    for text in ran {
        let mut plan = tx.plan_of_any(text).await?;
        // There are few webhooks; of each the deliveries are found by an index.
        plan.lines.retain(|line| line != "SCAN w" && !line.contains("Seq Scan on webhooks w"));
        let step = plan.grows(false, "").unwrap_or("");
        if !step.is_empty() || !plan.uses(index) {
            writeln!(wrong, "{text}: {step}; index {index}\n{}", plan.lines.join("\n")).unwrap();
        }
    }
    Ok(())
}

async fn sending(tx: &mut Conn, wrong: &mut String) -> Result<(), DbError> {
    let event: EventType = EVENT.parse().unwrap();
    webhooks::subscribed(tx, event).await?;
    check(tx, wrong, "webhook_subscriptions").await?;
    deliveries::lanes(tx).await?;
    check(tx, wrong, "webhook_deliveries_pending").await?;
    deliveries::due(tx, 1, 1000, 10).await?;
    check(tx, wrong, "webhook_deliveries_pending").await?;
    let done = Attempted {
        id: 100,
        state: DeliveryState::Delivered,
        due_in_ms: 0,
        response_status: None,
        response_body: None,
        error: None,
        duration_ms: 1,
    };
    deliveries::attempted(tx, &done, 1).await?;
    check(tx, wrong, "webhook_deliveries").await?;
    deliveries::queue(tx).await?;
    check(tx, wrong, "webhook_deliveries_pending").await
}

async fn reading(tx: &mut Conn, wrong: &mut String) -> Result<(), DbError> {
    deliveries::page(tx, 1, None, 40_000, 10).await?;
    check(tx, wrong, "webhook_deliveries_webhook").await?;
    deliveries::page(tx, 1, Some(DeliveryState::Failed), 40_000, 10).await?;
    check(tx, wrong, "webhook_deliveries_state").await?;
    deliveries::find(tx, "d77").await?;
    check(tx, wrong, "webhook_deliveries").await?;
    webhooks::page(tx, (i64::MAX, i64::MAX), 10).await?;
    tx.take_written();
    Ok(())
}

async fn upkeep(tx: &mut Conn, wrong: &mut String) -> Result<(), DbError> {
    upkeep::owners(tx).await?;
    check(tx, wrong, "webhook_deliveries").await?;
    upkeep::forget_ended_before(tx, 1000).await?;
    check(tx, wrong, "webhook_deliveries_ended").await?;
    upkeep::forget_beyond(tx, 1, 100).await?;
    check(tx, wrong, "webhook_deliveries_webhook").await?;
    upkeep::give_up_before(tx, 1000, 1, "old").await?;
    check(tx, wrong, "webhook_deliveries_pending").await?;
    upkeep::give_up_beyond(tx, 1, 100, 1, "many").await?;
    check(tx, wrong, "webhook_deliveries_").await?;
    deliveries::cancel(tx, 1, 1, "gone").await?;
    check(tx, wrong, "webhook_deliveries_").await
}

#[tokio::test]
async fn no_statement_of_the_outbox_grows_with_its_history() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        let wrong: Result<String, DbError> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    for statement in STATEMENTS {
                        tx.query(statement).execute().await?;
                    }
                    tx.analyze().await?;
                    tx.take_written();
                    let mut wrong = String::new();
                    sending(tx, &mut wrong).await?;
                    reading(tx, &mut wrong).await?;
                    upkeep(tx, &mut wrong).await?;
                    Ok(wrong)
                })
            })
            .await;
        assert_eq!(wrong.unwrap(), "");
        db.close().await;
    })
    .await;
}
