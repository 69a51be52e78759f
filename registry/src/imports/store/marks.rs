//! The account of what came from where.

use crate::db::{
    Conn, DbError,
    sql::{ROWS_PER_STATEMENT, Sql},
};
use std::collections::HashMap;
use waybill_client::api::ImportedKind;

/// What an object of the source is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub local_id: String,
    /// `None`: not all of it is here.
    pub fingerprint: Option<String>,
}

/// Notes what an object is here, or that all of it is; without a fingerprint a known one is as
/// it was.
pub async fn mark(
    tx: &mut Conn,
    import_rid: i64,
    kind: ImportedKind,
    source_id: &str,
    mark: &Mark,
    now_ms: i64,
) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO imported_objects (import_rid, kind, source_id, local_id, fingerprint, updated_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (import_rid, kind, source_id) DO UPDATE SET local_id = excluded.local_id,
             fingerprint = COALESCE(excluded.fingerprint, imported_objects.fingerprint),
             updated_at_ms = excluded.updated_at_ms",
    )
    .bind(import_rid)
    .bind(kind.as_str())
    .bind(source_id.to_owned())
    .bind(mark.local_id.clone())
    .bind(mark.fingerprint.clone())
    .bind(now_ms)
    .execute()
    .await
    .map(drop)
}

/// What one object is here.
pub async fn mark_of(
    conn: &mut Conn,
    import_rid: i64,
    kind: ImportedKind,
    source_id: &str,
) -> Result<Option<Mark>, DbError> {
    Ok(marks(conn, import_rid, kind, &[source_id]).await?.remove(source_id))
}

/// Those of `source_ids` that are known.
pub async fn marks(
    conn: &mut Conn,
    import_rid: i64,
    kind: ImportedKind,
    source_ids: &[&str],
) -> Result<HashMap<String, Mark>, DbError> {
    let mut found = HashMap::new();
    for some in source_ids.chunks(ROWS_PER_STATEMENT) {
        let mut sql = Sql::new(
            conn.engine(),
            "SELECT source_id, local_id, fingerprint FROM imported_objects WHERE import_rid = ",
        );
        sql.bind(import_rid).push(" AND kind = ").bind(kind.as_str()).push(" AND source_id IN (");
        sql.bind_list(some.iter().map(|id| (*id).into())).push(")");
        let rows: Vec<(String, String, Option<String>)> = conn.generated(sql).all().await?;
        found
            .extend(rows.into_iter().map(|(id, local_id, fingerprint)| (id, Mark { local_id, fingerprint })));
    }
    Ok(found)
}
