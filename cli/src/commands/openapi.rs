use crate::output;

const EXAMPLES: &str = "\
Examples:
  waybill openapi > openapi.yaml";

/// Print the OpenAPI description of the native API
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args;

pub fn run(_: &Args) {
    output::bytes(waybill_registry::Registry::openapi().as_bytes());
}
