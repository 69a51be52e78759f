//! The files of frozen versions, served read-only under `.versions/<uid>/`.

use super::{
    store::{BlobRow, blob_columns},
    tree::{Entry, Node},
};
use crate::db::{
    Conn, DbError,
    sql::{ROWS_PER_STATEMENT, Sql},
};
use std::collections::BTreeMap;
use waybill_proof::manifest::ModelFile;

/// Records the files of a version that is being frozen; their blobs exist. Call it inside the
/// transaction that makes the version.
pub async fn insert(tx: &mut Conn, uid: &str, files: &[ModelFile]) -> Result<(), DbError> {
    for some in files.chunks(ROWS_PER_STATEMENT) {
        let mut sql =
            Sql::new(tx.engine(), "INSERT INTO version_files (uid, path, digest, size_bytes) VALUES ");
        sql.bind_rows(some.iter().map(|file| {
            [
                uid.into(),
                file.path.as_str().into(),
                file.digest.to_string().into(),
                (file.size_bytes as i64).into(),
            ]
        }));
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// What lies at `path` inside version `uid`; the empty path is its root.
pub async fn resolve(conn: &mut Conn, uid: &str, path: &str) -> Result<Node, DbError> {
    let file: Option<BlobRow> = conn
        .query(concat!(
            "SELECT ",
            blob_columns!(),
            " FROM version_files v JOIN blobs b ON b.digest = v.digest
             JOIN representations r ON r.representation_id = b.representation_id
             WHERE v.uid = $1 AND v.path = $2"
        ))
        .bind(uid.to_owned())
        .bind(path.to_owned())
        .optional()
        .await?;
    if let Some(row) = file {
        return Ok(Node::File(row.try_into()?));
    }
    Ok(if list(conn, uid, path).await?.is_empty() { Node::Missing } else { Node::Directory })
}

/// The entries of directory `path` inside version `uid`, by name; none when it is a file or missing.
pub async fn list(conn: &mut Conn, uid: &str, path: &str) -> Result<Vec<Entry>, DbError> {
    let (from, to) = if path.is_empty() {
        (String::new(), "\u{10ffff}".to_owned())
    } else {
        (format!("{path}/"), format!("{path}0"))
    };
    let rows: Vec<(String, i64)> = conn
        .query(
            "SELECT path, size_bytes FROM version_files
             WHERE uid = $1 AND path > $2 AND path < $3 ORDER BY path",
        )
        .bind(uid.to_owned())
        .bind(from.clone())
        .bind(to)
        .all()
        .await?;
    let mut entries = BTreeMap::new();
    for (path, size) in &rows {
        let below = &path[from.len()..];
        match below.split_once('/') {
            Some((directory, _)) => entries.insert(directory, None),
            None => entries.insert(below, Some(*size as u64)),
        };
    }
    Ok(entries.into_iter().map(|(name, size_bytes)| Entry { name: name.to_owned(), size_bytes }).collect())
}
