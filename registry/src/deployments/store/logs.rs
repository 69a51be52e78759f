//! A deployment's log: numbered lines, the newest kept.

use crate::db::{
    Conn, DbError,
    sql::{ROWS_PER_STATEMENT, Sql, Value},
};
use waybill_client::api::{AppendLogLine, LogLine, LogStream};

/// Positions of a log.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Head {
    pub last_seq: i64,
    /// Lines up to here are gone.
    pub dropped_to: i64,
    pub last_key: Option<String>,
}

pub async fn head(conn: &mut Conn, deployment: i64) -> Result<Head, DbError> {
    conn.query("SELECT last_seq, dropped_to, last_key FROM log_heads WHERE deployment = $1")
        .bind(deployment)
        .one()
        .await
}

/// Takes `count` positions and holds the log until the transaction ends, so that positions become
/// visible in order; the last position taken. `None` when `key` is that of the newest append.
pub async fn reserve(
    tx: &mut Conn,
    deployment: i64,
    count: i64,
    key: Option<&str>,
) -> Result<Option<i64>, DbError> {
    tx.query(
        "UPDATE log_heads SET last_seq = last_seq + $2, last_key = $3
         WHERE deployment = $1 AND ($3 IS NULL OR last_key IS NULL OR last_key <> $3) RETURNING last_seq",
    )
    .bind(deployment)
    .bind(count)
    .bind(key.map(str::to_owned))
    .scalar()
    .await
}

/// Writes lines under the positions that end with `last_seq`.
pub async fn insert(
    tx: &mut Conn,
    deployment: i64,
    rollout_id: &str,
    last_seq: i64,
    lines: &[AppendLogLine],
) -> Result<(), DbError> {
    let first = last_seq - lines.len() as i64 + 1;
    for (at, chunk) in lines.chunks(ROWS_PER_STATEMENT).enumerate() {
        let start = first + (at * ROWS_PER_STATEMENT) as i64;
        let mut sql = Sql::new(
            tx.engine(),
            "INSERT INTO log_lines (deployment, seq, rollout_id, at_ms, stream, text) VALUES ",
        );
        sql.bind_rows((start..).zip(chunk).map(|(seq, line)| {
            [
                Value::from(deployment),
                seq.into(),
                rollout_id.into(),
                line.at_ms.into(),
                line.stream.as_str().into(),
                line.text.as_str().into(),
            ]
        }));
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// Drops every line up to `seq`.
pub async fn drop_to(tx: &mut Conn, deployment: i64, seq: i64) -> Result<(), DbError> {
    tx.query("DELETE FROM log_lines WHERE deployment = $1 AND seq <= $2")
        .bind(deployment)
        .bind(seq)
        .execute()
        .await?;
    tx.query("UPDATE log_heads SET dropped_to = $2 WHERE deployment = $1")
        .bind(deployment)
        .bind(seq)
        .execute()
        .await?;
    Ok(())
}

/// Lines after `after_seq`, oldest first.
pub async fn page(
    conn: &mut Conn,
    deployment: i64,
    after_seq: i64,
    limit: i64,
) -> Result<Vec<LogLine>, DbError> {
    let rows: Vec<(i64, String, i64, String, String)> = conn
        .query(
            "SELECT seq, rollout_id, at_ms, stream, text FROM log_lines
             WHERE deployment = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(deployment)
        .bind(after_seq)
        .bind(limit)
        .all()
        .await?;
    rows.into_iter()
        .map(|(seq, rollout_id, at_ms, stream, text)| {
            Ok(LogLine { seq, rollout_id, at_ms, stream: stream_of(&stream)?, text })
        })
        .collect()
}

fn stream_of(text: &str) -> Result<LogStream, DbError> {
    [LogStream::Event, LogStream::Resolve, LogStream::Build, LogStream::Stdout, LogStream::Stderr]
        .into_iter()
        .find(|stream| stream.as_str() == text)
        .ok_or_else(|| DbError::Corrupt { what: "log stream", detail: format!("{text:?}") })
}
