//! Blobs on their way from one registry's store into another's: what a restore needs.

use super::{ArtifactError, BlobInfo, Body, ContentStore, Expected, ingest, store};
use crate::db::{
    Conn, DbError,
    dump::{Row, Table},
};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use waybill_proof::Digest;

/// A blob as the rows of a dump tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpedBlob {
    pub digest: Digest,
    pub size_bytes: u64,
    /// Its bytes were damaged when the dump was made.
    pub damaged: bool,
    generation: String,
}

/// Every blob of a snapshot, by digest.
pub async fn all(conn: &mut Conn) -> Result<Vec<BlobInfo>, DbError> {
    let rows: Vec<(String, i64)> =
        conn.query("SELECT digest, size_bytes FROM blobs ORDER BY digest").all().await?;
    rows.into_iter()
        .map(|(digest, size_bytes)| {
            let digest = digest.parse().map_err(|e: waybill_proof::InvalidDigest| DbError::Corrupt {
                what: "blob digest",
                detail: e.to_string(),
            })?;
            Ok(BlobInfo { digest, size_bytes: size_bytes as u64 })
        })
        .collect()
}

impl DumpedBlob {
    /// Puts the dumped rows of `blobs` and `representations` together.
    pub fn join(
        (blobs, blob_rows): (&Table, Vec<Row>),
        (representations, representation_rows): (&Table, Vec<Row>),
    ) -> Result<Vec<Self>, String> {
        let id = column(representations, "representation_id")?;
        let (generation, state) = (column(representations, "generation")?, column(representations, "state")?);
        let by_id: HashMap<i64, (String, bool)> = representation_rows
            .iter()
            .map(|row| {
                Ok((int(row, id)?, (text(row, generation)?.to_owned(), text(row, state)? != "available")))
            })
            .collect::<Result<_, String>>()?;
        let (digest, size) = (column(blobs, "digest")?, column(blobs, "size_bytes")?);
        let representation = column(blobs, "representation_id")?;
        blob_rows
            .iter()
            .map(|row| {
                let key = int(row, representation)?;
                let (generation, damaged) =
                    by_id.get(&key).cloned().ok_or_else(|| format!("blobs: no representation {key}"))?;
                Ok(Self {
                    digest: text(row, digest)?.parse().map_err(|e| format!("blobs: {e}"))?,
                    size_bytes: int(row, size)? as u64,
                    damaged,
                    generation,
                })
            })
            .collect()
    }

    /// Tells one copy of the bytes from another.
    pub fn generation(&self) -> &str {
        &self.generation
    }

    /// Rewrites dumped rows to where [`ContentStore::place`] put the bytes; those of the generations
    /// `lost` are nowhere.
    pub fn relocate(table: &Table, rows: &mut [Row], lost: &HashSet<&str>) {
        if table.name != "representations" {
            return;
        }
        let (Ok(layout), Ok(state), Ok(generation)) =
            (column(table, "layout"), column(table, "state"), column(table, "generation"))
        else {
            return;
        };
        for row in rows {
            if text(row, generation).is_ok_and(|generation| lost.contains(generation))
                && let Some(value) = row.get_mut(state)
            {
                *value = Value::from(store::DAMAGED);
            }
            if let Some(value) = row.get_mut(layout) {
                *value = Value::from("blob");
            }
        }
    }
}

impl ContentStore {
    /// Makes the bytes of a dumped blob durable under the key that its rows will name. The rows
    /// are the caller's to insert.
    pub async fn place(&self, blob: &DumpedBlob, body: &mut Body) -> Result<(), ArtifactError> {
        let expected = Expected { digest: Some(blob.digest), size_bytes: Some(blob.size_bytes) };
        let arrival = ingest::receive(self.backend(), blob.generation.clone(), body, expected).await?;
        arrival.keep(self.backend()).await.map(|_| ())
    }
}

fn column(table: &Table, name: &str) -> Result<usize, String> {
    let position = table.columns.iter().position(|c| c.name == name);
    position.ok_or_else(|| format!("the table {} has no column {name}", table.name))
}

fn int(row: &Row, at: usize) -> Result<i64, String> {
    row.get(at).and_then(Value::as_i64).ok_or_else(|| format!("column {at} is not a number"))
}

fn text(row: &Row, at: usize) -> Result<&str, String> {
    row.get(at).and_then(Value::as_str).ok_or_else(|| format!("column {at} is not text"))
}
