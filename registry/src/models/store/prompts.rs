//! Which models are prompts. MLflow tells by a tag, of the model or of any of its versions; searches
//! ask each row, so the answer is kept there.

use super::tags::Owner;
use crate::db::{Conn, DbError};

/// Brings the marks in step after the tag of a model or a version was set or removed.
pub(super) async fn mark(tx: &mut Conn, owner: Owner, id: i64) -> Result<(), DbError> {
    match owner {
        Owner::Model => {
            tx.query(
                "UPDATE registered_models SET is_prompt = EXISTS (
                     SELECT 1 FROM registered_model_tags t WHERE t.model_id = $1
                         AND t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true')
                 WHERE model_id = $1",
            )
            .bind(id)
            .execute()
            .await?;
        }
        Owner::Version => {
            let changed: Option<(i64, bool)> = tx
                .query(
                    "UPDATE registered_models SET has_prompts = NOT has_prompts
                     WHERE model_id = (SELECT model_id FROM model_versions WHERE version_id = $1)
                         AND has_prompts <> EXISTS (
                             SELECT 1 FROM model_versions v JOIN model_version_tags t
                                 ON t.version_id = v.version_id AND t.key = 'mlflow.prompt.is_prompt'
                             WHERE v.model_id = registered_models.model_id AND t.value = 'true')
                     RETURNING model_id, has_prompts",
                )
                .bind(id)
                .optional()
                .await?;
            if let Some((model_id, has_prompts)) = changed {
                tx.query("UPDATE model_versions SET is_prompt = $2 WHERE model_id = $1")
                    .bind(model_id)
                    .bind(has_prompts)
                    .execute()
                    .await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        models::{
            IS_PROMPT_TAG, Tagged, Tags, create_model, delete_tag, search_models, search_versions, set_tag,
        },
        search::Query,
        testing::{TestRegistry, cause, each_registry},
    };

    async fn found(registry: &TestRegistry) -> (usize, usize) {
        let app = registry.app();
        let models = search_models(app, Query::default(), None, 10).await.unwrap().rows.len();
        let versions = search_versions(app, Query::default(), None, 10).await.unwrap().rows.len();
        (models, versions)
    }

    #[tokio::test]
    async fn the_marks_follow_the_tags() {
        each_registry(|registry| async move {
            let app = registry.app();
            registry.pointer("a").await;
            registry.pointer("a").await;
            let prompt = Tags::from([(IS_PROMPT_TAG.to_owned(), "true".to_owned())]);
            create_model(app, cause(), "b", None, prompt).await.unwrap();
            assert_eq!(found(&registry).await, (1, 2), "b is a prompt from the start");
            let (model, version) = (|| Tagged::Model("b".to_owned()), || Tagged::Version("a".to_owned(), 1));
            set_tag(app, cause(), version(), IS_PROMPT_TAG, "true").await.unwrap();
            assert_eq!(found(&registry).await, (1, 0), "one version makes all prompts");
            registry.pointer("a").await;
            assert_eq!(found(&registry).await, (1, 0), "later ones too");
            delete_tag(app, cause(), model(), IS_PROMPT_TAG).await.unwrap();
            set_tag(app, cause(), version(), IS_PROMPT_TAG, "false").await.unwrap();
            assert_eq!(found(&registry).await, (2, 3));
            set_tag(app, cause(), model(), IS_PROMPT_TAG, "TRUE").await.unwrap();
            assert_eq!(found(&registry).await, (2, 3), "MLflow's searches know one spelling");
        })
        .await;
    }
}
