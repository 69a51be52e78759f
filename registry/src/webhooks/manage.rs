//! Webhooks: made, changed, deleted, tried out.

use super::{
    WebhooksError,
    connect::DialError,
    event::Event,
    kind::EventType,
    receiver::quoted,
    seal::Secret,
    send::{Answer, Message},
    store::{
        deliveries,
        webhooks::{self as store, NewWebhook},
    },
    types::{Status, Webhook},
};
use crate::{
    app::App,
    audit::{self, Cause},
    db::Conn,
};

/// Every event is put into the outbox once for each webhook that subscribes to it.
const WEBHOOKS_MAX: i64 = 1_000;
const NAME_MAX_CHARS: usize = 63;
const DESCRIPTION_MAX_CHARS: usize = 100_000;
const SECRET_MAX_CHARS: usize = 1_000;

/// A webhook asked for.
#[derive(Debug, Clone)]
pub struct Creating {
    pub name: String,
    pub url: String,
    pub events: Vec<EventType>,
    pub description: Option<String>,
    pub secret: Option<Secret>,
    pub status: Status,
}

/// What is to change; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Changing {
    pub name: Option<String>,
    pub url: Option<String>,
    pub events: Option<Vec<EventType>>,
    pub description: Option<String>,
    /// An empty one takes the secret away.
    pub secret: Option<Secret>,
    pub status: Option<Status>,
}

/// What came of trying a webhook out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    Answered(Answer),
    Failed(String),
}

pub async fn create(app: &App, cause: Cause, asked: Creating) -> Result<Webhook, WebhooksError> {
    check_name(&asked.name)?;
    check_url(app, &asked.url).await?;
    let events = check_events(asked.events)?;
    check_texts(asked.description.as_deref(), asked.secret.as_ref())?;
    let webhook_id = app.ids.random().to_string();
    let new = NewWebhook {
        sealed_secret: asked.secret.map(|secret| app.webhooks.key.seal(&webhook_id, &secret)),
        webhook_id,
        name: asked.name,
        description: asked.description,
        url: asked.url,
        status: asked.status,
        at_ms: cause.at_ms,
    };
    let input = (new, events, cause);
    app.db
        .write(input, |tx, (new, events, cause)| {
            Box::pin(async move {
                if store::count(tx).await? >= WEBHOOKS_MAX {
                    return Err(WebhooksError::TooMany { limit: WEBHOOKS_MAX });
                }
                let id = store::insert(tx, new).await?;
                store::subscribe(tx, id, events).await?;
                let event = cause.event("webhook.created", subject(&new.webhook_id));
                audit::record(tx, &event.change(None, Some(&new.name))).await?;
                find(tx, &new.webhook_id).await
            })
        })
        .await
}

pub async fn webhook(app: &App, webhook_id: &str) -> Result<Webhook, WebhooksError> {
    find(&mut app.db.snapshot().await?, webhook_id).await
}

pub(super) async fn find(conn: &mut Conn, webhook_id: &str) -> Result<Webhook, WebhooksError> {
    // PostgreSQL's TEXT cannot hold NUL, not even to look for it.
    let found = if webhook_id.contains('\0') { None } else { store::find(conn, webhook_id).await? };
    found.ok_or_else(|| WebhooksError::not_found(webhook_id))
}

/// The webhook, held until the transaction ends.
pub(super) async fn hold(tx: &mut Conn, webhook_id: &str) -> Result<Webhook, WebhooksError> {
    find(tx, webhook_id).await?;
    store::lock(tx, webhook_id).await?;
    find(tx, webhook_id).await
}

/// At most `limit` webhooks before the position of one, newest first.
pub async fn webhooks(
    app: &App,
    before: Option<(i64, i64)>,
    limit: i64,
) -> Result<Vec<Webhook>, WebhooksError> {
    let mut conn = app.db.snapshot().await?;
    Ok(store::page(&mut conn, before.unwrap_or((i64::MAX, i64::MAX)), limit).await?)
}

