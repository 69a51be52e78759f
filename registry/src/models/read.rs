//! Models and versions as callers see them.

use super::{
    IS_PROMPT_TAG, Model, ModelsError, Tags, Version, check_alias, check_model_name,
    manage::{find_model, find_version},
    stage,
    store::{
        self, aliases, models,
        tags::{self, Owner},
        versions,
    },
};
use crate::{
    app::App,
    db::Conn,
    search::{Condition, Field, Op, Operand, Page, Position, Query},
};
use std::collections::HashMap;
use waybill_client::api::{self, Alias, Custody, Reference, Selector, Stage};

/// A model with what MLflow shows beside it.
#[derive(Debug, Clone)]
pub struct ModelDetails {
    pub model: Model,
    pub tags: Tags,
    pub aliases: Vec<Alias>,
    /// The highest version of each stage that MLflow knows.
    pub latest: Vec<VersionDetails>,
}

/// A version with its tags and aliases.
#[derive(Debug, Clone)]
pub struct VersionDetails {
    pub version: Version,
    pub tags: Tags,
    pub aliases: Vec<String>,
}

/// A model by name.
pub async fn model(app: &App, name: &str) -> Result<ModelDetails, ModelsError> {
    check_model_name(name)?;
    let mut conn = app.db.snapshot().await?;
    let model = find_model(&mut conn, name).await?;
    let details = with_details(&mut conn, vec![model]).await?.pop();
    details.ok_or_else(|| ModelsError::model_not_found(name))
}

/// Completes a page of models.
pub async fn with_details(conn: &mut Conn, page: Vec<Model>) -> Result<Vec<ModelDetails>, ModelsError> {
    let ids: Vec<i64> = page.iter().map(|model| model.model_id).collect();
    let mut tags = tags::of(conn, Owner::Model, &ids).await?;
    let mut aliases = aliases::of_models(conn, &ids).await?;
    let mut latest: HashMap<i64, Vec<VersionDetails>> = HashMap::new();
    let highest = highest_shown(versions::latest_per_stage(conn, &ids).await?);
    for details in with_tags(conn, highest).await? {
        latest.entry(details.version.model_id).or_default().push(details);
    }
    Ok(page
        .into_iter()
        .map(|model| ModelDetails {
            tags: tags.remove(&model.model_id).unwrap_or_default(),
            aliases: aliases.remove(&model.model_id).unwrap_or_default(),
            latest: latest.remove(&model.model_id).unwrap_or_default(),
            model,
        })
        .collect())
}

/// Of each model and stage as MLflow shows it (`test` is `None` there) the highest version.
fn highest_shown(versions: Vec<Version>) -> Vec<Version> {
    let mut highest: Vec<Version> = Vec::new();
    for version in versions {
        let same = |other: &Version| {
            other.model_id == version.model_id
                && stage::mlflow_name(other.stage) == stage::mlflow_name(version.stage)
        };
        match highest.iter_mut().find(|other| same(other)) {
            Some(other) if other.version < version.version => *other = version,
            Some(_) => {}
            None => highest.push(version),
        }
    }
    highest
}

/// Completes versions.
pub async fn with_tags(conn: &mut Conn, page: Vec<Version>) -> Result<Vec<VersionDetails>, ModelsError> {
    let ids: Vec<i64> = page.iter().map(|version| version.version_id).collect();
    let mut model_ids: Vec<i64> = page.iter().map(|version| version.model_id).collect();
    model_ids.sort_unstable();
    model_ids.dedup();
    let mut tags = tags::of(conn, Owner::Version, &ids).await?;
    let aliases = aliases::of_models(conn, &model_ids).await?;
    let of = |version: &Version| -> Vec<String> {
        let all = aliases.get(&version.model_id).into_iter().flatten();
        all.filter(|alias| alias.version == version.version).map(|alias| alias.alias.clone()).collect()
    };
    Ok(page
        .into_iter()
        .map(|version| VersionDetails {
            tags: tags.remove(&version.version_id).unwrap_or_default(),
            aliases: of(&version),
            version,
        })
        .collect())
}

async fn one(conn: &mut Conn, version: Version) -> Result<VersionDetails, ModelsError> {
    let uid = version.uid.clone();
    with_tags(conn, vec![version]).await?.pop().ok_or(ModelsError::UidNotFound { uid })
}

/// A live version by number.
pub async fn version(app: &App, name: &str, number: i64) -> Result<VersionDetails, ModelsError> {
    check_model_name(name)?;
    let mut conn = app.db.snapshot().await?;
    let version = find_version(&mut conn, name, number).await?;
    one(&mut conn, version).await
}

