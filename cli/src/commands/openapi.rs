use crate::output;
use waybill_registry::Registry;

const EXAMPLES: &str = "\
Examples:
  waybill openapi > openapi.yaml
  waybill openapi --json > openapi.json";

/// Print the OpenAPI description of the native API
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args;

pub fn run(_: &Args, json: bool) {
    if json {
        output::line(Registry::openapi_json());
    } else {
        output::bytes(Registry::openapi().as_bytes());
    }
}
