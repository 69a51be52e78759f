use crate::{
    context::Context,
    failure::Failure,
    output,
    serve::{check_index_url, check_readable},
};
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;
use waybill_deployer::{
    engine::{DockerEngine, ListedImage},
    images::{
        BaseError, BaseOptions, BaseSource, ENVIRONMENT_LABEL, LOCK_LABEL, PYTHON_VERSION_LABEL, build_base,
    },
};

const EXAMPLES: &str = "\
Examples:
  waybill images base
  waybill images base --python 3.12 --from python:3.12-slim
  waybill images base --ca-bundle /etc/ssl/certs/proxy.pem --index-url https://pypi.example/simple
  waybill images base --index-url https://pypi.example/simple --netrc /etc/waybill/netrc
  waybill images list

Environment images are made by themselves, one for each lockfile, on top of a base image.";

/// Make and list the images that models run in
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: ImagesCommand,
    /// Docker's endpoint: unix:///PATH or tcp://HOST:PORT [default: its usual socket]
    #[arg(long, global = true, env = "DOCKER_HOST", value_name = "ENDPOINT", hide_env_values = true)]
    docker_host: Option<String>,
}

#[derive(Debug, Subcommand)]
enum ImagesCommand {
    /// Make the base image: Python, uv, and what a closed network needs to reach its packages
    #[command(after_help = EXAMPLES)]
    Base(BaseArgs),
    /// List base and environment images
    #[command(after_help = EXAMPLES)]
    List,
}

#[derive(Debug, clap::Args)]
struct BaseArgs {
    /// Python's minor version; must be that of the notebooks
    #[arg(long, value_name = "X.Y", default_value = "3.11")]
    python: String,
    /// Build on this image; left out: python:X.Y-slim, or Debian by debootstrap where no image
    /// registry is reachable
    #[arg(long, value_name = "IMAGE", conflicts_with = "debootstrap")]
    from: Option<String>,
    /// Build on Debian by debootstrap (needs root)
    #[arg(long)]
    debootstrap: bool,
    /// Debian mirror for debootstrap
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// PEM certificates that containers trust besides the usual ones
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// Package index instead of PyPI
    #[arg(long, env = "WAYBILL_INDEX_URL", value_name = "URL", hide_env_values = true)]
    index_url: Option<String>,
    /// File in netrc format with the index's user and password; no image and no record of the engine
    /// ever holds it
    #[arg(long, env = "WAYBILL_NETRC", value_name = "FILE", hide_env_values = true)]
    netrc: Option<PathBuf>,
    /// Folder of wheels that the base carries, looked into besides the index
    #[arg(long, value_name = "DIR")]
    wheels: Option<PathBuf>,
    /// Make it anew although one of the same options is there, e.g. for Debian's updates; versions
    /// that served before keep their images
    #[arg(long)]
    rebuild: bool,
    /// Tag of the image [default: waybill-base:pyX.Y]
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
}

/// What `--json` prints for an image.
#[derive(Serialize)]
struct ImageRow {
    kind: &'static str,
    tags: Vec<String>,
    id: String,
    python_version: Option<String>,
    lock_digest: Option<String>,
    size_bytes: u64,
    created_at_ms: i64,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        ImagesCommand::Base(base) => build(base, args.docker_host, context).await,
        ImagesCommand::List => list(args.docker_host.as_deref(), context).await,
    }
}

async fn build(args: BaseArgs, docker_host: Option<String>, context: &Context) -> Result<(), Failure> {
    if let Some(url) = &args.index_url {
        check_index_url(url)?;
    }
    if let Some(path) = &args.netrc {
        check_readable(path)?;
    }
    let defaults = BaseOptions::default();
    let source = match args.from {
        Some(image) => BaseSource::From(image),
        None if args.debootstrap => BaseSource::Debootstrap,
        None => BaseSource::Auto,
    };
    let options = BaseOptions {
        name: args.tag,
        source,
        python: args.python,
        mirror: args.mirror.unwrap_or(defaults.mirror),
        ca_bundle: args.ca_bundle,
        index_url: args.index_url,
        netrc: args.netrc,
        wheels: args.wheels,
        rebuild: args.rebuild,
        docker_host,
    };
    let json = context.json;
    let lines = move |line: &str| {
        if !json {
            output::note(output::plain(line));
        }
    };
    let image = build_base(&options, &lines).await.map_err(|error| match &error {
        BaseError::NoSuite { .. } => Failure::Usage(error.to_string()),
        _ => Failure::failed(error),
    })?;
    if context.json {
        output::json(&serde_json::json!({
            "tag": options.tag(),
            "id": image.id,
            "platform": image.platform,
            "size_bytes": image.size_bytes,
            "labels": image.labels,
        }));
    } else {
        let size = output::size(image.size_bytes);
        output::line(format!("{} {} ({size}): {}", output::mark(true), options.tag(), image.id));
    }
    Ok(())
}

async fn list(docker_host: Option<&str>, context: &Context) -> Result<(), Failure> {
    // Environment images inherit the label of their base.
    let images = DockerEngine::new(docker_host)
        .labelled_images(PYTHON_VERSION_LABEL)
        .await
        .map_err(Failure::failed)?;
    let rows: Vec<ImageRow> = images.into_iter().map(row).collect();
    if context.json {
        output::json(&rows);
        return Ok(());
    }
    let rows = rows
        .iter()
        .map(|row| {
            [
                row.kind.to_owned(),
                output::or_dash(row.tags.first()),
                output::or_dash(row.python_version.as_ref()),
                output::or_dash(row.lock_digest.as_deref().map(|digest| digest.get(..19).unwrap_or(digest))),
                output::size(row.size_bytes),
                output::time(row.created_at_ms),
            ]
        })
        .collect();
    let nothing = "No images yet. `waybill images base` makes the first.";
    output::table(["KIND", "TAG", "PYTHON", "LOCKFILE", "SIZE", "CREATED"], rows, nothing);
    Ok(())
}

fn row(image: ListedImage) -> ImageRow {
    let kind = if image.labels.contains_key(ENVIRONMENT_LABEL) { "environment" } else { "base" };
    ImageRow {
        kind,
        python_version: image.labels.get(PYTHON_VERSION_LABEL).cloned(),
        lock_digest: image.labels.get(LOCK_LABEL).cloned(),
        tags: image.tags,
        id: image.id,
        size_bytes: image.size_bytes,
        created_at_ms: image.created_at_ms,
    }
}
