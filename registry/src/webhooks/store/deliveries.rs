//! The outbox and its history.

use super::webhooks::event;
use crate::{
    db::{
        Conn, DbError,
        sql::{ROWS_PER_STATEMENT, Sql, Value},
    },
    webhooks::{
        kind::EventType,
        types::{Delivery, DeliveryState},
    },
};

/// A delivery about to be put into the outbox, due at once.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub delivery_id: String,
    pub webhook: i64,
    pub event: EventType,
    pub body: String,
    pub replay_of: Option<String>,
}

pub async fn insert(tx: &mut Conn, new: &[NewDelivery], now_ms: i64) -> Result<(), DbError> {
    for chunk in new.chunks(ROWS_PER_STATEMENT) {
        let mut sql = Sql::new(
            tx.engine(),
            "INSERT INTO webhook_deliveries
                 (delivery_id, webhook, event, body, state, attempts, created_at_ms, due_at_ms, replay_of) VALUES ",
        );
        sql.bind_rows(chunk.iter().map(|delivery| {
            [
                Value::from(delivery.delivery_id.clone()),
                delivery.webhook.into(),
                delivery.event.to_string().into(),
                delivery.body.clone().into(),
                DeliveryState::Pending.name().into(),
                Value::Int(0),
                now_ms.into(),
                now_ms.into(),
                delivery.replay_of.clone().into(),
            ]
        }));
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// Webhooks with something pending, and when the first of it is due.
pub async fn lanes(conn: &mut Conn) -> Result<Vec<(i64, i64)>, DbError> {
    conn.query(
        "SELECT id, due_at_ms FROM (
             SELECT w.id AS id, (SELECT MIN(d.due_at_ms) FROM webhook_deliveries d
                                 WHERE d.webhook = w.id AND d.state = 'pending') AS due_at_ms
             FROM webhooks w WHERE w.deleted_at_ms IS NULL AND w.status = 'ACTIVE') lanes
         WHERE due_at_ms IS NOT NULL",
    )
    .all()
    .await
}

/// A delivery that is due, with what its webhook says now.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Due {
    pub id: i64,
    pub delivery_id: String,
    pub webhook: i64,
    pub body: String,
    pub attempts: i64,
    pub webhook_id: String,
    pub url: String,
    pub sealed_secret: Option<String>,
}

/// What of a webhook is due, oldest first.
pub async fn due(conn: &mut Conn, webhook: i64, now_ms: i64, limit: i64) -> Result<Vec<Due>, DbError> {
    conn.query(
        "SELECT d.id, d.delivery_id, d.webhook, d.body, d.attempts, w.webhook_id, w.url, w.sealed_secret
         FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook
         WHERE d.webhook = $1 AND d.state = 'pending' AND d.due_at_ms <= $2
         ORDER BY d.due_at_ms, d.id LIMIT $3",
    )
    .bind(webhook)
    .bind(now_ms)
    .bind(limit)
    .all()
    .await
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub struct Attempted {
    pub id: i64,
    pub state: DeliveryState,
    /// Of the next attempt, from now on.
    pub due_in_ms: i64,
    pub response_status: Option<i64>,
    pub response_body: Option<String>,
    pub error: Option<String>,
    pub duration_ms: i64,
}

/// Records an attempt. What was cancelled meanwhile stays so, unless it was delivered.
pub async fn attempted(tx: &mut Conn, done: &Attempted, now_ms: i64) -> Result<(), DbError> {
    let ended_at_ms = (done.state != DeliveryState::Pending).then_some(now_ms);
    tx.query(
        "UPDATE webhook_deliveries SET state = $2, attempts = attempts + 1, due_at_ms = $3, ended_at_ms = $4,
             response_status = $5, response_body = $6, error = $7, duration_ms = $8
         WHERE id = $1 AND (state = 'pending' OR $2 = 'delivered')",
    )
    .bind(done.id)
    .bind(done.state.name())
    .bind(now_ms + done.due_in_ms)
    .bind(ended_at_ms)
    .bind(done.response_status)
    .bind(done.response_body.clone())
    .bind(done.error.clone())
    .bind(done.duration_ms)
    .execute()
    .await?;
    Ok(())
}

/// Ends what a webhook has pending: it is disabled or deleted.
pub async fn cancel(tx: &mut Conn, webhook: i64, now_ms: i64, why: &'static str) -> Result<(), DbError> {
    tx.query(
        "UPDATE webhook_deliveries SET state = 'cancelled', ended_at_ms = $2, error = $3
         WHERE webhook = $1 AND state = 'pending'",
    )
    .bind(webhook)
    .bind(now_ms)
    .bind(why)
    .execute()
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    delivery_id: String,
    webhook_id: String,
    event: String,
    state: String,
    attempts: i64,
    created_at_ms: i64,
    due_at_ms: i64,
    ended_at_ms: Option<i64>,
    response_status: Option<i64>,
    response_body: Option<String>,
    error: Option<String>,
    duration_ms: Option<i64>,
    replay_of: Option<String>,
}

impl TryFrom<Row> for Delivery {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let state = DeliveryState::ALL.into_iter().find(|state| state.name() == row.state);
        let state = state
            .ok_or_else(|| DbError::Corrupt { what: "webhook delivery state", detail: row.state.clone() })?;
        Ok(Self {
            id: row.id,
            delivery_id: row.delivery_id,
            webhook_id: row.webhook_id,
            event: event(&row.event)?,
            state,
            attempts: row.attempts,
            created_at_ms: row.created_at_ms,
            due_at_ms: row.due_at_ms,
            ended_at_ms: row.ended_at_ms,
            response_status: row.response_status,
            response_body: row.response_body,
            error: row.error,
            duration_ms: row.duration_ms,
            replay_of: row.replay_of,
        })
    }
}

