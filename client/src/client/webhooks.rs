//! Webhooks and their deliveries.

use super::Client;
use crate::{
    api::{PageQuery, WebhookDelivery, WebhookDeliveryPage, WebhookDeliveryState, WebhookPage},
    error::ClientError,
};

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveriesQuery<'a> {
    /// Those in this state only.
    pub state: Option<WebhookDeliveryState>,
    pub limit: Option<u32>,
    pub page_token: Option<&'a str>,
}

impl Client {
    /// Webhooks, newest first.
    pub async fn webhooks(&self, page: &PageQuery) -> Result<WebhookPage, ClientError> {
        self.get(&["webhooks"])
            .query("limit", page.limit)
            .query("page_token", page.page_token.as_deref())
            .receive()
            .await
    }

    /// Deliveries of a webhook, newest first.
    pub async fn webhook_deliveries(
        &self,
        webhook_id: &str,
        query: &DeliveriesQuery<'_>,
    ) -> Result<WebhookDeliveryPage, ClientError> {
        let state = query.state.map(|state| match state {
            WebhookDeliveryState::Pending => "pending",
            WebhookDeliveryState::Delivered => "delivered",
            WebhookDeliveryState::Failed => "failed",
            WebhookDeliveryState::Cancelled => "cancelled",
        });
        self.get(&["webhooks", webhook_id, "deliveries"])
            .query("state", state)
            .query("limit", query.limit)
            .query("page_token", query.page_token)
            .receive()
            .await
    }

    /// A delivery with the body that it sends.
    pub async fn webhook_delivery(&self, delivery_id: &str) -> Result<WebhookDelivery, ClientError> {
        self.get(&["webhook-deliveries", delivery_id]).receive().await
    }

    /// Sends what an ended delivery sent once more, as a delivery of its own. Returns once it is in
    /// the outbox.
    pub async fn replay_webhook_delivery(&self, delivery_id: &str) -> Result<WebhookDelivery, ClientError> {
        self.post(&["webhook-deliveries", delivery_id, "replays"]).receive().await
    }
}
