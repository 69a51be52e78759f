//! The client: one method per operation of the native API.

mod deployments;
mod imports;
mod models;
mod promotions;
mod uploads;
mod webhooks;

pub use promotions::AuditQuery;
pub use webhooks::DeliveriesQuery;

use crate::{
    api::{KeyList, PublicKeyInfo, RegisterKey, ServerInfo},
    error::ClientError,
    request::Call,
    transport::{Service, Transport},
};
use http::{HeaderValue, Method};
use std::sync::Arc;
use url::Url;

/// Talks to one registry. Cheap to clone; clones share connections.
///
/// While the server is away or busy, a call is tried up to four times; a write carries an idempotency
/// key, so that it happens once. A blob's upload is tried once: its body can be read only once.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    user: Option<HeaderValue>,
}

struct Shared {
    base: Url,
    transport: Transport,
}

impl Client {
    /// A registry at an `http://` or `https://` address. Connects with the first call.
    pub fn http(base_url: &str) -> Result<Self, ClientError> {
        let invalid = || ClientError::InvalidArgument {
            field: "server",
            value: base_url.to_owned(),
            expected: "an address like http://127.0.0.1:5000",
        };
        let mut base = Url::parse(base_url.trim()).map_err(|_| invalid())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(invalid());
        }
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { shared: Arc::new(Shared { base, transport: Transport::http()? }), user: None })
    }

    /// A registry in this process. Requests name the host `localhost`.
    pub fn in_memory(service: Service) -> Self {
        let base = Url::parse("http://localhost/").expect("a constant");
        Self { shared: Arc::new(Shared { base, transport: Transport::InMemory(service) }), user: None }
    }

    /// The same client, its calls made for `user`: history and audit record the name as claimed.
    /// A name that cannot stand in a header is left out.
    #[must_use]
    pub fn for_user(mut self, user: &str) -> Self {
        self.user = HeaderValue::from_str(user).ok();
        self
    }

    pub(crate) fn user(&self) -> Option<&HeaderValue> {
        self.user.as_ref()
    }

    pub(crate) fn base(&self) -> &Url {
        &self.shared.base
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.shared.transport
    }

    fn get(&self, segments: &[&str]) -> Call {
        Call::new(self, Method::GET, segments)
    }

    fn post(&self, segments: &[&str]) -> Call {
        Call::new(self, Method::POST, segments)
    }

    /// What the server is and how it was set up.
    pub async fn info(&self) -> Result<ServerInfo, ClientError> {
        self.get(&["info"]).receive().await
    }

    /// The public keys that sign for this registry.
    pub async fn keys(&self) -> Result<KeyList, ClientError> {
        self.get(&["keys"]).receive().await
    }

    /// Makes a deployer's public key known, so that its signatures can be told.
    pub async fn put_key(&self, key: &RegisterKey) -> Result<PublicKeyInfo, ClientError> {
        self.post(&["keys"]).json(key).receive().await
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&crate::error::shown(self.base())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawnable<T: Send + 'static>(_: impl Future<Output = T> + Send + 'static) {}

    /// A future that borrows too generally compiles here and fails where a program spawns it.
    #[test]
    fn calls_can_be_spawned() {
        let client = Client::http("http://127.0.0.1:9").unwrap();
        spawnable(async move { client.desired_state("staging", 0, 0).await });
        let client = Client::http("http://127.0.0.1:9").unwrap();
        spawnable(async move { client.file_stream("uid", "MLmodel", None).await });
    }
}
