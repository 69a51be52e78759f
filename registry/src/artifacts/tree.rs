//! The path table: one namespace, where a path is a file or a directory and never both.
//!
//! Files may be rebound to other blobs. Directories come with the first file below them and stay
//! until they are removed, as in a folder. A directory's entries refer to it, so removing it
//! removes all below, and a file cannot appear below one that is just going away.

use super::{
    ArtifactError, ArtifactPath,
    store::{BlobRow, StoredBlob, blob_columns, parse_digest},
};
use crate::db::{Conn, DbError, sql::Sql};
use waybill_proof::manifest::ModelFile;

/// What lies at a path.
#[derive(Debug, Clone)]
pub enum Node {
    Missing,
    Directory,
    File(StoredBlob),
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Without the directory it is in.
    pub name: String,
    /// `None`: a directory.
    pub size_bytes: Option<u64>,
}

/// Binds `path` to a blob, making the directories above it.
///
/// Fails with [`ArtifactError::Occupied`] when a directory is at `path` or a file above it.
pub async fn bind(tx: &mut Conn, path: &ArtifactPath, blob_id: i64) -> Result<(), ArtifactError> {
    if insert(tx, path.as_str(), path.parent().unwrap_or_default(), Some(blob_id)).await? {
        return Ok(());
    }
    check_free(tx, path).await?;
    for directory in path.ancestors().filter(|directory| !directory.is_empty()) {
        let parent = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
        insert(tx, directory, parent, None).await?;
    }
    if insert(tx, path.as_str(), path.parent().unwrap_or_default(), Some(blob_id)).await? {
        return Ok(());
    }
    // Somebody was faster: what they made is in the way, or they are still at it.
    check_free(tx, path).await?;
    Err(DbError::RowCount { what: "INSERT INTO artifact_entries", expected: 1, actual: 0 }.into())
}

/// One row, when its parent is a directory; false when it is not, or when a directory is in the
/// way of a file.
async fn insert(tx: &mut Conn, path: &str, parent: &str, blob_id: Option<i64>) -> Result<bool, DbError> {
    let bound: Option<(String,)> = tx
        .query(
            "INSERT INTO artifact_entries (path, parent, blob_id)
             SELECT CAST($1 AS TEXT), p.path, CAST($3 AS BIGINT) FROM artifact_entries p
             WHERE p.path = $2 AND p.blob_id IS NULL
             ON CONFLICT (path) DO UPDATE SET blob_id = excluded.blob_id
             WHERE artifact_entries.blob_id IS NOT NULL AND excluded.blob_id IS NOT NULL
             RETURNING path",
        )
        .bind(path.to_owned())
        .bind(parent.to_owned())
        .bind(blob_id)
        .optional()
        .await?;
    Ok(bound.is_some())
}

/// Says what is in the way of a file at `path`, if anything is.
pub async fn check_free(conn: &mut Conn, path: &ArtifactPath) -> Result<(), ArtifactError> {
    let mut sql = Sql::new(conn.engine(), "SELECT path, blob_id FROM artifact_entries WHERE path IN (");
    let above = path.ancestors().filter(|directory| !directory.is_empty());
    sql.bind_list(above.chain([path.as_str()]).map(Into::into)).push(") ORDER BY path");
    let rows: Vec<(String, Option<i64>)> = conn.generated(sql).all().await?;
    let in_the_way = rows.into_iter().find(|(at, blob_id)| (at == path.as_str()) != blob_id.is_some());
    match in_the_way {
        Some((existing, blob_id)) => Err(ArtifactError::Occupied {
            path: path.to_string(),
            existing,
            what: if blob_id.is_some() { "file" } else { "directory" },
        }),
        None => Ok(()),
    }
}

/// What lies at `path`.
pub async fn resolve(conn: &mut Conn, path: &ArtifactPath) -> Result<Node, DbError> {
    let file: Option<BlobRow> = conn
        .query(concat!(
            "SELECT ",
            blob_columns!(),
            " FROM artifact_entries e JOIN blobs b ON b.blob_id = e.blob_id
             JOIN representations r ON r.representation_id = b.representation_id
             WHERE e.path = $1"
        ))
        .bind(path.as_str().to_owned())
        .optional()
        .await?;
    if let Some(row) = file {
        return Ok(Node::File(row.try_into()?));
    }
    let is_file: Option<bool> = conn
        .query("SELECT blob_id IS NOT NULL FROM artifact_entries WHERE path = $1")
        .bind(path.as_str().to_owned())
        .scalar()
        .await?;
    Ok(if is_file == Some(false) { Node::Directory } else { Node::Missing })
}

/// The entries of the directory `path`, by name; none when it is a file or missing.
pub async fn list(conn: &mut Conn, path: &ArtifactPath) -> Result<Vec<Entry>, DbError> {
    let rows: Vec<(String, Option<i64>)> = conn
        .query(
            "SELECT e.path, b.size_bytes FROM artifact_entries e LEFT JOIN blobs b ON b.blob_id = e.blob_id
             WHERE e.parent = $1 ORDER BY e.path",
        )
        .bind(path.as_str().to_owned())
        .all()
        .await?;
    let skip = if path.is_root() { 0 } else { path.as_str().len() + 1 };
    Ok(rows
        .into_iter()
        .map(|(path, size)| Entry { name: path[skip..].to_owned(), size_bytes: size.map(|s| s as u64) })
        .collect())
}

/// Every file below the directory `path`, named relative to it, by path; none when it is a file or missing.
pub async fn tree(conn: &mut Conn, path: &ArtifactPath) -> Result<Vec<ModelFile>, DbError> {
    // '0' follows '/': the bounds are the subtree and nothing else, in byte order.
    let (from, to) = if path.is_root() {
        (String::new(), "\u{10ffff}".to_owned())
    } else {
        (format!("{path}/"), format!("{path}0"))
    };
    let skip = if path.is_root() { 0 } else { from.len() };
    let rows: Vec<(String, String, i64)> = conn
        .query(
            "SELECT e.path, b.digest, b.size_bytes FROM artifact_entries e JOIN blobs b ON b.blob_id = e.blob_id
             WHERE e.path > $1 AND e.path < $2 ORDER BY e.path",
        )
        .bind(from)
        .bind(to)
        .all()
        .await?;
    rows.into_iter()
        .map(|(path, digest, size)| {
            Ok(ModelFile {
                path: path[skip..].to_owned(),
                digest: parse_digest(&digest)?,
                size_bytes: size as u64,
            })
        })
        .collect()
}

/// Removes the file or the directory with all below it; false when nothing is there. Blobs stay.
pub async fn remove(tx: &mut Conn, path: &ArtifactPath) -> Result<bool, DbError> {
    let removed = tx
        .query("DELETE FROM artifact_entries WHERE path = $1 AND parent IS NOT NULL")
        .bind(path.as_str().to_owned())
        .execute()
        .await?;
    Ok(removed > 0)
}
