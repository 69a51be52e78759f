//! What webhooks tell: MLflow's events and payloads (mlflow/webhooks/types.py).

use super::kind::{Action, Entity, EventType};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use std::collections::BTreeMap;

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    pub kind: EventType,
    data: Data,
}

/// An event's payload.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Data {
    Named {
        name: String,
        tags: BTreeMap<String, String>,
        description: Option<String>,
    },
    Version {
        name: String,
        version: String,
        source: String,
        run_id: Option<String>,
        tags: BTreeMap<String, String>,
        description: Option<String>,
    },
    PromptVersion {
        name: String,
        version: String,
        template: Option<String>,
        tags: BTreeMap<String, String>,
        description: Option<String>,
    },
    Tag {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        key: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    Alias {
        name: String,
        alias: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    BudgetPolicy(BudgetPolicy),
}

/// Sent as an example only: Waybill has no budgets.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_field_names, reason = "MLflow's fields")]
struct BudgetPolicy {
    budget_policy_id: &'static str,
    budget_unit: &'static str,
    budget_amount: f64,
    current_spend: f64,
    duration_unit: &'static str,
    duration_value: i64,
    target_scope: &'static str,
    workspace: &'static str,
    target_value: &'static str,
    window_start: i64,
}

/// Whether a model's events or a prompt's are meant: MLflow keeps both as registered models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Model,
    Prompt,
}

impl Kept {
    fn pick(self, model: Entity, prompt: Entity) -> Entity {
        match self {
            Self::Model => model,
            Self::Prompt => prompt,
        }
    }
}

impl Event {
    fn new(entity: Entity, action: Action, data: Data) -> Self {
        debug_assert!(entity.actions().contains(&action));
        Self { kind: EventType { entity, action }, data }
    }

    /// A model or prompt was created. MLflow tells a description that was not given as empty text.
    pub fn model_created(
        kept: Kept,
        name: &str,
        tags: BTreeMap<String, String>,
        description: Option<&str>,
    ) -> Self {
        let entity = kept.pick(Entity::RegisteredModel, Entity::Prompt);
        let description = Some(description.unwrap_or_default().to_owned());
        Self::new(entity, Action::Created, Data::Named { name: name.to_owned(), tags, description })
    }

    /// A version of a model was registered.
    pub fn version_created(
        (name, version): (&str, i64),
        source: &str,
        run_id: Option<&str>,
        tags: BTreeMap<String, String>,
        description: Option<&str>,
    ) -> Self {
        let data = Data::Version {
            name: name.to_owned(),
            version: version.to_string(),
            source: source.to_owned(),
            run_id: run_id.map(str::to_owned),
            tags,
            description: description.map(str::to_owned),
        };
        Self::new(Entity::ModelVersion, Action::Created, data)
    }

    /// A version of a prompt was registered.
    pub fn prompt_version_created(
        (name, version): (&str, i64),
        template: Option<String>,
        tags: BTreeMap<String, String>,
        description: Option<&str>,
    ) -> Self {
        let data = Data::PromptVersion {
            name: name.to_owned(),
            version: version.to_string(),
            template,
            tags,
            description: description.map(str::to_owned),
        };
        Self::new(Entity::PromptVersion, Action::Created, data)
    }

    /// A tag of a version was set, or deleted where there is no value.
    pub fn version_tag(kept: Kept, (name, version): (&str, i64), key: &str, value: Option<&str>) -> Self {
        let entity = kept.pick(Entity::ModelVersionTag, Entity::PromptVersionTag);
        Self::tag(entity, name, Some(version), key, value)
    }

    /// A tag of a prompt was set, or deleted where there is no value. MLflow has no such event of
    /// models.
    pub fn prompt_tag(name: &str, key: &str, value: Option<&str>) -> Self {
        Self::tag(Entity::PromptTag, name, None, key, value)
    }

