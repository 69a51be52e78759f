//! Taking a backup.

use super::{
    BackupError, Progress, Summary,
    files::{self, HashedFile},
    manifest::{self, KeyFile, Manifest, TableFile},
};
use crate::{
    artifacts::ContentStore,
    clock::{Clock as _, SystemClock},
    config::Config,
    db::{Db, dump::Snapshot},
    ids::RandomIds,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use waybill_proof::Digest;

/// Blobs copied at once.
const PARALLEL: usize = 4;

#[derive(Debug, Clone, Copy)]
pub struct SaveOptions {
    /// Signing keys too. Without them a restored registry starts once its key is put back or made anew.
    pub keys: bool,
}

/// Saves the registry of `config` to the new folder `dest`. Safe beside a serving registry.
pub async fn backup(
    config: &Config,
    dest: &Path,
    options: SaveOptions,
    progress: &dyn Progress,
) -> Result<Summary, BackupError> {
    claim(dest)?;
    let db = Db::attach(&config.database_url()).await?;
    let location = config.artifacts_location().map_err(crate::artifacts::OpenError::from)?;
    let content =
        ContentStore::open(location, db.clone(), Arc::new(SystemClock), Arc::new(RandomIds)).await?;
    let created_at_ms = SystemClock.now_ms();

    progress.begin("rows", None);
    let mut snapshot = db.dump().await?;
    let tables = save_tables(&mut snapshot, dest, progress).await?;
    let blobs = crate::artifacts::transfer::all(snapshot.conn()).await?;
    drop(snapshot);
    let keys = if options.keys { save_keys(&config.data_dir, dest)? } else { Vec::new() };

    let blob_bytes = blobs.iter().map(|b| b.size_bytes).sum();
    progress.begin("blobs", Some(blob_bytes));
    let damaged = save_blobs(&content, &blobs, dest, progress).await?;
    let manifest = Manifest {
        format: manifest::FORMAT,
        schema: db.schema_version(),
        waybill_version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at_ms,
        tables,
        blob_count: (blobs.len() - damaged.len()) as u64,
        blob_bytes: blobs.iter().filter(|b| !damaged.contains(&b.digest)).map(|b| b.size_bytes).sum(),
        damaged,
        keys,
    };
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|e| BackupError::NotABackup { path: dest.to_owned(), detail: e.to_string() })?;
    files::write_new(&dest.join(manifest::FILE), &text)?;
    db.close().await;
    match manifest.damaged.first() {
        None => Ok(manifest.summary()),
        Some(first) => {
            Err(BackupError::DamagedBlobs { count: manifest.damaged.len(), first: first.to_string() })
        }
    }
}

/// Makes the folder, or takes an empty one.
fn claim(dest: &Path) -> Result<(), BackupError> {
    fs::create_dir_all(dest).map_err(BackupError::io("create", dest))?;
    let mut entries = fs::read_dir(dest).map_err(BackupError::io("read", dest))?;
    if entries.next().is_some() { Err(BackupError::TargetNotEmpty(dest.to_owned())) } else { Ok(()) }
}

async fn save_tables(
    snapshot: &mut Snapshot,
    dest: &Path,
    progress: &dyn Progress,
) -> Result<Vec<TableFile>, BackupError> {
    let mut saved = Vec::new();
    for table in snapshot.tables().to_vec() {
        let path = files::table_path(dest, &table.name);
        let mut file = HashedFile::create(&path)?;
        let mut count = 0;
        {
            let mut rows = std::pin::pin!(snapshot.rows(&table));
            while let Some(row) = rows.try_next().await? {
                let mut line = serde_json::Value::Array(row).to_string();
                line.push('\n');
                file.write(line.as_bytes())?;
                count += 1;
                progress.advance(1);
            }
        }
        saved.push(TableFile { digest: file.finish()?, table, rows: count });
    }
    Ok(saved)
}

fn save_keys(data_dir: &Path, dest: &Path) -> Result<Vec<KeyFile>, BackupError> {
    let dir = data_dir.join("keys");
    let mut saved = Vec::new();
    let entries = match fs::read_dir(&dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(saved),
        entries => entries.map_err(BackupError::io("read", &dir))?,
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths.into_iter().filter(|p| p.extension().is_some_and(|e| e == "pem")) {
        let Some(name) = path.file_name().and_then(|n| n.to_str()).map(str::to_owned) else { continue };
        let bytes = fs::read(&path).map_err(BackupError::io("read", &path))?;
        let digest = files::write_new(&files::key_path(dest, &name), &bytes)?;
        saved.push(KeyFile { name, digest });
    }
    Ok(saved)
}

/// Copies every blob; those whose bytes are damaged in the store are left out and told.
async fn save_blobs(
    content: &ContentStore,
    blobs: &[crate::artifacts::BlobInfo],
    dest: &Path,
    progress: &dyn Progress,
) -> Result<Vec<Digest>, BackupError> {
    let outcomes: Vec<Option<Digest>> = stream::iter(blobs)
        .map(|blob| async move {
            match save_blob(content, blob.digest, dest, progress).await {
                Ok(()) => Ok(None),
                Err(BackupError::Artifacts(crate::artifacts::ArtifactError::Damaged { .. })) => {
                    let path = files::blob_path(dest, &blob.digest);
                    fs::remove_file(&path).map_err(BackupError::io("remove", &path))?;
                    Ok(Some(blob.digest))
                }
                Err(error) => Err(error),
            }
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    Ok(outcomes.into_iter().flatten().collect())
}

async fn save_blob(
    content: &ContentStore,
    digest: Digest,
    dest: &Path,
    progress: &dyn Progress,
) -> Result<(), BackupError> {
    let path = files::blob_path(dest, &digest);
    let mut file = HashedFile::create(&path)?;
    // Verified on the way: what ends without an error is what its digest says.
    let (_, mut pieces) = content.read(&digest, None).await?;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let size = piece.len() as u64;
        file = tokio::task::spawn_blocking(move || file.write(&piece).map(|()| file))
            .await
            .map_err(|e| BackupError::io("write", &path)(std::io::Error::other(e)))??;
        progress.advance(size);
    }
    tokio::task::spawn_blocking(move || file.finish())
        .await
        .map_err(|e| BackupError::io("write", &path)(std::io::Error::other(e)))??;
    Ok(())
}
