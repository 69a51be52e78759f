//! Bringing a backup back, elsewhere.

use super::{
    BackupError, Progress, Summary, files,
    manifest::{Manifest, TableFile},
};
use crate::{
    artifacts::{Body, ContentStore, transfer::DumpedBlob},
    clock::SystemClock,
    config::Config,
    db::{
        Conn, Db,
        dump::{Importer, Row, Table},
    },
    identity,
    ids::RandomIds,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    sync::Arc,
};
use tokio_util::io::ReaderStream;

/// Rows read and inserted at a time.
const BATCH_ROWS: usize = 1000;
/// Blobs placed at once.
const PARALLEL: usize = 4;

/// Restores the backup in `src` into the empty registry of `config`.
///
/// Everything is checked before anything is made: the digest of every table, key and blob. Rows
/// come in one transaction, last; a restore that was cut off can be run again.
pub async fn restore(src: &Path, config: &Config, progress: &dyn Progress) -> Result<Summary, BackupError> {
    let manifest = Manifest::read(src)?;
    for file in &manifest.tables {
        files::check(&files::table_path(src, &file.table.name), &file.digest)?;
    }
    for key in &manifest.keys {
        files::check(&files::key_path(src, &key.name), &key.digest)?;
        refuse_other_key(&files::key_path(src, &key.name), &files::key_path(&config.data_dir, &key.name))?;
    }
    let blobs = read_blobs(src, &manifest)?;
    let lost: HashSet<&str> = blobs.iter().filter(|b| b.damaged).map(DumpedBlob::generation).collect();
    progress.begin("checking", Some(manifest.blob_bytes));
    for blob in &blobs {
        check_blob(src, blob)?;
        progress.advance(blob.size_bytes);
    }
    fs::create_dir_all(&config.data_dir).map_err(BackupError::io("create", &config.data_dir))?;
    let db = Db::open(&config.database_url()).await?;
    if manifest.schema != db.schema_version() {
        return Err(BackupError::Schema {
            found: manifest.schema,
            expected: db.schema_version(),
            written_by: manifest.waybill_version,
        });
    }
    refuse_data(&mut db.read().await?).await?;
    let location = config.artifacts_location().map_err(crate::artifacts::OpenError::from)?;
    let content =
        ContentStore::open(location, db.clone(), Arc::new(SystemClock), Arc::new(RandomIds)).await?;

    identity::mark_restored(&read_registry_id(src, &manifest)?, &content).await?;
    progress.begin("blobs", Some(manifest.blob_bytes));
    place_blobs(&content, src, &blobs, progress).await?;
    restore_keys(src, &config.data_dir, &manifest)?;
    progress.begin("rows", None);
    let mut importer = db.import().await?;
    // Copying took its time, and a server may have been started meanwhile.
    refuse_data(importer.conn()).await?;
    importer.clear().await?;
    for table in importer.tables().to_vec() {
        let theirs = manifest.table(&table.name);
        importer.check(&table, theirs.map(|t| &t.table))?;
        restore_table(&mut importer, &table, src, &lost, progress).await?;
    }
    importer.commit().await?;
    db.close().await;
    Ok(manifest.summary())
}

async fn refuse_data(conn: &mut Conn) -> Result<(), BackupError> {
    for (what, query) in [
        ("runs", "SELECT 1 FROM runs LIMIT 1"),
        ("registered models", "SELECT 1 FROM registered_models LIMIT 1"),
        ("blobs", "SELECT 1 FROM blobs LIMIT 1"),
        ("audit events", "SELECT 1 FROM audit_events LIMIT 1"),
    ] {
        if conn.query(query).scalar::<i32>().await?.is_some() {
            return Err(BackupError::RegistryNotEmpty(what.to_owned()));
        }
    }
    Ok(())
}

fn refuse_other_key(theirs: &Path, ours: &Path) -> Result<(), BackupError> {
    match fs::read(ours) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(BackupError::io("read", ours)(e)),
        Ok(bytes) if bytes == fs::read(theirs).map_err(BackupError::io("read", theirs))? => Ok(()),
        Ok(_) => Err(BackupError::OtherKey(ours.to_owned())),
    }
}

fn restore_keys(src: &Path, data_dir: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    for key in &manifest.keys {
        let (from, to) = (files::key_path(src, &key.name), files::key_path(data_dir, &key.name));
        if !to.exists() {
            let bytes = fs::read(&from).map_err(BackupError::io("read", &from))?;
            files::write_new(&to, &bytes)?;
        }
    }
    Ok(())
}

