//! What every request passes: guard, observation, error shape.

mod etag;
mod extract;
mod guard;
mod observe;
mod problem;

pub use etag::names_etag;
pub use extract::{ApiPath, ApiQuery, IdempotencyKey, next_page, number, page};
pub use guard::HostGuard;
pub use observe::{Metrics, RequestId};
pub use problem::{ApiError, ApiJson};

use crate::app::App;
use axum::{Router, middleware};

/// Wraps the whole service: outermost first, a request id and a log line, then the guard.
pub fn wrap(router: Router, app: &App) -> Router {
    let guard = HostGuard::new(app.config.listen, &app.config.allowed_hosts);
    router
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::from_fn_with_state(app.metrics.clone(), observe::observe))
}
