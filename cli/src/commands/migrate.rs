use crate::{
    failure::Failure,
    output,
    serve::{DataDirLock, StorageArgs},
};
use waybill_registry::db::{Db, Migrated};

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

pub async fn run(args: Args, json: bool) -> Result<(), Failure> {
    let config = args.storage.registry_config()?;
    let url = config.database_url();
    // PostgreSQL locks its migrations itself.
    let lock = if url.starts_with("sqlite:") { Some(DataDirLock::take(&config.data_dir)?) } else { None };
    let migrated = Db::migrate(&url).await.map_err(Failure::failed)?;
    drop(lock);
    if json {
        output::json(&migrated);
        return Ok(());
    }
    let Migrated { database_url, schema_before, schema } = migrated;
    let what = match schema_before {
        before if before == schema => format!("is up to date, schema {schema}"),
        0 => format!("is new, schema {schema}"),
        before => format!("has schema {schema} now; it had {before}"),
    };
    output::line(format!("{} {database_url} {what}", output::mark(true)));
    Ok(())
}
