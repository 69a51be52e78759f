//! Models that clients log, with or without a run: made pending, filled, finalised.

mod error;
mod rules;
pub mod store;
mod types;

pub use error::LoggedModelsError;
pub use rules::{NewModel, create, delete, delete_tag, finalize, get, log_params, search, set_tags};
pub use types::{LoggedModel, ModelMetric, Status};

use crate::{
    db::Conn,
    runs::{LoggedMetric, Run, RunsError},
};

/// Notes those of a run's metrics that name a logged model, in the transaction that logs them.
pub async fn log_metrics(tx: &mut Conn, run: &Run, metrics: &[LoggedMetric]) -> Result<(), RunsError> {
    let mut mids = std::collections::BTreeMap::new();
    for model_id in metrics.iter().filter_map(|logged| logged.model_id.as_deref()) {
        if !mids.contains_key(model_id) {
            let mid = store::mid(tx, model_id).await?;
            mids.insert(model_id, mid.ok_or_else(|| RunsError::NoModel(model_id.to_owned()))?);
        }
    }
    if mids.is_empty() {
        return Ok(());
    }
    let rows: Vec<(i64, &LoggedMetric)> =
        metrics.iter().filter_map(|logged| Some((*mids.get(logged.model_id.as_deref()?)?, logged))).collect();
    Ok(store::log_metrics(tx, run, &rows).await?)
}
