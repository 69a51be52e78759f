//! Upload sessions: files named up front, sent by digest, then registered as a version.
//!
//! As long as a session lives, the digests that it names are leased: what it was told is here
//! stays here until it is used, given up or expires.

use super::{
    ArtifactError, BlobInfo, Body, ContentStore, Expected,
    path::PATH_MAX_BYTES,
    store::{self, parse_digest},
};
use crate::db::{
    Conn, DbError,
    sql::{ROWS_PER_STATEMENT, Sql},
};
use std::collections::{BTreeMap, HashSet};
use waybill_client::api::{CreateUpload, Upload, UploadFile};
use waybill_proof::{Digest, manifest::ModelFile};

/// How long a session stays open.
pub const EXPIRY_MS: i64 = 24 * 60 * 60 * 1000;
/// Files of one session; a manifest, at most 4 MiB, holds fewer.
pub const FILES_MAX: usize = 20_000;
/// Longest path of a file, leaving room for `.versions/<uid>/` before it.
pub const FILE_PATH_MAX_BYTES: usize = PATH_MAX_BYTES - 100;

/// Opens a session and tells which of its files must still be sent.
pub async fn create(content: &ContentStore, request: CreateUpload) -> Result<Upload, ArtifactError> {
    check_files(&request.files)?;
    let upload_id = content.ids().prefixed("upl");
    let now_ms = content.now_ms();
    let expires_at_ms = now_ms + EXPIRY_MS;
    let digests: HashSet<Digest> = request.files.iter().map(|file| file.digest).collect();
    let mut digests: Vec<Digest> = digests.into_iter().collect();
    digests.sort();
    let input = (upload_id.clone(), request.files, digests, now_ms);
    let missing = content
        .db()
        .write(input, |tx, (upload_id, files, digests, now_ms)| {
            Box::pin(async move {
                delete_expired(tx, *now_ms).await?;
                insert(tx, upload_id, files, *now_ms).await?;
                // After the lease, in its transaction: what is found here cannot be collected.
                let here = store::available(tx, digests).await?;
                Ok::<_, ArtifactError>(
                    digests.iter().filter(|digest| !here.contains(digest)).copied().collect::<Vec<_>>(),
                )
            })
        })
        .await?;
    Ok(Upload { upload_id, expires_at_ms, missing })
}

/// Names, sizes and number; [`waybill_proof::manifest::Manifest`] judges the whole at registration.
fn check_files(files: &[UploadFile]) -> Result<(), ArtifactError> {
    let invalid = |field, detail: String| Err(ArtifactError::Invalid { field, detail });
    if files.is_empty() || files.len() > FILES_MAX {
        return invalid("files", format!("{} files; expected 1 to {FILES_MAX}", files.len()));
    }
    let mut sizes = BTreeMap::new();
    let mut paths = HashSet::new();
    for file in files {
        if let Err(error) = waybill_proof::path::check(&file.path) {
            return invalid("files.path", error.to_string());
        }
        if file.path.len() > FILE_PATH_MAX_BYTES {
            let (path, bytes) = (&file.path, file.path.len());
            return invalid(
                "files.path",
                format!("{path:?} is {bytes} bytes long, at most {FILE_PATH_MAX_BYTES} are taken"),
            );
        }
        if !paths.insert(file.path.as_str()) {
            return invalid("files.path", format!("{:?} is named twice", file.path));
        }
        if i64::try_from(file.size_bytes).is_err() {
            return invalid("files.size_bytes", format!("{} is out of range", file.size_bytes));
        }
        let size = sizes.entry(file.digest).or_insert(file.size_bytes);
        if *size != file.size_bytes {
            return invalid("files.size_bytes", format!("{} is named with two sizes", file.digest));
        }
    }
    Ok(())
}

/// Receives one of the session's files.
pub async fn put(
    content: &ContentStore,
    upload_id: &str,
    digest: Digest,
    body: &mut Body,
) -> Result<BlobInfo, ArtifactError> {
    let mut conn = content.db().read().await?;
    check_open(&mut conn, upload_id, content.now_ms()).await?;
    let size_bytes: Option<i64> = conn
        .query("SELECT size_bytes FROM upload_files WHERE upload_id = $1 AND digest = $2 LIMIT 1")
        .bind(upload_id.to_owned())
        .bind(digest.to_string())
        .scalar()
        .await?;
    drop(conn);
    let Some(size_bytes) = size_bytes else {
        return Err(ArtifactError::NotInUpload { upload_id: upload_id.to_owned(), digest });
    };
    let expected = Expected { digest: Some(digest), size_bytes: Some(size_bytes as u64) };
    content.put_blob(body, expected).await
}

