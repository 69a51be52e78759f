use crate::{
    failure::Failure,
    output,
    serve::{DataDirLock, StorageArgs},
};
use waybill_registry::db::Db;

const EXAMPLES: &str = "\
Examples:
  waybill migrate --data-dir /srv/waybill
  waybill migrate --database-url postgres://waybill@db/waybill

`waybill serve` does the same when it starts; run this before, to see it succeed with nothing
serving. Take a backup first: migrations do not go back.";

/// Bring a database's schema up to date
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    storage: StorageArgs,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    // SQLite has one process at a time; PostgreSQL locks its migrations itself.
    let config = args.storage.registry_config()?;
    let url = config.database_url();
    // PostgreSQL locks its migrations itself.
    let lock = if url.starts_with("sqlite:") { Some(DataDirLock::take(&config.data_dir)?) } else { None };
    let db = Db::open(&url).await.map_err(Failure::failed)?;
    db.close().await;
    drop(lock);
    output::line(format!("{} the schema is up to date", output::mark(true)));
    Ok(())
}
