use crate::db::{Conn, DbError};
use waybill_client::api::{PublicKeyInfo, Referrer};
use waybill_proof::Digest;

/// A referrer about to be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReferrer {
    pub artifact_type: &'static str,
    pub digest: Digest,
    pub size_bytes: u64,
    pub signed_by: Option<String>,
    /// Kept in the row; `None`: the content store holds it.
    pub content: Option<String>,
    /// Under which a lockfile is found again.
    pub lock_key: Option<Digest>,
}

/// Attaches a document to a version; false when it is attached already.
pub async fn insert(tx: &mut Conn, uid: &str, new: &NewReferrer, now_ms: i64) -> Result<bool, DbError> {
    let rows = tx
        .query(
            "INSERT INTO referrers (uid, artifact_type, digest, size_bytes, signed_by, content, lock_key,
                 created_at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (uid, artifact_type, digest) DO NOTHING",
        )
        .bind(uid.to_owned())
        .bind(new.artifact_type)
        .bind(new.digest.to_string())
        .bind(new.size_bytes as i64)
        .bind(new.signed_by.clone())
        .bind(new.content.clone())
        .bind(new.lock_key.map(|key| key.to_string()))
        .bind(now_ms)
        .execute()
        .await?;
    Ok(rows == 1)
}

#[derive(sqlx::FromRow)]
struct Row {
    artifact_type: String,
    digest: String,
    size_bytes: i64,
    signed_by: Option<String>,
    created_at_ms: i64,
}

impl Row {
    fn read(self) -> Result<Referrer, DbError> {
        let digest = self
            .digest
            .parse()
            .map_err(|_| DbError::Corrupt { what: "digest", detail: format!("{:?}", self.digest) })?;
        Ok(Referrer {
            artifact_type: self.artifact_type,
            digest,
            size_bytes: self.size_bytes as u64,
            created_at_ms: self.created_at_ms,
            signed_by: self.signed_by,
        })
    }
}

/// What is attached to a version, in the order it was.
pub async fn of_version(conn: &mut Conn, uid: &str) -> Result<Vec<Referrer>, DbError> {
    let rows: Vec<Row> = conn
        .query(
            "SELECT artifact_type, digest, size_bytes, signed_by, created_at_ms
             FROM referrers WHERE uid = $1 ORDER BY referrer_id",
        )
        .bind(uid.to_owned())
        .all()
        .await?;
    rows.into_iter().map(Row::read).collect()
}

/// One attached document.
pub async fn find(
    conn: &mut Conn,
    uid: &str,
    artifact_type: &str,
    digest: &Digest,
) -> Result<Option<Referrer>, DbError> {
    let row: Option<Row> = conn
        .query(
            "SELECT artifact_type, digest, size_bytes, signed_by, created_at_ms
             FROM referrers WHERE uid = $1 AND artifact_type = $2 AND digest = $3",
        )
        .bind(uid.to_owned())
        .bind(artifact_type.to_owned())
        .bind(digest.to_string())
        .optional()
        .await?;
    row.map(Row::read).transpose()
}

/// The text of a document that is kept in a row.
pub async fn inline_content(conn: &mut Conn, digest: &Digest) -> Result<Option<String>, DbError> {
    conn.query("SELECT content FROM referrers WHERE digest = $1 AND content IS NOT NULL LIMIT 1")
        .bind(digest.to_string())
        .scalar()
        .await
}

/// Documents of one type under a lock key, the newest first.
pub async fn under_lock_key(
    conn: &mut Conn,
    key: &Digest,
    artifact_type: &'static str,
    limit: i64,
) -> Result<Vec<Referrer>, DbError> {
    let rows: Vec<Row> = conn
        .query(
            "SELECT artifact_type, digest, size_bytes, signed_by, created_at_ms
             FROM referrers WHERE lock_key = $1 AND artifact_type = $2 ORDER BY referrer_id DESC LIMIT $3",
        )
        .bind(key.to_string())
        .bind(artifact_type)
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(Row::read).collect()
}

/// Runs behind frozen versions of which nothing says how they ended, or nothing since they ended last, by
/// the clock of whoever ended them. Nobody here saw those of imported versions end.
pub async fn runs_with_unsaid_end(
    conn: &mut Conn,
    artifact_type: &'static str,
) -> Result<Vec<String>, DbError> {
    let rows: Vec<(String,)> = conn
        .query(
            "SELECT DISTINCT v.run_id FROM model_versions v JOIN runs r ON r.run_id = v.run_id
             WHERE v.custody = 'frozen' AND v.deleted_at_ms IS NULL
               AND r.status IN ('FINISHED', 'FAILED', 'KILLED')
               AND NOT EXISTS (SELECT 1 FROM referrers a WHERE a.uid = v.uid AND a.artifact_type = $1
                                 AND a.created_at_ms >= COALESCE(r.end_time_ms, 0))
               AND NOT EXISTS (
                   SELECT 1 FROM imported_objects o WHERE o.kind = 'model_version' AND o.local_id = v.uid)",
        )
        .bind(artifact_type)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(run_id,)| run_id).collect())
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    hint: String,
    role: String,
    algorithm: String,
    public_key_pem: String,
}

/// All known public keys, the oldest first.
pub async fn keys(conn: &mut Conn) -> Result<Vec<PublicKeyInfo>, DbError> {
    let rows: Vec<KeyRow> = conn
        .query("SELECT hint, role, algorithm, public_key_pem FROM signing_keys ORDER BY created_at_ms, hint")
        .all()
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| PublicKeyInfo {
            hint: row.hint,
            role: row.role,
            algorithm: row.algorithm,
            public_key_pem: row.public_key_pem,
        })
        .collect())
}

/// Adds a key; false when it is known.
pub async fn insert_key(
    tx: &mut Conn,
    key: &PublicKeyInfo,
    added_by: &str,
    now_ms: i64,
) -> Result<bool, DbError> {
    let rows = tx
        .query(
            "INSERT INTO signing_keys (hint, role, algorithm, public_key_pem, added_by, created_at_ms)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (hint) DO NOTHING",
        )
        .bind(key.hint.clone())
        .bind(key.role.clone())
        .bind(key.algorithm.clone())
        .bind(key.public_key_pem.clone())
        .bind(added_by.to_owned())
        .bind(now_ms)
        .execute()
        .await?;
    Ok(rows == 1)
}
