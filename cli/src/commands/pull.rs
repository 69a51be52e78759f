use crate::{
    context::{Context, resolve},
    failure::Failure,
    output, progress,
};
use serde_json::json;
use std::path::PathBuf;
use waybill_client::{Reference, pull::pull_version};

const EXAMPLES: &str = "\
Examples:
  waybill pull iris@3 ./iris
  waybill pull iris@stage:production ./iris && waybill verify ./iris --key registry.pub

The folder gets the model's own files, model.sig and provenance.sigstore.json. Every file is
verified while it is written; an interrupted pull goes on when repeated.";

/// Write a version's files into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which version, e.g. iris@3
    reference: Reference,
    /// Folder to write into; made when it is new
    dir: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let version = resolve(&client, &args.reference).await?;
    let pulled = pull_version(&client, &version, &args.dir, progress::transfer(context.json)).await?;
    if context.json {
        output::json(&json!({
            "version": version,
            "files": pulled.files,
            "size_bytes": pulled.size_bytes,
            "received_bytes": pulled.received_bytes,
            "signature": pulled.signature,
            "provenance": pulled.provenance,
        }));
        return Ok(());
    }
    output::line(format!(
        "{} {}@{} in {}: {} files, {}, of which {} were fetched; digests verified",
        output::mark(true),
        version.name,
        version.version,
        args.dir.display(),
        pulled.files,
        output::size(pulled.size_bytes),
        output::size(pulled.received_bytes),
    ));
    if !pulled.signature {
        output::note("The registry holds no signature of this version: there is no model.sig.");
    }
    Ok(())
}