/// A version by uid, deleted or not: evidence outlives names.
pub async fn version_by_uid(app: &App, uid: &str) -> Result<VersionDetails, ModelsError> {
    let mut conn = app.db.snapshot().await?;
    let found = versions::find_by_uid(&mut conn, uid).await?;
    let not_found = || ModelsError::UidNotFound { uid: uid.chars().take(100).collect() };
    one(&mut conn, found.ok_or_else(not_found)?).await
}

/// The version that an alias points to; `latest` is the highest.
pub async fn version_by_alias(app: &App, name: &str, alias: &str) -> Result<VersionDetails, ModelsError> {
    check_model_name(name)?;
    check_alias(alias)?;
    let mut conn = app.db.snapshot().await?;
    let model = find_model(&mut conn, name).await?;
    let version = if alias.eq_ignore_ascii_case("latest") {
        let newest = versions::page(&mut conn, model.model_id, i64::MAX, 1).await?.pop();
        newest.ok_or_else(|| ModelsError::ReferenceNotFound {
            reference: alias.to_owned(),
            name: name.to_owned(),
            expected: "a model with at least one version".to_owned(),
        })?
    } else {
        let number = aliases::find(&mut conn, model.model_id, alias).await?;
        let number = number.ok_or_else(|| ModelsError::AliasNotFound { alias: alias.to_owned() })?;
        find_version(&mut conn, name, number).await?
    };
    one(&mut conn, version).await
}

/// The highest version in each of the asked stages; in all of them when none is asked.
pub async fn latest_versions(
    app: &App,
    name: &str,
    stages: &[Stage],
) -> Result<Vec<VersionDetails>, ModelsError> {
    let shown: Vec<&str> = stages.iter().map(|stage| stage::mlflow_name(*stage)).collect();
    let mut latest = model(app, name).await?.latest;
    latest.retain(|details| shown.is_empty() || shown.contains(&stage::mlflow_name(details.version.stage)));
    Ok(latest)
}

