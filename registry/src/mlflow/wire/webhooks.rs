//! Messages of mlflow/protos/webhooks.proto.

use super::EnumValue;
use crate::{
    mlflow::{
        MlflowError,
        extract::{Field, Kind, Message, nonempty, nullable, number, opt_text, optional, required},
    },
    webhooks::{self, Action, Changing, Creating, Entity, EventType, Secret, Status, Tried},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct WebhookEvent {
    entity: EnumValue,
    action: EnumValue,
}

const EVENT: &[Field] = &[required("entity", Kind::Enum), required("action", Kind::Enum)];

impl WebhookEvent {
    /// `path` names the event in messages.
    pub fn read(&self, path: &str) -> Result<EventType, MlflowError> {
        let entity = self.entity.pick(&format!("{path}.entity"), &Entity::ALL, 1, entity_name)?;
        let action = self.action.pick(&format!("{path}.action"), &Action::ALL, 1, action_name)?;
        EventType::new(entity, action).map_err(|error| MlflowError::invalid(error.to_string()))
    }
}

fn events(events: &[WebhookEvent]) -> Result<Vec<EventType>, MlflowError> {
    events.iter().enumerate().map(|(i, event)| event.read(&format!("events[{i}]"))).collect()
}

/// The proto's name of a value is the name in upper case.
fn entity_name(entity: Entity) -> &'static str {
    match entity {
        Entity::RegisteredModel => "REGISTERED_MODEL",
        Entity::ModelVersion => "MODEL_VERSION",
        Entity::ModelVersionTag => "MODEL_VERSION_TAG",
        Entity::ModelVersionAlias => "MODEL_VERSION_ALIAS",
        Entity::Prompt => "PROMPT",
        Entity::PromptVersion => "PROMPT_VERSION",
        Entity::PromptTag => "PROMPT_TAG",
        Entity::PromptVersionTag => "PROMPT_VERSION_TAG",
        Entity::PromptAlias => "PROMPT_ALIAS",
        Entity::BudgetPolicy => "BUDGET_POLICY",
    }
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Created => "CREATED",
        Action::Updated => "UPDATED",
        Action::Deleted => "DELETED",
        Action::Set => "SET",
        Action::Exceeded => "EXCEEDED",
    }
}

fn status(status: Option<&EnumValue>) -> Result<Option<Status>, MlflowError> {
    status.map(|value| value.pick("status", &Status::ALL, 1, Status::name)).transpose()
}

#[derive(Deserialize)]
pub struct CreateWebhook {
    #[serde(deserialize_with = "nonempty")]
    name: String,
    #[serde(deserialize_with = "nonempty")]
    url: String,
    events: Vec<WebhookEvent>,
    #[serde(default, deserialize_with = "opt_text")]
    description: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    secret: Option<String>,
    #[serde(default)]
    status: Option<EnumValue>,
}

impl Message for CreateWebhook {
    const FIELDS: &'static [Field] = &[
        required("name", Kind::Text),
        required("url", Kind::Text),
        required("events", Kind::Messages(EVENT)),
        optional("description", Kind::Text),
        optional("secret", Kind::Text),
        optional("status", Kind::Enum),
    ];
}

impl TryFrom<CreateWebhook> for Creating {
    type Error = MlflowError;

    fn try_from(message: CreateWebhook) -> Result<Self, MlflowError> {
        Ok(Self {
            events: events(&message.events)?,
            status: status(message.status.as_ref())?.unwrap_or(Status::Active),
            name: message.name,
            url: message.url,
            description: message.description,
            secret: message.secret.map(Secret::new),
        })
    }
}

#[derive(Debug, Deserialize)]
pub struct ListWebhooks {
    #[serde(default, deserialize_with = "number::opt_int")]
    pub max_results: Option<i64>,
    #[serde(default, deserialize_with = "opt_text")]
    pub page_token: Option<String>,
}

impl Message for ListWebhooks {
    const FIELDS: &'static [Field] =
        &[optional("max_results", Kind::Int), optional("page_token", Kind::Text)];
}

#[derive(Deserialize)]
pub struct UpdateWebhook {
    #[serde(default, deserialize_with = "opt_text")]
    name: Option<String>,
    /// Empty text is a description too.
    #[serde(default)]
    description: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    url: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    events: Vec<WebhookEvent>,
    /// Empty text takes the secret away.
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    status: Option<EnumValue>,
}

impl Message for UpdateWebhook {
    const FIELDS: &'static [Field] = &[
        optional("name", Kind::Text),
        optional("description", Kind::Text),
        optional("url", Kind::Text),
        optional("events", Kind::Messages(EVENT)),
        optional("secret", Kind::Text),
        optional("status", Kind::Enum),
    ];
}

impl TryFrom<UpdateWebhook> for Changing {
    type Error = MlflowError;

    fn try_from(message: UpdateWebhook) -> Result<Self, MlflowError> {
        Ok(Self {
            events: Some(events(&message.events)?).filter(|events| !events.is_empty()),
            status: status(message.status.as_ref())?,
            name: message.name,
            url: message.url,
            description: message.description,
            secret: message.secret.map(Secret::new),
        })
    }
}

#[derive(Debug, Deserialize)]
pub struct TestWebhook {
    #[serde(default)]
    pub event: Option<WebhookEvent>,
}

impl Message for TestWebhook {
    const FIELDS: &'static [Field] = &[optional("event", Kind::Message(EVENT))];
}

#[derive(Debug, Serialize)]
struct Event {
    entity: &'static str,
    action: &'static str,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "MLflow's fields")]
pub struct Webhook {
    webhook_id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    url: String,
    events: Vec<Event>,
    status: &'static str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
}

impl From<webhooks::Webhook> for Webhook {
    fn from(webhook: webhooks::Webhook) -> Self {
        let event = |event: &EventType| Event {
            entity: entity_name(event.entity()),
            action: action_name(event.action()),
        };
        Self {
            webhook_id: webhook.webhook_id,
            name: webhook.name,
            description: webhook.description,
            url: webhook.url,
            events: webhook.events.iter().map(event).collect(),
            status: webhook.status.name(),
            creation_timestamp: webhook.created_at_ms,
            last_updated_timestamp: webhook.updated_at_ms,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct WebhookResponse {
    pub webhook: Webhook,
}

#[derive(Debug, Serialize)]
pub struct ListWebhooksResponse {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct WebhookTestResult {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct TestWebhookResponse {
    pub result: WebhookTestResult,
}

impl From<Tried> for WebhookTestResult {
    fn from(tried: Tried) -> Self {
        match tried {
            Tried::Answered(answer) => Self {
                // What is delivered is a good answer here, too; MLflow also takes redirects for one.
                success: (200..300).contains(&answer.status),
                response_status: Some(answer.status),
                response_body: Some(answer.body),
                error_message: None,
            },
            Tried::Failed(message) => Self {
                success: false,
                response_status: None,
                response_body: None,
                error_message: Some(message),
            },
        }
    }
}
