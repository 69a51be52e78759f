//! What really served, and what was asked for.

use super::{PromotionError, store};
use crate::{
    app::App,
    deployments::{check_environment, store::serving},
    models::{ModelsError, store::models},
};
use waybill_client::api::History;

/// Newest entries told of each kind.
const ENTRIES_MAX: i64 = 1_000;

/// The history of a model in one environment, or in all.
pub async fn history(app: &App, name: &str, environment: Option<&str>) -> Result<History, PromotionError> {
    environment.map_or(Ok(()), check_environment)?;
    let mut conn = app.db.snapshot().await?;
    let model = models::find(&mut conn, name).await?.ok_or_else(|| ModelsError::model_not_found(name))?;
    Ok(History {
        serving: serving::of_model(&mut conn, model.model_id, environment, ENTRIES_MAX).await?,
        promotions: store::of_model(&mut conn, model.model_id, environment, ENTRIES_MAX).await?,
    })
}