/// Changes a webhook. A disabled one's pending deliveries are cancelled.
pub async fn update(
    app: &App,
    cause: Cause,
    webhook_id: &str,
    asked: Changing,
) -> Result<Webhook, WebhooksError> {
    // MLflow tells that there is no such webhook before it looks at what is to change.
    webhook(app, webhook_id).await?;
    if let Some(name) = &asked.name {
        check_name(name)?;
    }
    if let Some(url) = &asked.url {
        check_url(app, url).await?;
    }
    let events = asked.events.map(check_events).transpose()?;
    check_texts(asked.description.as_deref(), asked.secret.as_ref())?;
    let secret = match &asked.secret {
        None => SecretChange::Stays,
        Some(secret) if secret.chars() == 0 => SecretChange::Goes,
        Some(secret) => SecretChange::Becomes(app.webhooks.key.seal(webhook_id, secret)),
    };
    let change = Change {
        webhook_id: webhook_id.to_owned(),
        name: asked.name,
        url: asked.url,
        events,
        description: asked.description,
        secret,
        status: asked.status,
        cause,
    };
    app.db.write(change, |tx, change| Box::pin(change.apply(tx))).await
}

enum SecretChange {
    Stays,
    Goes,
    /// Sealed.
    Becomes(String),
}

struct Change {
    webhook_id: String,
    name: Option<String>,
    url: Option<String>,
    events: Option<Vec<EventType>>,
    description: Option<String>,
    secret: SecretChange,
    status: Option<Status>,
    cause: Cause,
}

impl Change {
    async fn apply(&self, tx: &mut Conn) -> Result<Webhook, WebhooksError> {
        let mut webhook = hold(tx, &self.webhook_id).await?;
        let mut changed = Vec::new();
        let mut set = |field: &'static str, to: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                to.clone_from(value);
                changed.push(field);
            }
        };
        set("name", &mut webhook.name, &self.name);
        set("url", &mut webhook.url, &self.url);
        if let Some(description) = &self.description {
            webhook.description = Some(description.clone()).filter(|text| !text.is_empty());
            changed.push("description");
        }
        match &self.secret {
            SecretChange::Stays => {}
            SecretChange::Goes => webhook.sealed_secret = None,
            SecretChange::Becomes(sealed) => webhook.sealed_secret = Some(sealed.clone()),
        }
        if !matches!(self.secret, SecretChange::Stays) {
            changed.push("secret");
        }
        if let Some(status) = self.status {
            webhook.status = status;
            changed.push(if status == Status::Disabled { "disabled" } else { "enabled" });
        }
        webhook.updated_at_ms = self.cause.at_ms;
        store::update(tx, &webhook).await?;
        if let Some(events) = &self.events {
            store::subscribe(tx, webhook.id, events).await?;
            changed.push("events");
        }
        if self.status == Some(Status::Disabled) {
            let now_ms = tx.now_ms().await?;
            deliveries::cancel(tx, webhook.id, now_ms, "the webhook was disabled").await?;
        }
        let event = self.cause.event("webhook.updated", subject(&self.webhook_id));
        audit::record(tx, &event.change(None, Some(&changed.join(", ")))).await?;
        find(tx, &self.webhook_id).await
    }
}

/// Deletes a webhook. What it has pending is cancelled.
pub async fn delete(app: &App, cause: Cause, webhook_id: &str) -> Result<(), WebhooksError> {
    let input = (webhook_id.to_owned(), cause);
    app.db
        .write(input, |tx, (webhook_id, cause)| {
            Box::pin(async move {
                let webhook = hold(tx, webhook_id).await?;
                let now_ms = tx.now_ms().await?;
                deliveries::cancel(tx, webhook.id, now_ms, "the webhook was deleted").await?;
                store::delete(tx, webhook.id, cause.at_ms).await?;
                let event = cause.event("webhook.deleted", subject(webhook_id));
                Ok(audit::record(tx, &event.change(Some(&webhook.name), None)).await?)
            })
        })
        .await
}

