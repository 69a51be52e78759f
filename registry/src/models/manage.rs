//! Models and versions after they were made: names, descriptions, tags, aliases, deletion.

use super::{
    ALIASES_MAX, Model, ModelsError, TAGS_MAX, Tags, Version, announce, check_alias, check_description,
    check_model_name, check_new_alias, check_tag, check_tag_key, check_tags, marks_prompt,
    store::{
        aliases, models,
        tags::{self, Owner},
        versions,
    },
};
use crate::{
    app::App,
    audit::{self, Cause},
    db::Conn,
    deployments::store::deployments,
    provenance::{self, store::NewReferrer},
};
use std::sync::Arc;

/// Attempts to rename a model while versions of it are being registered.
const RENAME_ATTEMPTS: u32 = 5;

/// Makes a registered model.
pub async fn create_model(
    app: &App,
    cause: Cause,
    name: &str,
    description: Option<String>,
    new_tags: Tags,
) -> Result<Model, ModelsError> {
    check_model_name(name)?;
    check_description(description.as_deref())?;
    check_tags(name, &new_tags)?;
    let input = (name.to_owned(), description, new_tags, cause, Arc::clone(&app.ids));
    let model = app
        .db
        .write(input, |tx, (name, description, new_tags, cause, ids)| {
            Box::pin(async move {
                let Some(model_id) = models::insert(tx, name, description.clone(), cause.at_ms).await? else {
                    return Err(taken(tx, name, new_tags).await?);
                };
                tags::set(tx, Owner::Model, model_id, new_tags).await?;
                audit::record(tx, &cause.event("registered_model.created", name.clone())).await?;
                let model = find_model(tx, name).await?;
                announce::model_created(tx, ids.as_ref(), cause.at_ms, &model, new_tags).await?;
                Ok(model)
            })
        })
        .await?;
    app.webhooks.wake();
    Ok(model)
}

/// The error for a name that is taken, which tells prompts from models.
async fn taken(tx: &mut Conn, name: &str, new: &Tags) -> Result<ModelsError, ModelsError> {
    let model = find_model(tx, name).await?;
    let existing = tags::of(tx, Owner::Model, &[model.model_id]).await?.remove(&model.model_id);
    let noun = |prompt: bool| if prompt { "Prompt" } else { "Registered Model" };
    let (old, new) = (noun(marks_prompt(&existing.unwrap_or_default())), noun(marks_prompt(new)));
    let message = if old == new {
        format!("{new} (name={name}) already exists.")
    } else {
        format!(
            "Tried to create a {} with name '{name}', but the name is already taken by a {}. MLflow does not \
             allow creating a model and a prompt with the same name.",
            new.to_lowercase(),
            old.to_lowercase(),
        )
    };
    Ok(ModelsError::ModelExists { message })
}

pub(super) async fn find_model(conn: &mut Conn, name: &str) -> Result<Model, ModelsError> {
    models::find(conn, name).await?.ok_or_else(|| ModelsError::model_not_found(name))
}

pub(super) async fn find_version(conn: &mut Conn, name: &str, version: i64) -> Result<Version, ModelsError> {
    let found = versions::find(conn, name, version).await?;
    found.ok_or_else(|| ModelsError::version_not_found(name, version))
}

pub async fn describe_model(
    app: &App,
    cause: Cause,
    name: &str,
    description: Option<String>,
) -> Result<Model, ModelsError> {
    check_model_name(name)?;
    check_description(description.as_deref())?;
    let input = (name.to_owned(), description, cause);
    app.db
        .write(input, |tx, (name, description, cause)| {
            Box::pin(async move {
                let model = find_model(tx, name).await?;
                models::set_description(tx, model.model_id, description.clone(), cause.at_ms).await?;
                audit::record(tx, &cause.event("registered_model.described", name.clone())).await?;
                find_model(tx, name).await
            })
        })
        .await
}

/// Gives a model another name and signs its versions' statements again under it. A deployed model
/// keeps its name: it is part of the deployment's address.
pub async fn rename_model(app: &App, cause: Cause, name: &str, new_name: &str) -> Result<Model, ModelsError> {
    check_model_name(name)?;
    if new_name.trim().is_empty() {
        let message = "Missing value for required parameter 'new_name'.";
        return Err(ModelsError::invalid("MODEL_NAME_INVALID", message));
    }
    check_model_name(new_name)?;
    for _ in 0..RENAME_ATTEMPTS {
        let model = find_model(&mut app.db.read().await?, name).await?;
        let frozen = versions::frozen_of_model(&mut app.db.read().await?, model.model_id).await?;
        let mut statements = Vec::new();
        for version in &frozen {
            for referrer in provenance::sign_again(app, version, new_name).await? {
                statements.push((version.uid.clone(), referrer));
            }
        }
        let input = Rename {
            name: name.to_owned(),
            new_name: new_name.to_owned(),
            signed: frozen.into_iter().map(|version| version.uid).collect(),
            statements,
            cause: cause.clone(),
        };
        if let Some(model) = app.db.write(input, |tx, input| Box::pin(rename(tx, input))).await? {
            return Ok(model);
        }
    }
    Err(ModelsError::TooMany {
        what: format!("{name}: it could not be renamed between registrations; it"),
        limit: i64::from(RENAME_ATTEMPTS),
        items: "attempts",
    })
}

