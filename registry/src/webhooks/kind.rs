//! Kinds of events: MLflow's entities and actions (mlflow/entities/webhook.py).

use std::{fmt, str::FromStr};

/// What something happened to. In the order of MLflow's proto, which counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    RegisteredModel,
    ModelVersion,
    ModelVersionTag,
    ModelVersionAlias,
    Prompt,
    PromptVersion,
    PromptTag,
    PromptVersionTag,
    PromptAlias,
    BudgetPolicy,
}

/// What happened. In the order of MLflow's proto, which counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Created,
    Updated,
    Deleted,
    Set,
    Exceeded,
}

impl Entity {
    pub const ALL: [Self; 10] = [
        Self::RegisteredModel,
        Self::ModelVersion,
        Self::ModelVersionTag,
        Self::ModelVersionAlias,
        Self::Prompt,
        Self::PromptVersion,
        Self::PromptTag,
        Self::PromptVersionTag,
        Self::PromptAlias,
        Self::BudgetPolicy,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::RegisteredModel => "registered_model",
            Self::ModelVersion => "model_version",
            Self::ModelVersionTag => "model_version_tag",
            Self::ModelVersionAlias => "model_version_alias",
            Self::Prompt => "prompt",
            Self::PromptVersion => "prompt_version",
            Self::PromptTag => "prompt_tag",
            Self::PromptVersionTag => "prompt_version_tag",
            Self::PromptAlias => "prompt_alias",
            Self::BudgetPolicy => "budget_policy",
        }
    }

    /// What can happen to it, by name.
    pub fn actions(self) -> &'static [Action] {
        match self {
            Self::RegisteredModel | Self::ModelVersion | Self::Prompt | Self::PromptVersion => {
                &[Action::Created]
            }
            Self::ModelVersionTag | Self::PromptTag | Self::PromptVersionTag => {
                &[Action::Deleted, Action::Set]
            }
            Self::ModelVersionAlias | Self::PromptAlias => &[Action::Created, Action::Deleted],
            Self::BudgetPolicy => &[Action::Exceeded],
        }
    }
}

impl Action {
    pub const ALL: [Self; 5] = [Self::Created, Self::Updated, Self::Deleted, Self::Set, Self::Exceeded];

    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Set => "set",
            Self::Exceeded => "exceeded",
        }
    }
}

/// A kind of event that exists, e.g. `model_version.created`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType {
    pub(super) entity: Entity,
    pub(super) action: Action,
}

/// An action that the entity does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid action '{}' for entity '{}'. Valid actions are: [{}]", .action.name(), .entity.name(), valid(*.entity))]
pub struct InvalidAction {
    entity: Entity,
    action: Action,
}

fn valid(entity: Entity) -> String {
    let quoted: Vec<String> = entity.actions().iter().map(|action| format!("'{}'", action.name())).collect();
    quoted.join(", ")
}

impl EventType {
    pub fn new(entity: Entity, action: Action) -> Result<Self, InvalidAction> {
        if entity.actions().contains(&action) {
            Ok(Self { entity, action })
        } else {
            Err(InvalidAction { entity, action })
        }
    }

    pub fn entity(self) -> Entity {
        self.entity
    }

    pub fn action(self) -> Action {
        self.action
    }

    pub fn all() -> impl Iterator<Item = Self> {
        Entity::ALL
            .into_iter()
            .flat_map(|entity| entity.actions().iter().map(move |action| Self { entity, action: *action }))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.entity.name(), self.action.name())
    }
}

impl FromStr for EventType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|kind| kind.to_string() == text).ok_or_else(|| format!("{text:?} is no event"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_that_the_entity_does_not_know_is_told_with_those_that_it_knows() {
        let error = EventType::new(Entity::PromptTag, Action::Updated).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Invalid action 'updated' for entity 'prompt_tag'. Valid actions are: ['deleted', 'set']"
        );
        assert!("model_version.updated".parse::<EventType>().is_err());
    }
}
