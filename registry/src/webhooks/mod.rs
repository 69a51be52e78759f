//! Webhooks: receivers that are told of changes, as MLflow tells them.
//!
//! A change puts what is to be told into the outbox, in its own transaction ([`announce`]). A duty
//! delivers from there, at least once, under a lease that replicas share ([`duty`]); every attempt of
//! a delivery carries the same delivery id. What became of each stays readable for a while and can
//! be sent again. Only addresses that [`address::Reach`] admits are ever dialled.

mod address;
mod connect;
mod duty;
mod error;
mod event;
mod kind;
mod manage;
mod metrics;
mod outbox;
mod receiver;
pub mod routes;
mod seal;
mod send;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod types;
mod verdict;

pub use address::{InvalidNetwork, Network};
pub use connect::{Net, SystemNet};
pub use error::WebhooksError;
pub use event::{Event, Kept};
pub use kind::{Action, Entity, EventType};
pub use manage::{Changing, Creating, Tried, create, delete, try_out, update, webhook, webhooks};
pub use metrics::DeliveryMetrics;
pub use outbox::{announce, anyone_listens, delivery, history, measure, replay};
pub use seal::Secret;
pub use settings::Settings;
pub use types::{Delivery, DeliveryState, Status, Webhook};

pub(crate) use duty::run;

use address::Reach;
use connect::Dialer;
use receiver::Receiver;
use seal::SealKey;
use send::Sender;
use std::sync::Arc;
use tokio::sync::Notify;

/// What delivering needs, shared by all who do.
pub struct Webhooks {
    key: SealKey,
    sender: Sender,
    max_retries: u32,
    waiting: Notify,
}

impl Webhooks {
    /// `private_key` is the registry's own, in any form that stays the same.
    pub fn new(settings: &Settings, private_key: &[u8], net: Arc<dyn Net>) -> Self {
        let dialer = Dialer::new(Reach::new(settings.allow.clone()), net);
        Self {
            key: SealKey::derive(private_key),
            sender: Sender::new(dialer, settings.timeout),
            max_retries: settings.max_retries,
            waiting: Notify::new(),
        }
    }

    /// To be called after a commit that may have put something into the outbox.
    pub fn wake(&self) {
        self.waiting.notify_one();
    }

    fn receiver(&self, url: &str) -> Result<Receiver, WebhooksError> {
        Receiver::parse(url, self.sender.dialer().reach().offers_http())
    }
}