/// The lines of a table, parsed, in batches.
fn batches(
    src: &Path,
    table: &str,
) -> Result<impl Iterator<Item = Result<Vec<Row>, BackupError>> + use<>, BackupError> {
    let path = files::table_path(src, table);
    let file = File::open(&path).map_err(BackupError::io("open", &path))?;
    let mut lines = BufReader::new(file).lines();
    Ok(std::iter::from_fn(move || {
        let rows: Result<Vec<Row>, BackupError> = lines
            .by_ref()
            .take(BATCH_ROWS)
            .map(|line| {
                let line = line.map_err(BackupError::io("read", &path))?;
                serde_json::from_str(&line)
                    .map_err(|e| BackupError::NotABackup { path: path.clone(), detail: e.to_string() })
            })
            .collect();
        match rows {
            Ok(rows) if rows.is_empty() => None,
            rows => Some(rows),
        }
    }))
}

/// Which registry the backup is of.
fn read_registry_id(src: &Path, manifest: &Manifest) -> Result<String, BackupError> {
    let rows = rows_of(src, manifest, "registry_identity")?;
    let column = |t: &TableFile| t.table.columns.iter().position(|c| c.name == "registry_id");
    let column = manifest.table("registry_identity").and_then(column);
    let id = column.and_then(|column| rows.first()?.get(column)?.as_str().map(str::to_owned));
    id.ok_or_else(|| BackupError::NotABackup {
        path: src.to_owned(),
        detail: "its table registry_identity names no registry".to_owned(),
    })
}

fn rows_of(src: &Path, manifest: &Manifest, table: &str) -> Result<Vec<Row>, BackupError> {
    if manifest.table(table).is_none() {
        let detail = format!("it has no table {table}");
        return Err(BackupError::NotABackup { path: src.to_owned(), detail });
    }
    let batches: Result<Vec<_>, _> = batches(src, table)?.collect();
    Ok(batches?.into_iter().flatten().collect())
}

fn read_blobs(src: &Path, manifest: &Manifest) -> Result<Vec<DumpedBlob>, BackupError> {
    let not_a_backup = |detail: String| BackupError::NotABackup { path: src.to_owned(), detail };
    let table = |name: &str| -> Result<(&Table, Vec<Row>), BackupError> {
        let rows = rows_of(src, manifest, name)?;
        let found = manifest.table(name).ok_or_else(|| not_a_backup(format!("it has no table {name}")))?;
        Ok((&found.table, rows))
    };
    let mut blobs = DumpedBlob::join(table("blobs")?, table("representations")?).map_err(not_a_backup)?;
    // Found damaged after its row had been saved.
    let left_out: HashSet<_> = manifest.damaged.iter().collect();
    for blob in &mut blobs {
        blob.damaged |= left_out.contains(&blob.digest);
    }
    Ok(blobs)
}

fn check_blob(src: &Path, blob: &DumpedBlob) -> Result<(), BackupError> {
    let path = files::blob_path(src, &blob.digest);
    // A blob whose bytes were damaged when the backup was taken is not in it.
    if blob.damaged && !path.exists() {
        return Ok(());
    }
    files::check(&path, &blob.digest)
}

async fn place_blobs(
    content: &ContentStore,
    src: &Path,
    blobs: &[DumpedBlob],
    progress: &dyn Progress,
) -> Result<(), BackupError> {
    stream::iter(blobs)
        .map(|blob| async move {
            let path = files::blob_path(src, &blob.digest);
            let file = match tokio::fs::File::open(&path).await {
                // The backup said so when it was taken: its bytes were damaged.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && blob.damaged => return Ok(()),
                file => file.map_err(BackupError::io("open", &path))?,
            };
            let mut body = Body::new(ReaderStream::with_capacity(file, 1 << 20));
            content.place(blob, &mut body).await.map_err(BackupError::from)?;
            progress.advance(blob.size_bytes);
            Ok(())
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await
}

async fn restore_table(
    importer: &mut Importer,
    table: &Table,
    src: &Path,
    lost: &HashSet<&str>,
    progress: &dyn Progress,
) -> Result<(), BackupError> {
    let mut number = 1;
    for rows in batches(src, &table.name)? {
        let mut rows = rows?;
        DumpedBlob::relocate(table, &mut rows, lost);
        importer.insert(table, number, &rows).await?;
        number += rows.len() as u64;
        progress.advance(rows.len() as u64);
    }
    Ok(())
}
