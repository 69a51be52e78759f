//! `waybill import`: moving in from another registry.

mod engine;
mod error;
mod mapping;
mod model;
mod places;
mod progress;
mod report;
mod rest;
mod source;
mod sql;
mod store;
mod trace;

use crate::{context::Context, failure::Failure, output};
use clap::Subcommand;
use engine::{Engine, Options};
use progress::Watch;
use report::Report;
use rest::Rest;
use source::Source;
use sql::Sql;
use std::sync::Arc;
use store::ArtifactStore;

const WEBHOOKS_UNKNOWN: &str =
    "the old server does not list them (an error); their secrets would not leave it: set them up again";
const WEBHOOKS: &str = "their secrets do not leave the old server; set them up again";
const NOT_OFFERED: &str = "Waybill does not offer them";
const OTHER_WORKSPACE: &str = "it is in another workspace than \"default\"";

const EXAMPLES: &str = "\
Examples:
  waybill import mlflow --from http://old:5000
  waybill import mlflow --from sqlite:///mlflow.db --artifacts ./mlartifacts
  waybill import mlflow --from postgresql://reader@db/mlflow --artifacts s3://bucket/mlflow

The same command again, with the same address, goes on where an import was cut off, and takes what is
new since, files too; what is here already it leaves alone. What was renamed, deleted or moved to
another stage at the source since stays here as it was. A value that was logged late into the middle
of a metric's history is only seen with --recheck. Nothing is written at the source. A user and
password for the old server stand in its address or in MLFLOW_TRACKING_USERNAME and
MLFLOW_TRACKING_PASSWORD, a token in MLFLOW_TRACKING_TOKEN. The exit code is 1 when something that should have been taken was not.";

/// Move in from another registry
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Mlflow(Mlflow),
}

/// Take over an MLflow server: experiments, runs, traces, models, versions, artifacts
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Mlflow {
    /// Address of the old server, or of its database
    #[arg(long, value_name = "URL")]
    from: String,
    /// Folder or bucket in which the old server kept artifacts, where --from names its database
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX")]
    artifacts: Option<String>,
    /// Read every run again with all values of its metrics, also those that have not changed since
    #[arg(long)]
    recheck: bool,
    /// Take versions as pointers without proof where the old server's artifact store has no file at all
    #[arg(long)]
    accept_missing_artifacts: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let From::Mlflow(args) = args.from;
    let source = open(&args, context).await?;
    let watch = Arc::new(Watch::new(context.json));
    let options = Options { recheck: args.recheck, accept_missing_artifacts: args.accept_missing_artifacts };
    let engine = Engine::begin(context.client()?, source, Arc::clone(&watch), options).await?;
    let report = engine.run().await;
    drop(watch);
    conclude(&report?, context)
}

async fn open(args: &Mlflow, context: &Context) -> Result<Source, Failure> {
    if let Some(address) = sql::address(&args.from) {
        let address = address?;
        let Some(artifacts) = &args.artifacts else {
            return Err(Failure::Usage(
                "--artifacts is missing: a database does not hold them. Name the folder or bucket of the old \
                 server's --artifacts-destination, e.g. --artifacts ./mlartifacts"
                    .to_owned(),
            ));
        };
        let store = ArtifactStore::open(artifacts)?;
        store::probe(&store).await?;
        return Ok(Source::Sql(Sql::open(address).await?, store));
    }
    let shown: String = args.from.chars().take(200).collect();
    let url = url::Url::parse(&args.from).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let is_folder = args.from.starts_with("file:") || std::path::Path::new(&args.from).is_dir();
    if is_folder {
        return Err(Failure::Usage(format!(
            "--from {shown} is a folder; start `mlflow server --port 5001 --backend-store-uri {shown}` and give its address, \
             http://127.0.0.1:5001"
        )));
    }
    let url = url.ok_or_else(|| {
        Failure::Usage(format!(
            "--from is {shown:?}; expected an address like http://old:5000, sqlite:///mlflow.db or postgresql://…"
        ))
    })?;
    if args.artifacts.is_some() {
        let text = "--artifacts goes with a database; an MLflow server gives artifacts out itself";
        return Err(Failure::Usage(text.to_owned()));
    }
    if url.as_str().trim_end_matches('/') == context.server.trim_end_matches('/') {
        return Err(Failure::Usage(format!("--from {shown} is the server to import into")));
    }
    Ok(Source::Rest(Rest::open(url).await?))
}

fn conclude(report: &Report, context: &Context) -> Result<(), Failure> {
    if context.json {
        output::json(report);
    } else {
        report::print(report);
    }
    if report.failures == 0 {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{} objects or files could not be taken; the report says which. The same command tries them again",
        report.failures
    )))
}
