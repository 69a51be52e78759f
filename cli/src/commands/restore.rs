use super::backup::{failure, print, watcher};
use crate::{
    archive,
    context::Context,
    failure::Failure,
    serve::{DataDirLock, StorageArgs},
};
use std::path::PathBuf;
use waybill_registry::backup::restore;

const EXAMPLES: &str = "\
Examples:
  waybill restore /backups/2026-03-04 --data-dir /srv/waybill
  waybill restore /backups/2026-03-04.tar --database-url postgres://waybill@db/waybill

Only into an empty registry. Database and storage may be of another kind than those saved: what
was in SQLite and a folder can go to PostgreSQL and S3. Everything is checked before rows appear;
a restore that was cut off can be run again.";

/// Bring a backup back
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A folder or archive made by `waybill backup`
    #[arg(value_name = "DIR|FILE.tar")]
    source: PathBuf,
    #[command(flatten)]
    storage: StorageArgs,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let config = args.storage.registry_config()?;
    let progress = watcher(context.json);
    // Looked at first, so that a mistyped name makes no data folder.
    let metadata =
        std::fs::metadata(&args.source).map_err(|error| Failure::file("read", &args.source, &error))?;
    let lock = DataDirLock::take(&config.data_dir)?;
    let summary = if metadata.is_file() {
        let unpacked = archive::unpack(args.source.clone(), &config.data_dir).await?;
        restore(unpacked.path(), &config, progress.as_ref()).await
    } else {
        restore(&args.source, &config, progress.as_ref()).await
    }
    .map_err(failure)?;
    drop(lock);
    print(&summary, "restored into", &config.data_dir, context.json);
    Ok(())
}
