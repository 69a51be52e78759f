//! `GET mlflow/server-info`: what the server offers, asked by clients before anything else.

use super::mount_v3;
use crate::{access::Principal, app::App};
use axum::{Json, Router, routing::get};
use serde::Serialize;

pub fn router() -> Router<App> {
    mount_v3("/mlflow/server-info", get(server_info))
}

/// MLflow's fields (mlflow/utils/server_info.py).
#[derive(Debug, Serialize)]
struct ServerInfo {
    /// Clients only tell apart a store of files, which cannot do all that they offer.
    store_type: &'static str,
    workspaces_enabled: bool,
    trace_archival_enabled: bool,
    multipart_uploads_enabled: bool,
    multipart_downloads_enabled: bool,
    presigned_upload_run_id_supported: bool,
    presigned_upload_model_id_supported: bool,
    features_enabled: Features,
}

#[derive(Debug, Serialize)]
struct Features {
    gateway: bool,
}

async fn server_info(_: Principal) -> Json<ServerInfo> {
    Json(ServerInfo {
        store_type: "SqlStore",
        workspaces_enabled: false,
        trace_archival_enabled: false,
        multipart_uploads_enabled: false,
        multipart_downloads_enabled: false,
        presigned_upload_run_id_supported: false,
        presigned_upload_model_id_supported: false,
        features_enabled: Features { gateway: false },
    })
}
