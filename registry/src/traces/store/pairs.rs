//! Tags and metadata.

use crate::{
    db::{
        Conn, DbError,
        sql::{ROWS_PER_STATEMENT, Sql, Value},
    },
    traces::Pairs,
};

/// Sets tags; those of other keys stay.
pub async fn set_tags(tx: &mut Conn, tid: i64, experiment_id: i64, pairs: &Pairs) -> Result<(), DbError> {
    set(tx, "INSERT INTO trace_tags (tid, key, experiment_id, value) VALUES ", tid, experiment_id, pairs)
        .await
}

/// Sets metadata; that of other keys stays.
pub async fn set_metadata(tx: &mut Conn, tid: i64, experiment_id: i64, pairs: &Pairs) -> Result<(), DbError> {
    let insert = "INSERT INTO trace_metadata (tid, key, experiment_id, value) VALUES ";
    set(tx, insert, tid, experiment_id, pairs).await
}

async fn set(
    tx: &mut Conn,
    insert: &'static str,
    tid: i64,
    experiment_id: i64,
    pairs: &Pairs,
) -> Result<(), DbError> {
    let pairs: Vec<(&String, &String)> = pairs.iter().collect();
    for some in pairs.chunks(ROWS_PER_STATEMENT) {
        let mut sql = Sql::new(tx.engine(), insert);
        sql.bind_rows(some.iter().map(|(key, value)| {
            [Value::from(tid), key.as_str().into(), experiment_id.into(), value.as_str().into()]
        }));
        sql.push(" ON CONFLICT (tid, key) DO UPDATE SET value = excluded.value");
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// Whether there was such a tag.
pub async fn delete_tag(tx: &mut Conn, tid: i64, key: &str) -> Result<bool, DbError> {
    let deleted = tx
        .query("DELETE FROM trace_tags WHERE tid = $1 AND key = $2")
        .bind(tid)
        .bind(key.to_owned())
        .execute()
        .await?;
    Ok(deleted > 0)
}

pub async fn metadata_value(conn: &mut Conn, tid: i64, key: &str) -> Result<Option<String>, DbError> {
    conn.query("SELECT value FROM trace_metadata WHERE tid = $1 AND key = $2")
        .bind(tid)
        .bind(key.to_owned())
        .scalar()
        .await
}
