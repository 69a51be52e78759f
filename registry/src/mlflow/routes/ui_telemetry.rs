//! `mlflow/ui-telemetry`: MLflow's pages ask whether to report how they are used. They need not.

use super::mount_v3;
use crate::{access::Principal, app::App};
use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

pub fn router() -> Router<App> {
    mount_v3("/mlflow/ui-telemetry", get(settings).post(refuse))
}

/// What MLflow answers where telemetry is off.
async fn settings(_: Principal) -> Json<Value> {
    Json(json!({ "disable_ui_telemetry": true, "disable_ui_events": [], "ui_rollout_percentage": 0 }))
}

async fn refuse(_: Principal) -> Json<Value> {
    Json(json!({ "status": "disabled" }))
}
