use crate::{
    db::{
        Conn, DbError,
        sql::{Sql, Value},
    },
    webhooks::{
        kind::EventType,
        types::{Status, Webhook},
    },
};
use std::collections::HashMap;

/// A webhook about to be stored.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub webhook_id: String,
    pub name: String,
    pub description: Option<String>,
    pub url: String,
    pub status: Status,
    pub sealed_secret: Option<String>,
    pub at_ms: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    webhook_id: String,
    name: String,
    description: Option<String>,
    url: String,
    status: String,
    sealed_secret: Option<String>,
    created_at_ms: i64,
    updated_at_ms: i64,
}

impl Row {
    fn with(self, events: Vec<EventType>) -> Result<Webhook, DbError> {
        Ok(Webhook {
            id: self.id,
            status: status(&self.status)?,
            webhook_id: self.webhook_id,
            name: self.name,
            description: self.description,
            url: self.url,
            events,
            sealed_secret: self.sealed_secret,
            created_at_ms: self.created_at_ms,
            updated_at_ms: self.updated_at_ms,
        })
    }
}

fn status(text: &str) -> Result<Status, DbError> {
    let found = Status::ALL.into_iter().find(|status| status.name() == text);
    found.ok_or_else(|| DbError::Corrupt { what: "webhook status", detail: text.to_owned() })
}

pub(super) fn event(text: &str) -> Result<EventType, DbError> {
    text.parse().map_err(|detail| DbError::Corrupt { what: "webhook event", detail })
}

/// Stores a webhook; its surrogate key.
pub async fn insert(tx: &mut Conn, new: &NewWebhook) -> Result<i64, DbError> {
    let (id,): (i64,) = tx
        .query(
            "INSERT INTO webhooks
                 (webhook_id, name, description, url, status, sealed_secret, created_at_ms, updated_at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING id",
        )
        .bind(new.webhook_id.clone())
        .bind(new.name.clone())
        .bind(new.description.clone())
        .bind(new.url.clone())
        .bind(new.status.name())
        .bind(new.sealed_secret.clone())
        .bind(new.at_ms)
        .one()
        .await?;
    Ok(id)
}

/// Holds a webhook until the transaction ends: what is read of it then stays so.
pub async fn lock(tx: &mut Conn, webhook_id: &str) -> Result<(), DbError> {
    tx.query("UPDATE webhooks SET status = status WHERE webhook_id = $1 AND deleted_at_ms IS NULL")
        .bind(webhook_id.to_owned())
        .execute()
        .await?;
    Ok(())
}

/// Everything that can change, as it is now.
pub async fn update(tx: &mut Conn, webhook: &Webhook) -> Result<(), DbError> {
    tx.query(
        "UPDATE webhooks SET name = $2, description = $3, url = $4, status = $5, sealed_secret = $6,
             updated_at_ms = $7 WHERE id = $1",
    )
    .bind(webhook.id)
    .bind(webhook.name.clone())
    .bind(webhook.description.clone())
    .bind(webhook.url.clone())
    .bind(webhook.status.name())
    .bind(webhook.sealed_secret.clone())
    .bind(webhook.updated_at_ms)
    .execute()
    .await?;
    Ok(())
}

/// Marks a webhook deleted and forgets what is secret of it.
pub async fn delete(tx: &mut Conn, id: i64, at_ms: i64) -> Result<(), DbError> {
    tx.query("DELETE FROM webhook_subscriptions WHERE webhook = $1").bind(id).execute().await?;
    tx.query("UPDATE webhooks SET deleted_at_ms = $2, sealed_secret = NULL, url = '' WHERE id = $1")
        .bind(id)
        .bind(at_ms)
        .execute()
        .await?;
    Ok(())
}

/// Replaces what a webhook subscribes to.
pub async fn subscribe(tx: &mut Conn, id: i64, events: &[EventType]) -> Result<(), DbError> {
    tx.query("DELETE FROM webhook_subscriptions WHERE webhook = $1").bind(id).execute().await?;
    let mut sql = Sql::new(tx.engine(), "INSERT INTO webhook_subscriptions (event, webhook) VALUES ");
    sql.bind_rows(events.iter().map(|event| [Value::from(event.to_string()), id.into()]));
    tx.generated(sql).execute().await?;
    Ok(())
}

pub async fn count(conn: &mut Conn) -> Result<i64, DbError> {
    let count = conn.query("SELECT COUNT(*) FROM webhooks WHERE deleted_at_ms IS NULL").scalar().await?;
    Ok(count.unwrap_or_default())
}

pub async fn find(conn: &mut Conn, webhook_id: &str) -> Result<Option<Webhook>, DbError> {
    let row: Option<Row> = conn
        .query(
            "SELECT id, webhook_id, name, description, url, status, sealed_secret, created_at_ms, updated_at_ms
             FROM webhooks WHERE webhook_id = $1 AND deleted_at_ms IS NULL",
        )
        .bind(webhook_id.to_owned())
        .optional()
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let events = events(conn, &[row.id]).await?.remove(&row.id);
    row.with(events.unwrap_or_default()).map(Some)
}

/// Webhooks before `(created_at_ms, id)`, newest first.
pub async fn page(conn: &mut Conn, before: (i64, i64), limit: i64) -> Result<Vec<Webhook>, DbError> {
    let rows: Vec<Row> = conn
        .query(
            "SELECT id, webhook_id, name, description, url, status, sealed_secret, created_at_ms, updated_at_ms
             FROM webhooks WHERE deleted_at_ms IS NULL AND (created_at_ms, id) < ($1, $2)
             ORDER BY created_at_ms DESC, id DESC LIMIT $3",
        )
        .bind(before.0)
        .bind(before.1)
        .bind(limit)
        .all()
        .await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut events = events(conn, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let own = events.remove(&row.id).unwrap_or_default();
            row.with(own)
        })
        .collect()
}

/// What each of `ids` subscribes to, by name.
async fn events(conn: &mut Conn, ids: &[i64]) -> Result<HashMap<i64, Vec<EventType>>, DbError> {
    let mut found: HashMap<i64, Vec<EventType>> = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let mut sql =
        Sql::new(conn.engine(), "SELECT webhook, event FROM webhook_subscriptions WHERE webhook IN (");
    sql.bind_list(ids.iter().map(|id| (*id).into())).push(")");
    let rows: Vec<(i64, String)> = conn.generated(sql).all().await?;
    for (id, text) in rows {
        found.entry(id).or_default().push(event(&text)?);
    }
    for events in found.values_mut() {
        events.sort_by_key(|event| (event.entity().name(), event.action().name()));
    }
    Ok(found)
}

/// Whether anything is subscribed to at all.
pub async fn any(conn: &mut Conn) -> Result<bool, DbError> {
    Ok(conn.query("SELECT 1 FROM webhook_subscriptions LIMIT 1").scalar::<i32>().await?.is_some())
}

/// Active webhooks that are to be told of `event`.
pub async fn subscribed(conn: &mut Conn, event: EventType) -> Result<Vec<i64>, DbError> {
    let rows: Vec<(i64,)> = conn
        .query(
            "SELECT w.id FROM webhook_subscriptions s JOIN webhooks w ON w.id = s.webhook
             WHERE s.event = $1 AND w.status = 'ACTIVE' AND w.deleted_at_ms IS NULL ORDER BY w.id",
        )
        .bind(event.to_string())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