/// Sends an example, once and at once: of the first event that the webhook subscribes to, if
/// `kind` says no other. It is no delivery: nothing of it is recorded.
pub async fn try_out(app: &App, webhook_id: &str, kind: Option<EventType>) -> Result<Tried, WebhooksError> {
    let webhook = webhook(app, webhook_id).await?;
    let Some(kind) = kind.or_else(|| webhook.events.first().copied()) else {
        return Err(no_events());
    };
    let secret = match webhook.sealed_secret.as_deref() {
        Some(sealed) => match app.webhooks.key.open(webhook_id, sealed) {
            Ok(secret) => Some(secret),
            Err(error) => return Ok(Tried::Failed(format!("Failed to test webhook: {error}"))),
        },
        None => None,
    };
    let receiver = match app.webhooks.receiver(&webhook.url) {
        Ok(receiver) => receiver,
        Err(error) => return Ok(Tried::Failed(format!("Failed to test webhook: {error}"))),
    };
    let now_ms = app.clock.now_ms();
    let message = Message {
        delivery_id: &app.ids.random().to_string(),
        body: &Event::example(kind).body(now_ms),
        secret: secret.as_ref(),
        at_ms: now_ms,
    };
    let (outcome, _) = app.webhooks.sender.send(&receiver, &message).await;
    Ok(match outcome {
        Ok(answer) => Tried::Answered(answer),
        Err(error) => Tried::Failed(format!("Failed to test webhook: {error}")),
    })
}

/// How audit events name a webhook.
pub(super) fn subject(webhook_id: &str) -> String {
    format!("webhook:{webhook_id}")
}

fn check_name(name: &str) -> Result<(), WebhooksError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let ends = |c: char| c.is_ascii_alphanumeric();
    if name.chars().all(plain)
        && name.starts_with(ends)
        && name.ends_with(ends)
        && name.chars().count() <= NAME_MAX_CHARS
    {
        return Ok(());
    }
    let message = format!(
        "Webhook name {} is invalid. It must start and end with a letter or digit, be less than \
         {NAME_MAX_CHARS} characters long, and contain only letters, digits, dots (.), underscores (_), and \
         hyphens (-).",
        quoted(name)
    );
    Err(WebhooksError::invalid("WEBHOOK_NAME_INVALID", message))
}

/// Refuses what could never be delivered. What a name resolves to is judged again with each
/// connection.
async fn check_url(app: &App, url: &str) -> Result<(), WebhooksError> {
    let receiver = app.webhooks.receiver(url)?;
    match app.webhooks.sender.dialer().addresses(&receiver).await {
        Ok(_) => Ok(()),
        Err(DialError::Resolve { host, detail }) => {
            let message = format!("Cannot resolve Webhook URL hostname {}: {detail}", quoted(&host));
            Err(WebhooksError::invalid("WEBHOOK_URL_INVALID", message))
        }
        Err(error) => Err(WebhooksError::invalid("WEBHOOK_URL_REFUSED", error.to_string())),
    }
}

/// The events by name, each once.
fn check_events(mut events: Vec<EventType>) -> Result<Vec<EventType>, WebhooksError> {
    if events.is_empty() {
        return Err(no_events());
    }
    events.sort_by_key(|event| (event.entity().name(), event.action().name()));
    if let Some([twice, _]) = events.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!("Webhook events must not repeat: {twice}.");
        return Err(WebhooksError::invalid("WEBHOOK_EVENT_INVALID", message));
    }
    Ok(events)
}

fn no_events() -> WebhooksError {
    let message = "Webhook events must be a non-empty list of WebhookEvent objects: [].";
    WebhooksError::invalid("WEBHOOK_EVENT_INVALID", message)
}

fn check_texts(description: Option<&str>, secret: Option<&Secret>) -> Result<(), WebhooksError> {
    for (field, length, limit) in [
        ("description", description.map_or(0, |text| text.chars().count()), DESCRIPTION_MAX_CHARS),
        ("secret", secret.map_or(0, Secret::chars), SECRET_MAX_CHARS),
    ] {
        if length > limit {
            let message = format!("'{field}' exceeds the maximum length of {limit} characters");
            return Err(WebhooksError::invalid("FIELD_TOO_LONG", message));
        }
    }
    Ok(())
}
