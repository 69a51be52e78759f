//! Which blobs exist and how they are represented.

use super::{ArtifactError, hash::Blocks, keys::Key};
use crate::db::{
    Conn, DbError,
    sql::{ROWS_PER_STATEMENT, Sql},
};
use std::collections::HashSet;
use waybill_proof::Digest;

/// A blob and where its bytes lie.
#[derive(Debug, Clone)]
pub struct StoredBlob {
    pub blob_id: i64,
    pub digest: Digest,
    pub size_bytes: u64,
    pub key: Key,
    pub generation: String,
    pub blocks: Blocks,
    /// False: a read found other bytes, or none.
    pub available: bool,
}

/// Columns of [`BlobRow`]; `b` is blobs and `r` representations.
macro_rules! blob_columns {
    () => {
        "b.blob_id, b.digest, b.size_bytes, r.generation, r.layout, r.state, r.block_hashes"
    };
}
pub(super) use blob_columns;

#[derive(sqlx::FromRow)]
pub(super) struct BlobRow {
    blob_id: i64,
    digest: String,
    size_bytes: i64,
    generation: String,
    layout: String,
    state: String,
    block_hashes: Vec<u8>,
}

const AVAILABLE: &str = "available";
pub const DAMAGED: &str = "damaged";

impl TryFrom<BlobRow> for StoredBlob {
    type Error = DbError;

    fn try_from(row: BlobRow) -> Result<Self, DbError> {
        let corrupt = |what, detail: String| DbError::Corrupt { what, detail };
        let digest = parse_digest(&row.digest)?;
        let size_bytes = row.size_bytes as u64;
        let key = Key::stored(&row.layout, digest, row.generation.clone())?;
        let blocks = Blocks::from_stored(row.block_hashes, size_bytes)
            .ok_or_else(|| corrupt("block hashes", format!("{digest} has too few or too many")))?;
        Ok(Self {
            blob_id: row.blob_id,
            digest,
            size_bytes,
            key,
            generation: row.generation,
            blocks,
            available: row.state == AVAILABLE,
        })
    }
}

pub(super) fn parse_digest(text: &str) -> Result<Digest, DbError> {
    text.parse().map_err(|_| DbError::Corrupt { what: "digest", detail: text.to_owned() })
}

/// The blob of `digest`; `None` when it was never stored.
pub async fn find(conn: &mut Conn, digest: &Digest) -> Result<Option<StoredBlob>, DbError> {
    let row: Option<BlobRow> = conn
        .query(concat!(
            "SELECT ",
            blob_columns!(),
            " FROM blobs b JOIN representations r ON r.representation_id = b.representation_id
             WHERE b.digest = $1"
        ))
        .bind(digest.to_string())
        .optional()
        .await?;
    row.map(StoredBlob::try_from).transpose()
}

/// The blob of `digest`, whose bytes are here.
pub async fn stored(conn: &mut Conn, digest: &Digest) -> Result<StoredBlob, ArtifactError> {
    let found = find(conn, digest).await?.filter(|blob| blob.available);
    found.ok_or(ArtifactError::NoBlob { digest: *digest })
}

/// Bytes that are durable and wait for their row.
#[derive(Debug, Clone)]
pub struct NewBlob {
    pub digest: Digest,
    pub size_bytes: u64,
    pub key: Key,
    pub generation: String,
    pub blocks: Blocks,
    pub created_at_ms: i64,
}

/// How a new blob met the rows that were there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub blob_id: i64,
    /// An object that no row names any more: the new one when somebody was faster, or the
    /// damaged one that it replaces.
    pub surplus: Option<Key>,
}

/// Makes the row of `new`, or gives a damaged blob its bytes back.
pub async fn record(tx: &mut Conn, new: &NewBlob) -> Result<Recorded, DbError> {
    let representation_id = insert_representation(tx, new).await?;
    let inserted: Option<i64> = tx
        .query(
            "INSERT INTO blobs (digest, size_bytes, representation_id) VALUES ($1, $2, $3)
             ON CONFLICT (digest) DO NOTHING RETURNING blob_id",
        )
        .bind(new.digest.to_string())
        .bind(new.size_bytes as i64)
        .bind(representation_id)
        .scalar()
        .await?;
    if let Some(blob_id) = inserted {
        return Ok(Recorded { blob_id, surplus: None });
    }
    let existing = find(tx, &new.digest).await?.ok_or(DbError::RowCount {
        what: "INSERT INTO blobs",
        expected: 1,
        actual: 0,
    })?;
    let surplus = if existing.available {
        delete_representation(tx, &new.generation).await?;
        new.key.clone()
    } else {
        tx.query("UPDATE blobs SET representation_id = $1 WHERE blob_id = $2")
            .bind(representation_id)
            .bind(existing.blob_id)
            .execute()
            .await?;
        delete_representation(tx, &existing.generation).await?;
        existing.key
    };
    Ok(Recorded { blob_id: existing.blob_id, surplus: Some(surplus) })
}

async fn insert_representation(tx: &mut Conn, new: &NewBlob) -> Result<i64, DbError> {
    let (id,): (i64,) = tx
        .query(
            "INSERT INTO representations (generation, layout, state, block_hashes, created_at_ms)
             VALUES ($1, $2, $3, $4, $5) RETURNING representation_id",
        )
        .bind(new.generation.clone())
        .bind(new.key.layout())
        .bind(AVAILABLE)
        .bind(new.blocks.as_bytes().to_vec())
        .bind(new.created_at_ms)
        .one()
        .await?;
    Ok(id)
}

async fn delete_representation(tx: &mut Conn, generation: &str) -> Result<(), DbError> {
    tx.query("DELETE FROM representations WHERE generation = $1")
        .bind(generation.to_owned())
        .execute()
        .await
        .map(drop)
}

/// Whether a row names this object.
pub async fn is_recorded(conn: &mut Conn, generation: &str) -> Result<bool, DbError> {
    let found: Option<i64> = conn
        .query("SELECT representation_id FROM representations WHERE generation = $1")
        .bind(generation.to_owned())
        .scalar()
        .await?;
    Ok(found.is_some())
}

/// Remembers that this object's bytes are wrong or gone, so that the next upload replaces it.
pub async fn mark_damaged(tx: &mut Conn, generation: &str) -> Result<(), DbError> {
    tx.query("UPDATE representations SET state = $1 WHERE generation = $2")
        .bind(DAMAGED)
        .bind(generation.to_owned())
        .execute()
        .await
        .map(drop)
}

/// Remembers that the bytes were read whole and are right after all: their disk or network was away.
pub async fn mark_available(tx: &mut Conn, generation: &str) -> Result<(), DbError> {
    tx.query("UPDATE representations SET state = $1 WHERE generation = $2")
        .bind(AVAILABLE)
        .bind(generation.to_owned())
        .execute()
        .await
        .map(drop)
}

/// Those of `digests` whose bytes are here.
pub async fn available(conn: &mut Conn, digests: &[Digest]) -> Result<HashSet<Digest>, DbError> {
    let mut found = HashSet::new();
    for some in digests.chunks(ROWS_PER_STATEMENT) {
        let mut sql = Sql::new(
            conn.engine(),
            "SELECT b.digest FROM blobs b JOIN representations r ON r.representation_id = b.representation_id
             WHERE r.state = 'available' AND b.digest IN (",
        );
        sql.bind_list(some.iter().map(|digest| digest.to_string().into())).push(")");
        let rows: Vec<(String,)> = conn.generated(sql).all().await?;
        for (digest,) in rows {
            found.insert(parse_digest(&digest)?);
        }
    }
    Ok(found)
}
