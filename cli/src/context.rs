//! What every command gets.

use crate::{cli::Global, failure::Failure};
use waybill_client::{Client, Reference, api::ModelVersion};

pub struct Context {
    pub server: String,
    pub json: bool,
}

impl Context {
    pub fn new(global: &Global) -> Self {
        Self { server: global.server.clone(), json: global.json }
    }

    pub fn client(&self) -> Result<Client, Failure> {
        Ok(Client::http(&self.server)?)
    }
}

/// The version that a reference names now.
pub async fn resolve(client: &Client, reference: &Reference) -> Result<ModelVersion, Failure> {
    Ok(client.resolve(&reference.to_string()).await?)
}
