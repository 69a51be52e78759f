//! `manifest.json`: what a backup holds.

use super::BackupError;
use crate::db::dump::Table;
use serde::{Deserialize, Serialize};
use std::path::Path;
use waybill_proof::Digest;

/// Layout of the folder; another number means another layout.
pub const FORMAT: u32 = 1;
pub const FILE: &str = "manifest.json";
/// A manifest names tables, keys and damaged blobs, not every blob: it stays small.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    /// Highest migration that the rows were written under.
    pub schema: i64,
    pub waybill_version: String,
    pub created_at_ms: i64,
    pub tables: Vec<TableFile>,
    pub blob_count: u64,
    pub blob_bytes: u64,
    /// Blobs that the rows name and the backup lacks: their bytes were damaged when it was taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<Digest>,
    pub keys: Vec<KeyFile>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFile {
    pub table: Table,
    pub rows: u64,
    pub digest: Digest,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    pub name: String,
    pub digest: Digest,
}

/// What was saved or restored, for people and scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub rows: u64,
    pub blob_count: u64,
    pub blob_bytes: u64,
    pub key_count: u64,
    pub created_at_ms: i64,
}

impl Manifest {
    pub fn read(dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(FILE);
        let not_a_backup = |detail: String| BackupError::NotABackup { path: dir.to_owned(), detail };
        let size = std::fs::metadata(&path)
            .map_err(|e| not_a_backup(format!("{FILE}: {e} (a backup that was cut off has none)")))?
            .len();
        if size > MAX_BYTES {
            return Err(not_a_backup(format!("{FILE} has {size} bytes; expected at most {MAX_BYTES}")));
        }
        let text = std::fs::read(&path).map_err(BackupError::io("read", &path))?;
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|e| not_a_backup(format!("{FILE}: {e}")))?;
        if manifest.format != FORMAT {
            let format = manifest.format;
            return Err(not_a_backup(format!("{FILE}: format is {format}; expected {FORMAT}")));
        }
        for key in &manifest.keys {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            let stem = key.name.strip_suffix(".pem");
            if !stem.is_some_and(|stem| !stem.is_empty() && stem.bytes().all(plain)) {
                return Err(not_a_backup(format!("{FILE}: key name {:?}; expected NAME.pem", key.name)));
            }
        }
        Ok(manifest)
    }

    pub fn table(&self, name: &str) -> Option<&TableFile> {
        self.tables.iter().find(|file| file.table.name == name)
    }

    pub fn summary(&self) -> Summary {
        Summary {
            rows: self.tables.iter().map(|t| t.rows).sum(),
            blob_count: self.blob_count,
            blob_bytes: self.blob_bytes,
            key_count: self.keys.len() as u64,
            created_at_ms: self.created_at_ms,
        }
    }
}