/// A page of models that meet `query`, and where the next one begins.
pub async fn search_models(
    app: &App,
    mut query: Query,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<ModelDetails>, ModelsError> {
    let prompts = take_prompts(&mut query);
    let mut conn = app.db.search_snapshot().await?;
    let page = store::search::models(&mut conn, &query, prompts, position, limit).await?;
    Ok(Page { rows: with_details(&mut conn, page.rows).await?, next: page.next })
}

/// A page of versions that meet `query`, and where the next one begins.
pub async fn search_versions(
    app: &App,
    mut query: Query,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<VersionDetails>, ModelsError> {
    let prompts = take_prompts(&mut query);
    let mut conn = app.db.search_snapshot().await?;
    let page = store::search::versions(&mut conn, &query, prompts, position, limit).await?;
    Ok(Page { rows: with_tags(&mut conn, page.rows).await?, next: page.next })
}

/// Whether the query asks for prompts, which the first condition on the prompt tag decides. Where
/// it does not, such conditions go: models do not have the tag, so they would match none.
fn take_prompts(query: &mut Query) -> bool {
    let about = |condition: &Condition| matches!(&condition.field, Field::Tag(key) if key == IS_PROMPT_TAG);
    let prompts = query.conditions.iter().find(|c| about(c)).is_some_and(|condition| {
        match (&condition.operand, condition.op) {
            (Operand::Text(text), Op::Eq) => text.eq_ignore_ascii_case("true"),
            (Operand::Text(text), Op::Ne) => text.eq_ignore_ascii_case("false"),
            _ => false,
        }
    });
    if !prompts {
        query.conditions.retain(|condition| !about(condition));
    }
    prompts
}

/// Where MLflow's client loads a version from: a frozen one from its own read-only tree.
pub async fn download_uri(app: &App, name: &str, number: i64) -> Result<String, ModelsError> {
    let version = version(app, name, number).await?.version;
    Ok(match version.custody {
        Custody::Frozen => format!("mlflow-artifacts:/{}/{}", crate::artifacts::VERSIONS, version.uid),
        // Checked when it was written; checked again, as rows may be older than the rules.
        Custody::Pointer => {
            super::source::read(&version.location, false)?;
            version.location
        }
        Custody::Prompt => version.location,
    })
}

/// A page of models by name, after the name `after`.
pub async fn models_page(
    app: &App,
    contains: Option<&str>,
    after: &str,
    limit: i64,
) -> Result<Vec<api::Model>, ModelsError> {
    let mut conn = app.db.snapshot().await?;
    let page = models::page(&mut conn, contains, after, limit).await?;
    let ids: Vec<i64> = page.iter().map(|model| model.model_id).collect();
    let mut aliases = aliases::of_models(&mut conn, &ids).await?;
    Ok(page
        .into_iter()
        .map(|model| {
            let aliases = aliases.remove(&model.model_id).unwrap_or_default();
            to_api_model(model, aliases)
        })
        .collect())
}

/// A page of a model's versions, newest first, numbered below `before`.
pub async fn versions_page(
    app: &App,
    name: &str,
    before: i64,
    limit: i64,
) -> Result<Vec<VersionDetails>, ModelsError> {
    let mut conn = app.db.snapshot().await?;
    let model = find_model(&mut conn, name).await?;
    let page = versions::page(&mut conn, model.model_id, before, limit).await?;
    with_tags(&mut conn, page).await
}

pub fn to_api_model(model: Model, aliases: Vec<Alias>) -> api::Model {
    api::Model {
        name: model.name,
        description: model.description.filter(|text| !text.is_empty()),
        created_at_ms: model.created_at_ms,
        updated_at_ms: model.updated_at_ms,
        last_version: model.last_version,
        aliases,
    }
}

impl From<VersionDetails> for api::ModelVersion {
    fn from(details: VersionDetails) -> Self {
        let version = details.version;
        Self {
            uid: version.uid,
            name: version.name,
            version: version.version,
            custody: version.custody,
            stage: version.stage,
            aliases: details.aliases,
            source: version.source,
            description: version.description.filter(|text| !text.is_empty()),
            run_id: version.run_id,
            model_id: version.logged_model_id,
            created_by: version.created_by,
            created_at_ms: version.created_at_ms,
            content: version.content,
        }
    }
}

/// The version that a reference names now.
pub async fn resolve(app: &App, reference: &str) -> Result<VersionDetails, ModelsError> {
    let parsed: Reference = reference.parse().map_err(|error: api::InvalidReference| {
        ModelsError::invalid("REFERENCE_INVALID", error.to_string())
    })?;
    let name = &parsed.name;
    let not_found = |expected: String| ModelsError::ReferenceNotFound {
        reference: reference.chars().take(300).collect(),
        name: name.clone(),
        expected,
    };
    let mut conn = app.db.snapshot().await?;
    let model = find_model(&mut conn, name).await?;
    let version = match parsed.selector {
        Selector::Version(number) => find_version(&mut conn, name, number).await?,
        Selector::Alias(alias) => {
            let found = by_alias(&mut conn, &model, &alias).await?;
            found.ok_or_else(|| not_found("no such alias".to_owned()))?
        }
        Selector::Stage(wanted) => {
            let found = versions::in_stage(&mut conn, model.model_id, wanted).await?.into_iter().next();
            found.ok_or_else(|| not_found(format!("no version has the stage {wanted}")))?
        }
        Selector::Digest(digest) => {
            let found = versions::by_manifest(&mut conn, model.model_id, digest).await?.into_iter().next();
            found.ok_or_else(|| not_found("no version has that manifest".to_owned()))?
        }
        Selector::Word(word) => {
            let alias = by_alias(&mut conn, &model, &word).await?;
            let staged = match word.parse::<Stage>() {
                Ok(wanted) => versions::in_stage(&mut conn, model.model_id, wanted).await?.into_iter().next(),
                Err(_) => None,
            };
            match (alias, staged) {
                (Some(alias), Some(staged)) if alias.uid != staged.uid => {
                    return Err(ModelsError::ReferenceAmbiguous {
                        reference: reference.chars().take(300).collect(),
                        choices: format!(
                            "alias:{word} is {} and stage:{word} is {}",
                            alias.subject(),
                            staged.subject()
                        ),
                    });
                }
                (Some(version), _) | (None, Some(version)) => version,
                (None, None) => {
                    return Err(not_found(format!(
                        "{word:?} is neither an alias nor a stage with a version"
                    )));
                }
            }
        }
    };
    one(&mut conn, version).await
}

async fn by_alias(conn: &mut Conn, model: &Model, alias: &str) -> Result<Option<Version>, ModelsError> {
    match aliases::find(conn, model.model_id, alias).await? {
        Some(number) => Ok(versions::find(conn, &model.name, number).await?),
        None => Ok(None),
    }
}
