//! Uploads in parts, and the parts.

use crate::{
    artifacts::{
        ArtifactPath, StoredBlob,
        hash::{Blocks, Hashed},
        keys::Key,
        store::parse_digest,
    },
    db::{Conn, DbError},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Open,
    Complete,
    Closing,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Closing => "closing",
        }
    }

    fn parse(text: &str) -> Result<Self, DbError> {
        [Self::Open, Self::Complete, Self::Closing]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| DbError::Corrupt { what: "multipart upload state", detail: text.to_owned() })
    }
}

#[derive(Debug, Clone)]
pub struct NewUpload {
    pub upload_id: String,
    pub path: ArtifactPath,
    pub num_parts: i64,
    pub now_ms: i64,
    pub expires_at_ms: i64,
}

#[derive(Debug, Clone)]
pub struct Upload {
    pub path: String,
    pub num_parts: i64,
    pub state: State,
    pub expires_at_ms: i64,
}

#[derive(Debug, Clone)]
pub struct NewPart {
    pub upload_id: String,
    pub part_number: i64,
    pub hashed: Hashed,
    pub key: Key,
    pub generation: String,
}

#[derive(Debug, Clone)]
pub struct Part {
    pub part_number: i64,
    /// Its bytes, as a verified read takes them; no row of `blobs` has its id.
    pub blob: StoredBlob,
}

#[derive(sqlx::FromRow)]
struct PartRow {
    part_number: i64,
    digest: String,
    size_bytes: i64,
    generation: String,
    layout: String,
    block_hashes: Vec<u8>,
}

impl TryFrom<PartRow> for Part {
    type Error = DbError;

    fn try_from(row: PartRow) -> Result<Self, DbError> {
        let digest = parse_digest(&row.digest)?;
        let size_bytes = row.size_bytes as u64;
        let blocks = Blocks::from_stored(row.block_hashes, size_bytes).ok_or_else(|| DbError::Corrupt {
            what: "block hashes",
            detail: format!("{digest} has too few or too many"),
        })?;
        let key = Key::stored(&row.layout, digest, row.generation.clone())?;
        let blob = StoredBlob {
            blob_id: 0,
            digest,
            size_bytes,
            key,
            generation: row.generation,
            blocks,
            available: false,
        };
        Ok(Self { part_number: row.part_number, blob })
    }
}

pub async fn insert(tx: &mut Conn, new: &NewUpload) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO multipart_uploads (upload_id, path, num_parts, state, created_at_ms, expires_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(new.upload_id.clone())
    .bind(new.path.to_string())
    .bind(new.num_parts)
    .bind(State::Open.as_str())
    .bind(new.now_ms)
    .bind(new.expires_at_ms)
    .execute()
    .await
    .map(drop)
}

pub async fn find(conn: &mut Conn, upload_id: &str) -> Result<Option<Upload>, DbError> {
    let row: Option<(String, i64, String, i64)> = conn
        .query("SELECT path, num_parts, state, expires_at_ms FROM multipart_uploads WHERE upload_id = $1")
        .bind(upload_id.to_owned())
        .optional()
        .await?;
    row.map(|(path, num_parts, state, expires_at_ms)| {
        Ok(Upload { path, num_parts, state: State::parse(&state)?, expires_at_ms })
    })
    .transpose()
}

/// Moves an upload on; false when it is gone, or being closed already.
pub async fn set_state(tx: &mut Conn, upload_id: &str, state: State) -> Result<bool, DbError> {
    let changed = tx
        .query("UPDATE multipart_uploads SET state = $1 WHERE upload_id = $2 AND state <> $3")
        .bind(state.as_str())
        .bind(upload_id.to_owned())
        .bind(State::Closing.as_str())
        .execute()
        .await?;
    Ok(changed > 0)
}

/// Some uploads that nobody will complete any more, or whose answer nobody will ask for again.
pub async fn expired(conn: &mut Conn, now_ms: i64, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(String,)> = conn
        .query(
            "SELECT upload_id FROM multipart_uploads WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2",
        )
        .bind(now_ms)
        .bind(limit)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(upload_id,)| upload_id).collect())
}

/// Removes the upload, its parts included.
pub async fn delete(tx: &mut Conn, upload_id: &str) -> Result<(), DbError> {
    tx.query("DELETE FROM multipart_uploads WHERE upload_id = $1")
        .bind(upload_id.to_owned())
        .execute()
        .await
        .map(drop)
}

pub async fn delete_parts(tx: &mut Conn, upload_id: &str) -> Result<(), DbError> {
    tx.query("DELETE FROM multipart_parts WHERE upload_id = $1")
        .bind(upload_id.to_owned())
        .execute()
        .await
        .map(drop)
}

/// The parts that are here, by number.
pub async fn parts(conn: &mut Conn, upload_id: &str) -> Result<Vec<Part>, DbError> {
    let rows: Vec<PartRow> = conn
        .query(
            "SELECT part_number, digest, size_bytes, generation, layout, block_hashes FROM multipart_parts
             WHERE upload_id = $1 ORDER BY part_number",
        )
        .bind(upload_id.to_owned())
        .all()
        .await?;
    rows.into_iter().map(Part::try_from).collect()
}

pub async fn part(conn: &mut Conn, upload_id: &str, part_number: i64) -> Result<Option<Part>, DbError> {
    let row: Option<PartRow> = conn
        .query(
            "SELECT part_number, digest, size_bytes, generation, layout, block_hashes FROM multipart_parts
             WHERE upload_id = $1 AND part_number = $2",
        )
        .bind(upload_id.to_owned())
        .bind(part_number)
        .optional()
        .await?;
    row.map(Part::try_from).transpose()
}

/// Records a part, in place of the one before.
pub async fn put_part(tx: &mut Conn, part: &NewPart) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO multipart_parts
             (upload_id, part_number, digest, size_bytes, generation, layout, block_hashes)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (upload_id, part_number) DO UPDATE SET digest = excluded.digest,
             size_bytes = excluded.size_bytes, generation = excluded.generation,
             layout = excluded.layout, block_hashes = excluded.block_hashes",
    )
    .bind(part.upload_id.clone())
    .bind(part.part_number)
    .bind(part.hashed.digest.to_string())
    .bind(part.hashed.size_bytes as i64)
    .bind(part.generation.clone())
    .bind(part.key.layout())
    .bind(part.hashed.blocks.as_bytes().to_vec())
    .execute()
    .await
    .map(drop)
}
