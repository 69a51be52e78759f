use crate::{
    failure::Failure,
    output,
    serve::{EndSignals, ServeArgs, check_exposure, logging},
};
use clap::{ArgAction, builder::BoolishValueParser};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use waybill_deployer::gateway::{Gateway, GatewayConfig};

const EXAMPLES: &str = "\
Examples:
  waybill gateway --data-dir /srv/waybill
  waybill gateway --routes /srv/waybill/deployer/routes.json --listen 127.0.0.1:8080

Run `waybill serve --gateway external` beside it: restarts of serve then cut no traffic.";

/// Run the gateway as its own process
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Address to listen on
    #[arg(
        long,
        visible_alias = "gateway-listen",
        env = "WAYBILL_GATEWAY_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080",
        hide_env_values = true
    )]
    listen: SocketAddr,
    /// Data folder of the `waybill serve` whose routes it follows
    #[arg(
        long,
        env = "WAYBILL_DATA_DIR",
        value_name = "DIR",
        default_value = "waybill-data",
        hide_env_values = true
    )]
    data_dir: PathBuf,
    /// The route file itself, instead of the one in the data folder
    #[arg(long, env = "WAYBILL_ROUTES", value_name = "FILE", hide_env_values = true)]
    routes: Option<PathBuf>,
    /// Further name under which the gateway is reached; may be given more than once
    #[arg(
        long = "allowed-host",
        env = "WAYBILL_ALLOWED_HOSTS",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        hide_env_values = true
    )]
    allowed_hosts: Vec<String>,
    /// Listen beyond loopback although there is no access control
    #[arg(long, env = "WAYBILL_INSECURE_NO_AUTH", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new(), hide_env_values = true)]
    insecure_no_auth: bool,
    /// Time for running requests to end after SIGTERM
    #[arg(
        long,
        env = "WAYBILL_DRAIN_TIMEOUT_MS",
        value_name = "MILLISECONDS",
        default_value_t = 10_000,
        hide_env_values = true
    )]
    drain_timeout_ms: u64,
    /// What is logged
    #[arg(long, env = "WAYBILL_LOG", value_name = "FILTER", default_value = "info", hide_env_values = true)]
    log: String,
    /// How log lines look [default: text]
    #[arg(long, env = "WAYBILL_LOG_FORMAT", value_name = "FORMAT", hide_env_values = true)]
    log_format: Option<logging::LogFormat>,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let exposure = ServeArgs {
        allowed_hosts: args.allowed_hosts.clone(),
        insecure_no_auth: args.insecure_no_auth,
        ..ServeArgs::default()
    };
    check_exposure(args.listen, "listen", &exposure)?;
    logging::init(Some(&args.log), args.log_format)?;
    let end = EndSignals::listen()?;
    let routes = args.routes.unwrap_or_else(|| args.data_dir.join("deployer/routes.json"));
    let mut config = GatewayConfig::new(args.listen, routes);
    config.allowed_hosts = args.allowed_hosts;
    let gateway = Gateway::start(config)
        .await
        .map_err(|error| Failure::Failed(format!("{error}; name another address with --listen")))?;
    output::line(format!("Waybill's gateway is ready on http://{}", gateway.local_addr()));
    crate::process_memory::give_back_what_is_not_used();
    end.first().await;
    gateway.stop(Duration::from_millis(args.drain_timeout_ms)).await;
    Ok(())
}
