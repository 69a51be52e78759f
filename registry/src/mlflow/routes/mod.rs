//! MLflow's routes, one file per group of endpoints.

use crate::app::App;
use axum::Router;

/// All of MLflow's paths. The same endpoints answer under `/api/2.0`, `/api/3.0` and `/ajax-api/…`.
pub fn router() -> Router<App> {
    Router::new()
}
