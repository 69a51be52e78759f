use crate::{failure::Failure, serve::ServeArgs};

const EXAMPLES: &str = "\
Examples:
  waybill serve
  waybill serve --data-dir /srv/waybill --listen 127.0.0.1:5000
  waybill serve --database-url postgres://waybill@db/waybill --artifacts-url s3://models/waybill --deployer
  waybill serve --config /etc/waybill/waybill.toml

With no configuration: SQLite and a folder below ./waybill-data, a signing key made on the first
start, the local Docker Engine, a gateway on 127.0.0.1:8080. SIGTERM lets running requests end;
containers go on serving.";

/// Run the registry, with deployer and gateway
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    serve: ServeArgs,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    crate::serve::run(args.serve).await
}