/// Gives the session and its leases up; false when it is not there.
pub async fn delete(content: &ContentStore, upload_id: &str) -> Result<bool, ArtifactError> {
    content
        .db()
        .write(upload_id.to_owned(), |tx, upload_id| {
            Box::pin(async move { Ok::<_, ArtifactError>(delete_row(tx, upload_id).await?) })
        })
        .await
}

/// The session's files, by path. Fails with [`ArtifactError::NoUpload`] when it is not open at
/// `now_ms`.
pub async fn files_of(
    conn: &mut Conn,
    upload_id: &str,
    now_ms: i64,
) -> Result<Vec<ModelFile>, ArtifactError> {
    check_open(conn, upload_id, now_ms).await?;
    let rows: Vec<(String, String, i64)> = conn
        .query("SELECT path, digest, size_bytes FROM upload_files WHERE upload_id = $1 ORDER BY path")
        .bind(upload_id.to_owned())
        .all()
        .await?;
    rows.into_iter()
        .map(|(path, digest, size)| {
            Ok(ModelFile { path, digest: parse_digest(&digest)?, size_bytes: size as u64 })
        })
        .collect()
}

/// The session's files, which are all here.
///
/// Fails with [`ArtifactError::NoUpload`], or with [`ArtifactError::Incomplete`] when files are
/// still to be sent.
pub async fn complete_files_of(
    conn: &mut Conn,
    upload_id: &str,
    now_ms: i64,
) -> Result<Vec<ModelFile>, ArtifactError> {
    let files = files_of(conn, upload_id, now_ms).await?;
    let digests: Vec<Digest> = files.iter().map(|file| file.digest).collect();
    let here = store::available(conn, &digests).await?;
    let missing: HashSet<&Digest> = digests.iter().filter(|digest| !here.contains(digest)).collect();
    if let Some(first) = missing.iter().min() {
        return Err(ArtifactError::Incomplete {
            upload_id: upload_id.to_owned(),
            missing: missing.len(),
            first: **first,
        });
    }
    Ok(files)
}

/// Ends the session inside the transaction that uses its files; fails as [`complete_files_of`].
pub async fn consume(tx: &mut Conn, upload_id: &str, now_ms: i64) -> Result<Vec<ModelFile>, ArtifactError> {
    let files = complete_files_of(tx, upload_id, now_ms).await?;
    // Two registrations of one session at once: the row is deleted once.
    if delete_row(tx, upload_id).await? { Ok(files) } else { Err(no_upload(upload_id)) }
}

fn no_upload(upload_id: &str) -> ArtifactError {
    ArtifactError::NoUpload { upload_id: upload_id.chars().take(100).collect() }
}

async fn check_open(conn: &mut Conn, upload_id: &str, now_ms: i64) -> Result<(), ArtifactError> {
    let expires_at_ms: Option<i64> = conn
        .query("SELECT expires_at_ms FROM uploads WHERE upload_id = $1")
        .bind(upload_id.to_owned())
        .scalar()
        .await?;
    if expires_at_ms.is_some_and(|at| now_ms < at) { Ok(()) } else { Err(no_upload(upload_id)) }
}

async fn insert(tx: &mut Conn, upload_id: &str, files: &[UploadFile], now_ms: i64) -> Result<(), DbError> {
    tx.query("INSERT INTO uploads (upload_id, created_at_ms, expires_at_ms) VALUES ($1, $2, $3)")
        .bind(upload_id.to_owned())
        .bind(now_ms)
        .bind(now_ms + EXPIRY_MS)
        .execute()
        .await?;
    for some in files.chunks(ROWS_PER_STATEMENT) {
        let mut sql =
            Sql::new(tx.engine(), "INSERT INTO upload_files (upload_id, path, digest, size_bytes) VALUES ");
        sql.bind_rows(some.iter().map(|file| {
            [
                upload_id.into(),
                file.path.as_str().into(),
                file.digest.to_string().into(),
                (file.size_bytes as i64).into(),
            ]
        }));
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

async fn delete_row(tx: &mut Conn, upload_id: &str) -> Result<bool, DbError> {
    let deleted =
        tx.query("DELETE FROM uploads WHERE upload_id = $1").bind(upload_id.to_owned()).execute().await?;
    Ok(deleted > 0)
}

async fn delete_expired(tx: &mut Conn, now_ms: i64) -> Result<(), DbError> {
    tx.query("DELETE FROM uploads WHERE expires_at_ms <= $1").bind(now_ms).execute().await.map(drop)
}
