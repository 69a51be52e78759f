//! Where a registry keeps its data, for commands that work on it without the server.

use super::{args::ServeArgs, registry_config, settings::Settings};
use crate::failure::Failure;
use std::path::{Path, PathBuf};
use waybill_registry::Config;

/// The flags of `waybill serve` that say where its data lies.
#[derive(Debug, clap::Args)]
pub struct StorageArgs {
    /// The server's configuration file
    #[arg(
        long,
        env = "WAYBILL_CONFIG",
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "The registry's data"
    )]
    config: Option<PathBuf>,
    /// The server's data folder [default: waybill-data]
    #[arg(
        long,
        env = "WAYBILL_DATA_DIR",
        value_name = "DIR",
        hide_env_values = true,
        help_heading = "The registry's data"
    )]
    data_dir: Option<PathBuf>,
    /// sqlite:PATH or postgres://USER@HOST/NAME [default: waybill.db in the data folder]
    #[arg(
        long,
        env = "WAYBILL_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "The registry's data"
    )]
    database_url: Option<String>,
    /// file:///DIR or s3://BUCKET/PREFIX [default: artifacts in the data folder]
    #[arg(
        long,
        env = "WAYBILL_ARTIFACTS_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "The registry's data"
    )]
    artifacts_url: Option<String>,
}

impl StorageArgs {
    pub fn registry_config(self) -> Result<Config, Failure> {
        let args = ServeArgs {
            config: self.config,
            data_dir: self.data_dir,
            database_url: self.database_url,
            artifacts_url: self.artifacts_url,
            ..ServeArgs::default()
        };
        Ok(registry_config(&Settings::load(args)?))
    }
}

/// Refuses a data folder in which no registry lies: most often its name is mistyped. A registry on
/// PostgreSQL is found by its database.
pub fn check_present(config: &Config) -> Result<(), Failure> {
    let url = config.database_url();
    let file = url.strip_prefix("sqlite:").and_then(|rest| rest.split('?').next());
    match file.map(|file| Path::new(file.strip_prefix("//").unwrap_or(file))) {
        Some(file) if !file.is_file() => Err(Failure::Failed(format!(
            "there is no registry: {} does not exist. Name its data folder with --data-dir; `waybill serve` makes a new one",
            file.display()
        ))),
        _ => Ok(()),
    }
}