struct Rename {
    name: String,
    new_name: String,
    /// Uids of the versions whose statements were signed again.
    signed: Vec<String>,
    statements: Vec<(String, NewReferrer)>,
    cause: Cause,
}

/// `None` when a version was registered since the statements were signed.
async fn rename(tx: &mut Conn, input: &Rename) -> Result<Option<Model>, ModelsError> {
    let Rename { name, new_name, signed, statements, cause } = input;
    let model = find_model(tx, name).await?;
    models::touch(tx, model.model_id, cause.at_ms).await?;
    if models::find(tx, new_name).await?.is_some_and(|other| other.model_id != model.model_id) {
        let message = format!("Registered Model (name={new_name}) already exists.");
        return Err(ModelsError::ModelExists { message });
    }
    refuse_deployed(name, deployments::holding_model(tx, model.model_id).await?)?;
    let frozen = versions::frozen_of_model(tx, model.model_id).await?;
    if frozen.iter().map(|version| &version.uid).ne(signed.iter()) {
        return Ok(None);
    }
    models::rename(tx, model.model_id, new_name, cause.at_ms).await?;
    for (uid, referrer) in statements {
        provenance::store::insert(tx, uid, referrer, cause.at_ms).await?;
    }
    let event = cause.event("registered_model.renamed", new_name.clone()).change(Some(name), Some(new_name));
    audit::record(tx, &event).await?;
    find_model(tx, new_name).await.map(Some)
}

fn refuse_deployed(subject: &str, mut environments: Vec<String>) -> Result<(), ModelsError> {
    environments.dedup();
    if environments.is_empty() {
        return Ok(());
    }
    Err(ModelsError::Deployed { subject: subject.to_owned(), environments: environments.join(", ") })
}

/// Deletes a model with all its versions. What was recorded about them stays.
pub async fn delete_model(app: &App, cause: Cause, name: &str) -> Result<(), ModelsError> {
    check_model_name(name)?;
    let input = (name.to_owned(), cause);
    app.db
        .write(input, |tx, (name, cause)| {
            Box::pin(async move {
                let model = find_model(tx, name).await?;
                // Holds the model: no promotion comes between the check and the deletion.
                models::touch(tx, model.model_id, cause.at_ms).await?;
                refuse_deployed(name, deployments::holding_model(tx, model.model_id).await?)?;
                models::delete(tx, model.model_id, cause.at_ms).await?;
                Ok(audit::record(tx, &cause.event("registered_model.deleted", name.clone())).await?)
            })
        })
        .await
}

pub async fn describe_version(
    app: &App,
    cause: Cause,
    name: &str,
    version: i64,
    description: Option<String>,
) -> Result<Version, ModelsError> {
    check_model_name(name)?;
    check_description(description.as_deref())?;
    let input = (name.to_owned(), version, description, cause);
    app.db
        .write(input, |tx, (name, version, description, cause)| {
            Box::pin(async move {
                let found = find_version(tx, name, *version).await?;
                versions::set_description(tx, found.version_id, description.clone(), cause.at_ms).await?;
                audit::record(tx, &cause.event("model_version.described", found.subject())).await?;
                find_version(tx, name, *version).await
            })
        })
        .await
}

/// Deletes a version and its aliases. One that an environment desires or serves stays.
pub async fn delete_version(app: &App, cause: Cause, name: &str, version: i64) -> Result<(), ModelsError> {
    check_model_name(name)?;
    let input = (name.to_owned(), version, cause);
    app.db
        .write(input, |tx, (name, version, cause)| {
            Box::pin(async move {
                let model = find_model(tx, name).await?;
                models::touch(tx, model.model_id, cause.at_ms).await?;
                let found = find_version(tx, name, *version).await?;
                refuse_deployed(&found.subject(), deployments::holding_version(tx, &found.uid).await?)?;
                aliases::delete_of_version(tx, found.model_id, found.version).await?;
                versions::delete(tx, found.version_id, cause.at_ms).await?;
                Ok(audit::record(tx, &cause.event("model_version.deleted", found.subject())).await?)
            })
        })
        .await
}

