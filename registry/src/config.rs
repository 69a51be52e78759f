//! What the registry needs to know to start.

use crate::{
    artifacts::{InvalidLocation, Location},
    ui, webhooks,
};
use std::{net::SocketAddr, path::PathBuf};

#[derive(Debug, Clone)]
pub struct Config {
    /// Holds the database, the artifacts and the keys where nothing else is configured.
    pub data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://…`; `None`: `<data_dir>/waybill.db`.
    pub database_url: Option<String>,
    /// `file:///DIR` or `s3://BUCKET/PREFIX`; `None`: `<data_dir>/artifacts`.
    pub artifacts_url: Option<String>,
    /// Where new experiments put their artifacts; `None`: `mlflow-artifacts:/`, through this server.
    pub default_artifact_root: Option<String>,
    /// Address that the server listens on: with `allowed_hosts`, what a `Host` header may say.
    pub listen: SocketAddr,
    /// Further host names (`name` or `name:port`) under which the server is reached.
    pub allowed_hosts: Vec<String>,
    /// `embedded`, `agent` or `off`, told by `/api/v1/info`.
    pub deployer_mode: String,
    /// Address of the gateway as callers reach it.
    pub gateway_url: Option<String>,
    /// Where MLflow's web UI is taken from.
    pub mlflow_ui: ui::Source,
    pub webhooks: webhooks::Settings,
}

impl Config {
    pub fn database_url(&self) -> String {
        self.database_url
            .clone()
            .unwrap_or_else(|| format!("sqlite:{}", self.data_dir.join("waybill.db").display()))
    }

    /// Where the content store lies.
    pub fn artifacts_location(&self) -> Result<Location, InvalidLocation> {
        match &self.artifacts_url {
            Some(url) => Location::parse(url),
            None => Ok(Location::Folder(self.data_dir.join("artifacts"))),
        }
    }

    pub fn key_path(&self) -> PathBuf {
        self.data_dir.join("keys/registry.pem")
    }
}