/// Deliveries of a webhook before `before_id`, newest first; of one state where it is given.
pub async fn page(
    conn: &mut Conn,
    webhook: i64,
    state: Option<DeliveryState>,
    before_id: i64,
    limit: i64,
) -> Result<Vec<Delivery>, DbError> {
    let query = match state {
        Some(state) => conn
            .query(
                "SELECT d.id, d.delivery_id, w.webhook_id, d.event, d.state, d.attempts, d.created_at_ms,
                     d.due_at_ms, d.ended_at_ms, d.response_status, d.response_body, d.error, d.duration_ms,
                     d.replay_of
                 FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook
                 WHERE d.state = $1 AND d.webhook = $2 AND d.id < $3 ORDER BY d.id DESC LIMIT $4",
            )
            .bind(state.name()),
        None => conn.query(
            "SELECT d.id, d.delivery_id, w.webhook_id, d.event, d.state, d.attempts, d.created_at_ms,
                 d.due_at_ms, d.ended_at_ms, d.response_status, d.response_body, d.error, d.duration_ms,
                 d.replay_of
             FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook
             WHERE d.webhook = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3",
        ),
    };
    let rows: Vec<Row> = query.bind(webhook).bind(before_id).bind(limit).all().await?;
    rows.into_iter().map(Delivery::try_from).collect()
}

/// A delivery and its body.
pub async fn find(conn: &mut Conn, delivery_id: &str) -> Result<Option<(Delivery, String)>, DbError> {
    let row: Option<Row> = conn
        .query(
            "SELECT d.id, d.delivery_id, w.webhook_id, d.event, d.state, d.attempts, d.created_at_ms,
                 d.due_at_ms, d.ended_at_ms, d.response_status, d.response_body, d.error, d.duration_ms,
                 d.replay_of
             FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook WHERE d.delivery_id = $1",
        )
        .bind(delivery_id.to_owned())
        .optional()
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let body = conn.query("SELECT body FROM webhook_deliveries WHERE id = $1").bind(row.id).scalar().await?;
    Ok(Some((row.try_into()?, body.unwrap_or_default())))
}

/// How many deliveries are pending, and since when the oldest is.
pub async fn queue(conn: &mut Conn) -> Result<(i64, Option<i64>), DbError> {
    conn.query("SELECT COUNT(*), MIN(created_at_ms) FROM webhook_deliveries WHERE state = 'pending'")
        .one()
        .await
}
