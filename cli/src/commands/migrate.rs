use crate::{failure::Failure, output, serve::DataDirLock};
use std::path::PathBuf;
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
    /// Data folder of the server
    #[arg(
        long,
        env = "WAYBILL_DATA_DIR",
        value_name = "DIR",
        default_value = "waybill-data",
        hide_env_values = true
    )]
    data_dir: PathBuf,
    /// sqlite:PATH or postgres://USER@HOST/NAME [default: waybill.db in the data folder]
    #[arg(long, env = "WAYBILL_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    // SQLite has one process at a time; PostgreSQL locks its migrations itself.
    let lock = if args.database_url.is_none() { Some(DataDirLock::take(&args.data_dir)?) } else { None };
    let url =
        args.database_url.unwrap_or_else(|| format!("sqlite:{}", args.data_dir.join("waybill.db").display()));
    let db = Db::open(&url).await.map_err(Failure::failed)?;
    db.close().await;
    drop(lock);
    output::line(format!("{} the schema is up to date", output::mark(true)));
    Ok(())
}
