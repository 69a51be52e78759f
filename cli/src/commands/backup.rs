use crate::{
    archive,
    context::Context,
    failure::Failure,
    output,
    progress::Bar,
    serve::{StorageArgs, check_present},
};
use std::path::PathBuf;
use waybill_registry::backup::{BackupError, Progress, SaveOptions, Silent, Summary, backup};

const EXAMPLES: &str = "\
Examples:
  waybill backup /backups/2026-03-04
  waybill backup /backups/2026-03-04.tar --data-dir /srv/waybill
  waybill backup /backups/today --config /etc/waybill/waybill.toml --no-keys

Safe while the server runs: rows, files and keys are of one point in time. With the signing keys
in it, a backup is a secret. A name that ends in .tar makes an archive, anything else a folder.";

/// Save database, files and keys
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// New folder, or new archive when the name ends in .tar
    #[arg(value_name = "DIR|FILE.tar")]
    target: PathBuf,
    /// Leave the signing keys out: what is restored needs them from elsewhere, or `waybill keys create`
    #[arg(long)]
    no_keys: bool,
    #[command(flatten)]
    storage: StorageArgs,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let config = args.storage.registry_config()?;
    check_present(&config)?;
    let options = SaveOptions { keys: !args.no_keys };
    let progress = watcher(context.json);
    let outcome = if archive::is_archive_name(&args.target) {
        let staging = archive::staging_beside(&args.target)?;
        let outcome = backup(&config, staging.path(), options, progress.as_ref()).await;
        // A backup without the blobs that are damaged in the store is still the best there is.
        if matches!(outcome, Ok(_) | Err(BackupError::DamagedBlobs { .. })) {
            archive::pack(staging, args.target.clone()).await?;
        }
        outcome
    } else {
        backup(&config, &args.target, options, progress.as_ref()).await
    };
    let summary = outcome.map_err(failure)?;
    print(&summary, "saved to", &args.target, context.json);
    Ok(())
}

/// A bar on a terminal.
pub fn watcher(json: bool) -> Box<dyn Progress> {
    match Bar::for_terminal(json) {
        Some(bar) => Box::new(bar),
        None => Box::new(Silent),
    }
}

pub fn failure(error: BackupError) -> Failure {
    match error {
        BackupError::Damaged { .. } | BackupError::DamagedBlobs { .. } => {
            Failure::Verification(error.to_string())
        }
        _ => Failure::failed(error),
    }
}

pub fn print(summary: &Summary, what: &str, place: &std::path::Path, json: bool) {
    if json {
        output::json(summary);
        return;
    }
    output::line(format!(
        "{} {} rows, {} files ({}) and {} keys {what} {}",
        output::mark(true),
        summary.rows,
        summary.blob_count,
        output::size(summary.blob_bytes),
        summary.key_count,
        place.display()
    ));
}
