use crate::{
    db::{Conn, DbError},
    imports::ImportsError,
};
use waybill_client::api::{CreateImport, Import, ImportCount, ImportKind, ImportedKind};

#[derive(sqlx::FromRow)]
pub struct Row {
    pub import_rid: i64,
    import_id: String,
    source: String,
    detail: String,
    created_by: String,
    created_at_ms: i64,
}

fn kind_text(kind: ImportKind) -> &'static str {
    match kind {
        ImportKind::Mlflow => "mlflow",
    }
}

/// False when there is an import of that source.
pub async fn insert(
    tx: &mut Conn,
    import_id: &str,
    asked: &CreateImport,
    created_by: &str,
    now_ms: i64,
) -> Result<bool, DbError> {
    let rows = tx
        .query(
            "INSERT INTO imports (import_id, kind, source, detail, created_by, created_at_ms)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kind, source) DO NOTHING",
        )
        .bind(import_id.to_owned())
        .bind(kind_text(asked.kind))
        .bind(asked.source.clone())
        .bind(asked.detail.clone())
        .bind(created_by.to_owned())
        .bind(now_ms)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// The id of the import of that source, which exists.
pub async fn of_source(conn: &mut Conn, asked: &CreateImport) -> Result<String, DbError> {
    let (import_id,): (String,) = conn
        .query("SELECT import_id FROM imports WHERE kind = $1 AND source = $2")
        .bind(kind_text(asked.kind))
        .bind(asked.source.clone())
        .one()
        .await?;
    Ok(import_id)
}

pub async fn find(conn: &mut Conn, import_id: &str) -> Result<Option<Row>, DbError> {
    conn.query(
        "SELECT import_rid, import_id, source, detail, created_by, created_at_ms
         FROM imports WHERE import_id = $1",
    )
    .bind(import_id.to_owned())
    .optional()
    .await
}

/// The internal key of an import, which has to exist.
pub async fn rid(conn: &mut Conn, import_id: &str) -> Result<i64, ImportsError> {
    let found = find(conn, import_id).await?;
    found
        .map(|row| row.import_rid)
        .ok_or_else(|| ImportsError::NoImport(import_id.chars().take(100).collect()))
}

/// Imports whose key is below `before`, the newest first.
pub async fn page(conn: &mut Conn, before: i64, limit: i64) -> Result<Vec<Row>, DbError> {
    conn.query(
        "SELECT import_rid, import_id, source, detail, created_by, created_at_ms
         FROM imports WHERE import_rid < $1 ORDER BY import_rid DESC LIMIT $2",
    )
    .bind(before)
    .bind(limit)
    .all()
    .await
}

/// Completes imports with how much of each kind is here.
pub async fn with_counts(conn: &mut Conn, rows: Vec<Row>) -> Result<Vec<Import>, DbError> {
    let mut imports = Vec::with_capacity(rows.len());
    for row in rows {
        let counts: Vec<(String, i64, i64)> = conn
            .query(
                "SELECT kind, CAST(COUNT(fingerprint) AS BIGINT), CAST(COUNT(*) AS BIGINT)
                 FROM imported_objects WHERE import_rid = $1 GROUP BY kind",
            )
            .bind(row.import_rid)
            .all()
            .await?;
        let count = |kind: ImportedKind| {
            let (_, complete, all) = counts.iter().find(|(text, ..)| text == kind.as_str())?;
            Some(ImportCount { kind, complete: *complete as u64, incomplete: (all - complete) as u64 })
        };
        imports.push(Import {
            import_id: row.import_id,
            kind: ImportKind::Mlflow,
            source: row.source,
            detail: row.detail,
            created_by: row.created_by,
            created_at_ms: row.created_at_ms,
            counts: ImportedKind::ALL.into_iter().filter_map(count).collect(),
        });
    }
    Ok(imports)
}
