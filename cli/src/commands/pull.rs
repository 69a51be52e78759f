use crate::{
    context::{Context, resolve},
    failure::Failure,
    output, progress,
};
use serde::Serialize;
use std::path::PathBuf;
use waybill_client::{Reference, api::ModelVersion, pull::pull_version};

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

/// The version's own fields, and what the pull did.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    version: &'a ModelVersion,
    received_bytes: u64,
    /// Whether model.sig and provenance.sigstore.json were written.
    signature: bool,
    provenance: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let version = resolve(&client, &args.reference).await?;
    let pulled = pull_version(&client, &version, &args.dir, progress::transfer(context.json)).await?;
    if context.json {
        output::json(&Report {
            version: &version,
            received_bytes: pulled.received_bytes,
            signature: pulled.signature,
            provenance: pulled.provenance,
        });
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
