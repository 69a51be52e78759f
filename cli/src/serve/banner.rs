//! What standard output says once the server is ready.

use super::settings::Settings;
use crate::output;
use waybill_registry::ui::Source;

/// One line that scripts may wait for; at the first start, what was made and what to do next.
pub fn print(settings: &Settings, first_start: bool) {
    let url = settings.url();
    output::line(format!("Waybill {} is ready on {url}", env!("CARGO_PKG_VERSION")));
    if !first_start {
        return;
    }
    let key = settings.data_dir.join("keys/registry.pem");
    output::line(format!("\n  First start: {} is new.", settings.data_dir.display()));
    output::line(format!("  Notebooks     export MLFLOW_TRACKING_URI={url}"));
    if settings.mlflow_ui != Source::Off {
        output::line(format!("  MLflow's UI   {url}/"));
    }
    output::line(format!("  Signing key   {} (keep a copy: waybill backup)", key.display()));
    output::line("  Public key    waybill keys export");
    if let Some(gateway) = settings.gateway_url() {
        output::line(format!("  Predictions   {gateway}/ENVIRONMENT/MODEL/invocations"));
    }
    if settings.deploys {
        output::line("  Base image    waybill images base (once, before the first promotion)");
    }
    output::line("");
}
