//! What every command gets.

use crate::{cli::Global, failure::Failure};
use waybill_client::{Client, Reference, api::ModelVersion};

pub struct Context {
    pub server: String,
    pub json: bool,
    user: Option<String>,
}

impl Context {
    pub fn new(global: &Global) -> Self {
        Self {
            server: global.server.clone(),
            json: global.json,
            user: global.user.clone().or_else(login_name),
        }
    }

    pub fn client(&self) -> Result<Client, Failure> {
        let client = Client::http(&self.server)?;
        Ok(match &self.user {
            Some(user) => client.for_user(user),
            None => client,
        })
    }
}

/// Who sits at the keyboard, as the system knows it.
fn login_name() -> Option<String> {
    ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty())
}

/// The version that a reference names now.
pub async fn resolve(client: &Client, reference: &Reference) -> Result<ModelVersion, Failure> {
    Ok(client.resolve(&reference.to_string()).await?)
}
