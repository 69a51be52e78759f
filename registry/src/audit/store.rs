use super::Event;
use crate::db::{Conn, DbError};
use waybill_client::api::AuditEvent;

/// Appends `event`; call it inside the transaction that changes the state.
pub async fn record(tx: &mut Conn, event: &Event) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO audit_events (at_ms, actor, action, subject, from_state, to_state, reason, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(event.at_ms)
    .bind(event.actor.clone())
    .bind(event.action)
    .bind(event.subject.clone())
    .bind(event.from.clone())
    .bind(event.to.clone())
    .bind(event.reason.clone())
    .bind(event.request_id.clone())
    .execute()
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    event_id: i64,
    at_ms: i64,
    actor: String,
    action: String,
    subject: String,
    from_state: Option<String>,
    to_state: Option<String>,
    reason: Option<String>,
    request_id: Option<String>,
}

/// Events older than `before_id`, newest first; of one subject when it is given.
pub async fn list(
    conn: &mut Conn,
    subject: Option<String>,
    before_id: i64,
    limit: i64,
) -> Result<Vec<AuditEvent>, DbError> {
    let query = match subject {
        Some(subject) => conn
            .query(
                "SELECT event_id, at_ms, actor, action, subject, from_state, to_state, reason, request_id
                 FROM audit_events WHERE subject = $1 AND event_id < $2 ORDER BY event_id DESC LIMIT $3",
            )
            .bind(subject),
        None => conn.query(
            "SELECT event_id, at_ms, actor, action, subject, from_state, to_state, reason, request_id
             FROM audit_events WHERE event_id < $1 ORDER BY event_id DESC LIMIT $2",
        ),
    };
    let rows: Vec<Row> = query.bind(before_id).bind(limit).all().await?;
    Ok(rows.into_iter().map(AuditEvent::from).collect())
}

impl From<Row> for AuditEvent {
    fn from(row: Row) -> Self {
        Self {
            event_id: row.event_id,
            at_ms: row.at_ms,
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            from: row.from_state,
            to: row.to_state,
            reason: row.reason,
            request_id: row.request_id,
        }
    }
}
