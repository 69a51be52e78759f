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
use axum::{
    Router,
    http::{HeaderValue, header::X_CONTENT_TYPE_OPTIONS},
    middleware,
};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};

/// Wraps the whole service: outermost first, a request id and a log line, then that no browser guesses
/// what an answer is, then the guard.
pub fn wrap(router: Router, app: &App) -> Router {
    let guard = HostGuard::new(app.config.listen, &app.config.allowed_hosts);
    router
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(SetResponseHeaderLayer::overriding(
            X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(middleware::from_fn_with_state(app.metrics.clone(), observe::observe))
}
