use crate::{context::Context, failure::Failure, output, progress};
use serde::Serialize;
use std::path::{Path, PathBuf};
use waybill_client::{
    api::ModelVersion,
    push::{PushOptions, Pushed, push_directory},
};

const EXAMPLES: &str = "\
Examples:
  waybill push ./model iris
  waybill push ./model iris --description 'trained by hand' --experiment-config run.json

Only content that the server lacks is sent; an interrupted push goes on when repeated.";

/// Register a folder as the next version of a model
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder with the model's files
    dir: PathBuf,
    /// The model's name; made when it is new
    name: String,
    /// What this version is
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// How the model was made: JSON after schemas/experiment-config.json
    #[arg(long, value_name = "FILE")]
    experiment_config: Option<PathBuf>,
    /// A lockfile with hashes: Waybill's own (JSON) is installed as it is; one in pip's format takes the
    /// place of the model's requirements, and the resolution may only choose among its hashes
    #[arg(long, value_name = "FILE")]
    lockfile: Option<PathBuf>,
}

/// The version's own fields, and what the push had to send.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    version: &'a ModelVersion,
    sent_bytes: u64,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let options = PushOptions {
        description: args.description,
        experiment_config: args.experiment_config.as_deref().map(read_json).transpose()?,
        lockfile: args.lockfile.as_deref().map(read).transpose()?,
    };
    let client = context.client()?;
    let progress = progress::transfer(context.json);
    let pushed = push_directory(&client, &args.name, &args.dir, options, progress).await?;
    if context.json {
        output::json(&Report { version: &pushed.version, sent_bytes: pushed.sent_bytes });
    } else {
        print(&pushed);
    }
    Ok(())
}

fn print(pushed: &Pushed) {
    let version = &pushed.version;
    output::line(format!(
        "{} {}@{}: {} files, {}, of which {} were sent",
        output::mark(true),
        version.name,
        version.version,
        pushed.files,
        output::size(pushed.size_bytes),
        output::size(pushed.sent_bytes),
    ));
    if let Some(content) = &version.content {
        output::line(format!("  {}", content.manifest_digest));
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))
}

fn read_json(path: &Path) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(&read(path)?)
        .map_err(|error| Failure::Usage(format!("{} is not JSON: {error}", path.display())))
}