/// Points an alias to a version, wherever it pointed before.
pub async fn set_alias(
    app: &App,
    cause: Cause,
    name: &str,
    alias: &str,
    version: i64,
) -> Result<(), ModelsError> {
    check_model_name(name)?;
    check_new_alias(alias)?;
    let input = (name.to_owned(), alias.to_owned(), version, cause, Arc::clone(&app.ids));
    app.db
        .write(input, |tx, (name, alias, version, cause, ids)| {
            Box::pin(async move {
                let found = find_version(tx, name, *version).await?;
                let before = aliases::find(tx, found.model_id, alias).await?;
                if before.is_none() && aliases::count(tx, found.model_id).await? >= ALIASES_MAX {
                    let what = name.clone();
                    return Err(ModelsError::TooMany { what, limit: ALIASES_MAX, items: "aliases" });
                }
                aliases::set(tx, found.model_id, alias, *version).await?;
                let before = before.map(|number| format!("{name}@{number}"));
                let event = cause
                    .event("alias.set", format!("{name}@alias:{alias}"))
                    .change(before.as_deref(), Some(&found.subject()));
                audit::record(tx, &event).await?;
                let model = find_model(tx, name).await?;
                announce::alias(tx, ids.as_ref(), cause.at_ms, &model, alias, Some(*version)).await
            })
        })
        .await?;
    app.webhooks.wake();
    Ok(())
}

/// Removes an alias; removing one that is not there is no error, as in MLflow.
pub async fn delete_alias(app: &App, cause: Cause, name: &str, alias: &str) -> Result<(), ModelsError> {
    check_model_name(name)?;
    check_alias(alias)?;
    let input = (name.to_owned(), alias.to_owned(), cause, Arc::clone(&app.ids));
    app.db
        .write(input, |tx, (name, alias, cause, ids)| {
            Box::pin(async move {
                let model = find_model(tx, name).await?;
                if aliases::delete(tx, model.model_id, alias).await? == 0 {
                    return Ok(());
                }
                let event = cause.event("alias.deleted", format!("{name}@alias:{alias}"));
                audit::record(tx, &event).await?;
                announce::alias(tx, ids.as_ref(), cause.at_ms, &model, alias, None).await
            })
        })
        .await?;
    app.webhooks.wake();
    Ok(())
}

/// What a tag is on.
#[derive(Debug, Clone)]
pub enum Tagged {
    Model(String),
    Version(String, i64),
}

impl Tagged {
    async fn find(&self, tx: &mut Conn) -> Result<(Owner, i64, String), ModelsError> {
        Ok(match self {
            Self::Model(name) => (Owner::Model, find_model(tx, name).await?.model_id, name.clone()),
            Self::Version(name, version) => {
                let found = find_version(tx, name, *version).await?;
                (Owner::Version, found.version_id, found.subject())
            }
        })
    }

    fn check(&self) -> Result<(), ModelsError> {
        match self {
            Self::Model(name) | Self::Version(name, _) => check_model_name(name),
        }
    }
}

pub async fn set_tag(app: &App, cause: Cause, on: Tagged, key: &str, value: &str) -> Result<(), ModelsError> {
    on.check()?;
    check_tag(key, value)?;
    let input = (on, key.to_owned(), value.to_owned(), cause, Arc::clone(&app.ids));
    app.db
        .write(input, |tx, (on, key, value, cause, ids)| {
            Box::pin(async move {
                let (owner, id, subject) = on.find(tx).await?;
                if tags::count(tx, owner, id).await? >= TAGS_MAX {
                    return Err(ModelsError::TooMany { what: subject, limit: TAGS_MAX, items: "tags" });
                }
                tags::set(tx, owner, id, &Tags::from([(key.clone(), value.clone())])).await?;
                audit::record(tx, &cause.event("tag.set", subject).change(None, Some(key))).await?;
                announce::tag(tx, ids.as_ref(), cause.at_ms, on, key, Some(value)).await
            })
        })
        .await?;
    app.webhooks.wake();
    Ok(())
}

/// Removes a tag; removing one that is not there is no error, as in MLflow.
pub async fn delete_tag(app: &App, cause: Cause, on: Tagged, key: &str) -> Result<(), ModelsError> {
    on.check()?;
    check_tag_key(key)?;
    let input = (on, key.to_owned(), cause, Arc::clone(&app.ids));
    app.db
        .write(input, |tx, (on, key, cause, ids)| {
            Box::pin(async move {
                let (owner, id, subject) = on.find(tx).await?;
                if tags::delete(tx, owner, id, key).await? == 0 {
                    return Ok(());
                }
                audit::record(tx, &cause.event("tag.deleted", subject).change(Some(key), None)).await?;
                announce::tag(tx, ids.as_ref(), cause.at_ms, on, key, None).await
            })
        })
        .await?;
    app.webhooks.wake();
    Ok(())
}