    fn tag(entity: Entity, name: &str, version: Option<i64>, key: &str, value: Option<&str>) -> Self {
        let action = if value.is_some() { Action::Set } else { Action::Deleted };
        let data = Data::Tag {
            name: name.to_owned(),
            version: version.map(|number| number.to_string()),
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        Self::new(entity, action, data)
    }

    /// An alias was pointed to a version, or deleted where there is none.
    pub fn alias(kept: Kept, name: &str, alias: &str, version: Option<i64>) -> Self {
        let entity = kept.pick(Entity::ModelVersionAlias, Entity::PromptAlias);
        let action = if version.is_some() { Action::Created } else { Action::Deleted };
        let data = Data::Alias {
            name: name.to_owned(),
            alias: alias.to_owned(),
            version: version.map(|number| number.to_string()),
        };
        Self::new(entity, action, data)
    }

    /// What MLflow sends to try a webhook out.
    pub fn example(kind: EventType) -> Self {
        let tags = || BTreeMap::from([("example_key".to_owned(), "example_value".to_owned())]);
        let (model, prompt) = ("example_model", "example_prompt");
        let set = matches!(kind.action, Action::Set).then_some("example_value");
        let version = matches!(kind.action, Action::Created).then_some(1);
        match kind.entity {
            Entity::RegisteredModel => {
                Self::model_created(Kept::Model, model, tags(), Some("An example registered model"))
            }
            Entity::Prompt => Self::model_created(Kept::Prompt, prompt, tags(), Some("An example prompt")),
            Entity::ModelVersion => Self::version_created(
                (model, 1),
                "models:/123",
                Some("abcd1234abcd5678"),
                tags(),
                Some("An example model version"),
            ),
            Entity::PromptVersion => Self::prompt_version_created(
                (prompt, 1),
                Some("Hello {{name}}!".to_owned()),
                tags(),
                Some("An example prompt version"),
            ),
            Entity::ModelVersionTag => Self::version_tag(Kept::Model, (model, 1), "example_key", set),
            Entity::PromptVersionTag => Self::version_tag(Kept::Prompt, (prompt, 1), "example_key", set),
            Entity::PromptTag => Self::prompt_tag(prompt, "example_key", set),
            Entity::ModelVersionAlias => Self::alias(Kept::Model, model, "example_alias", version),
            Entity::PromptAlias => Self::alias(Kept::Prompt, prompt, "example_alias", version),
            Entity::BudgetPolicy => Self::new(kind.entity, kind.action, Data::BudgetPolicy(EXAMPLE_BUDGET)),
        }
    }

    /// The body of a request that tells of it; `at_ms` is when it happened.
    pub fn body(&self, at_ms: i64) -> String {
        #[derive(Serialize)]
        struct Envelope<'a> {
            entity: &'static str,
            action: &'static str,
            timestamp: String,
            data: &'a Data,
        }
        let envelope = Envelope {
            entity: self.kind.entity.name(),
            action: self.kind.action.name(),
            timestamp: python_isoformat(at_ms),
            data: &self.data,
        };
        // Texts, numbers and maps by text: writing them cannot fail.
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

const EXAMPLE_BUDGET: BudgetPolicy = BudgetPolicy {
    budget_policy_id: "bp-abc123",
    budget_unit: "USD",
    budget_amount: 100.0,
    current_spend: 105.5,
    duration_unit: "MONTHS",
    duration_value: 1,
    target_scope: "ENDPOINT",
    workspace: "default",
    target_value: "ep-abc123",
    window_start: 1_704_067_200_000,
};

/// `2026-03-04T17:08:09.120000+00:00`.
fn python_isoformat(at_ms: i64) -> String {
    let time = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_an_example() {
        let kinds: Vec<EventType> = EventType::all().collect();
        assert_eq!(kinds.len(), 15);
        for kind in kinds {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            let body: serde_json::Value =
                serde_json::from_str(&Event::example(kind).body(1_700_000_000_123)).unwrap();
            assert_eq!(body["entity"], kind.entity().name());
            assert_eq!(body["action"], kind.action().name());
            assert_eq!(body["timestamp"], "2023-11-14T22:13:20.123000+00:00");
        }
    }

    #[test]
    fn payloads_are_mlflows() {
        let deleted = Event::alias(Kept::Model, "iris", "champion", None);
        assert_snapshot!(deleted.body(0), @r#"{"entity":"model_version_alias","action":"deleted","timestamp":"1970-01-01T00:00:00.000000+00:00","data":{"name":"iris","alias":"champion"}}"#);
        let version = Event::version_created(("iris", 3), "s3://b/m", None, BTreeMap::new(), None);
        assert_snapshot!(version.body(0), @r#"{"entity":"model_version","action":"created","timestamp":"1970-01-01T00:00:00.000000+00:00","data":{"name":"iris","version":"3","source":"s3://b/m","run_id":null,"tags":{},"description":null}}"#);
        let tag = Event::prompt_tag("greeting", "lang", Some("de"));
        assert_snapshot!(tag.body(0), @r#"{"entity":"prompt_tag","action":"set","timestamp":"1970-01-01T00:00:00.000000+00:00","data":{"name":"greeting","key":"lang","value":"de"}}"#);
        let model = Event::model_created(Kept::Model, "iris", BTreeMap::new(), None);
        assert_snapshot!(model.body(0), @r#"{"entity":"registered_model","action":"created","timestamp":"1970-01-01T00:00:00.000000+00:00","data":{"name":"iris","tags":{},"description":""}}"#);
    }
}
