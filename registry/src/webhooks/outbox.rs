//! What is to be told: put into the outbox in the transaction of the change itself, so that neither
//! comes without the other; read back as history; sent once more.

use super::{
    WebhooksError,
    event::Event,
    manage::{find, hold, subject},
    store::{
        deliveries::{self, NewDelivery},
        webhooks,
    },
    types::{Delivery, DeliveryState, Status},
};
use crate::{
    app::App,
    audit::{self, Cause},
    db::{Conn, DbError},
    idempotency::{Claim, Once, claim},
    ids::Ids,
};

/// Whether anybody listens to anything: where nobody does, an event need not be made.
pub async fn anyone_listens(tx: &mut Conn) -> Result<bool, DbError> {
    webhooks::any(tx).await
}

/// Puts an event into the outbox for everyone who subscribes to it. Call it inside the transaction
/// of the change, and [`super::Webhooks::wake`] after its commit.
pub async fn announce(tx: &mut Conn, ids: &dyn Ids, at_ms: i64, event: &Event) -> Result<(), DbError> {
    let receivers = webhooks::subscribed(tx, event.kind).await?;
    if receivers.is_empty() {
        return Ok(());
    }
    let body = event.body(at_ms);
    let new: Vec<NewDelivery> = receivers
        .into_iter()
        .map(|webhook| NewDelivery {
            delivery_id: ids.random().to_string(),
            webhook,
            event: event.kind,
            body: body.clone(),
            replay_of: None,
        })
        .collect();
    let now_ms = tx.now_ms().await?;
    deliveries::insert(tx, &new, now_ms).await
}

/// At most `limit` deliveries of a webhook before the position of one, newest first.
pub async fn history(
    app: &App,
    webhook_id: &str,
    state: Option<DeliveryState>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Delivery>, WebhooksError> {
    let mut conn = app.db.snapshot().await?;
    let webhook = find(&mut conn, webhook_id).await?;
    Ok(deliveries::page(&mut conn, webhook.id, state, before.unwrap_or(i64::MAX), limit).await?)
}

/// A delivery and the body that it sends.
pub async fn delivery(app: &App, delivery_id: &str) -> Result<(Delivery, String), WebhooksError> {
    find_delivery(&mut app.db.snapshot().await?, delivery_id).await
}

async fn find_delivery(conn: &mut Conn, delivery_id: &str) -> Result<(Delivery, String), WebhooksError> {
    // PostgreSQL's TEXT cannot hold NUL, not even to look for it.
    let found = if delivery_id.contains('\0') { None } else { deliveries::find(conn, delivery_id).await? };
    found.ok_or_else(|| WebhooksError::delivery_not_found(delivery_id))
}

struct Replay {
    delivery_id: String,
    new_id: String,
    once: Option<Once>,
    cause: Cause,
}

/// Sends what an ended delivery sent once more, to where its webhook leads now. The replay is a
/// delivery of its own, so that a receiver which knows the old one does not take it for a retry.
pub async fn replay(
    app: &App,
    cause: Cause,
    delivery_id: &str,
    once: Option<Once>,
) -> Result<Delivery, WebhooksError> {
    let new_id = app.ids.random().to_string();
    let input = Replay { delivery_id: delivery_id.to_owned(), new_id, once, cause };
    let made = app.db.write(input, |tx, input| Box::pin(write_replay(tx, input))).await?;
    app.webhooks.wake();
    Ok(made)
}

async fn write_replay(tx: &mut Conn, input: &Replay) -> Result<Delivery, WebhooksError> {
    let Replay { delivery_id, new_id, once, cause } = input;
    if let Claim::Done(made) = claim(tx, once.as_ref(), new_id, cause.at_ms).await? {
        return Ok(find_delivery(tx, &made).await?.0);
    }
    let (old, body) = find_delivery(tx, delivery_id).await?;
    let webhook = hold(tx, &old.webhook_id).await?;
    if webhook.status == Status::Disabled {
        return Err(WebhooksError::Disabled { name: webhook.name });
    }
    if old.state == DeliveryState::Pending {
        return Err(WebhooksError::Pending { delivery_id: old.delivery_id });
    }
    let new = NewDelivery {
        delivery_id: new_id.clone(),
        webhook: webhook.id,
        event: old.event,
        body,
        replay_of: Some(old.delivery_id),
    };
    let now_ms = tx.now_ms().await?;
    deliveries::insert(tx, &[new], now_ms).await?;
    let event = cause.event("webhook_delivery.replayed", subject(&webhook.webhook_id));
    audit::record(tx, &event.change(Some(delivery_id), Some(new_id))).await?;
    Ok(find_delivery(tx, new_id).await?.0)
}

/// Tells the metrics how much waits, and since when.
pub async fn measure(app: &App) -> Result<(), DbError> {
    let mut conn = app.db.read().await?;
    let (count, oldest_at_ms) = deliveries::queue(&mut conn).await?;
    let now_ms = conn.now_ms().await?;
    let age_ms = oldest_at_ms.map_or(0, |at_ms| (now_ms - at_ms).max(0));
    app.metrics.webhooks.queued(count, age_ms);
    Ok(())
}
