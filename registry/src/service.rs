//! The registry as a service: opened from a configuration, served as one router.

use crate::{
    app::{App, AppState},
    artifacts::{self, ContentStore},
    audit::Cause,
    clock::SystemClock,
    config::Config,
    db::{self, Db},
    deployments::Signals,
    http::{self, Metrics},
    identity::{self, IdentityError},
    ids::RandomIds,
    mlflow, native,
    provenance::{self, ProvenanceError},
    runs, ui,
    webhooks::{self, SystemNet, Webhooks},
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::{sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;
use waybill_proof::keys::{FileKey, KeyError};

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot make the data directory {path}: {source}")]
    DataDir { path: String, source: std::io::Error },
    #[error(transparent)]
    Database(#[from] db::OpenError),
    #[error(transparent)]
    Content(#[from] artifacts::OpenError),
    #[error("cannot prepare the database: {0}")]
    Prepare(#[from] runs::RunsError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Ui(#[from] ui::NoUi),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("cannot bring the registry's records up to date: {0}")]
    Records(#[from] ProvenanceError),
}

/// A running registry.
pub struct Registry {
    app: App,
    duties: TaskTracker,
}

/// Who reads the metrics of a server in trouble should not wait for its database.
const MEASURE_TIMEOUT: Duration = Duration::from_secs(1);
/// Longer than any duty takes to end.
const DUTIES_TIMEOUT: Duration = Duration::from_secs(10);

impl Registry {
    /// Opens database, artifacts and key; makes what is new.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|source| OpenError::DataDir { path: config.data_dir.display().to_string(), source })?;
        let db = Db::open(&config.database_url()).await?;
        let opened = Self::assemble(config, db.clone()).await;
        if opened.is_err() {
            // A journal left beside the file would be applied to the one that is put in its place.
            db.close().await;
        }
        opened
    }

    async fn assemble(config: Config, db: Db) -> Result<Self, OpenError> {
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        let location = config.artifacts_location().map_err(artifacts::OpenError::from)?;
        let content = ContentStore::open(location, db.clone(), clock.clone(), ids.clone()).await?;
        let registry_id = identity::settle(&db, &content).await?;
        identity::require_key(&db, &config.key_path()).await?;
        let ui = ui::Ui::open(config.mlflow_ui.clone())?;
        let signer = Arc::new(FileKey::load_or_generate(&config.key_path())?);
        let private_key = signer.private_key_pem().map_err(KeyError::from)?;
        let webhooks = Webhooks::new(&config.webhooks, private_key.as_bytes(), Arc::new(SystemNet));
        let metrics = Metrics::new(db.writer_metrics());
        let app = App::new(AppState {
            registry_id,
            config,
            db,
            content,
            clock,
            ids,
            metrics,
            signer,
            signals: Signals::default(),
            ui,
            webhooks: Arc::new(webhooks),
            known_locations: runs::KnownLocations::default(),
        });
        runs::prepare(&app).await?;
        let cause =
            Cause { at_ms: app.clock.now_ms(), actor: "registry".to_owned(), reason: None, request_id: None };
        provenance::keys::remember_own(&app, cause).await?;
        provenance::catch_up(&app);
        artifacts::multipart::sweep(&app.content);
        Ok(Self { app, duties: TaskTracker::new() })
    }

    /// Begins what goes on in the background: delivering webhooks, and what searches are planned by.
    pub fn start_duties(&self) {
        self.duties.spawn(webhooks::run(self.app.clone()));
        let app = self.app.clone();
        self.duties.spawn(async move { app.db.keep_statistics(app.signals.closed()).await });
    }

    /// The complete service: MLflow's surface and pages, the native API, health and metrics.
    pub fn router(&self) -> Router {
        let router = Router::new()
            .route("/health", get(|| async { "OK" }))
            .route("/ready", get(ready))
            .route("/version", get(version))
            .route("/metrics", get(metrics))
            .merge(mlflow::routes::router())
            .merge(native::routes())
            .merge(ui::routes::router())
            .with_state(self.app.clone());
        http::wrap(router, &self.app)
    }

    #[cfg(test)]
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// The native API's OpenAPI description, as YAML.
    pub fn openapi() -> String {
        native::openapi()
    }

    /// The same as JSON.
    pub fn openapi_json() -> String {
        native::openapi_json()
    }

    /// Ends duties, and long polls and followed logs, which would keep their connections open for
    /// ever. Call it when the server stops to accept.
    pub fn drain(&self) {
        self.app.signals.close();
    }

    /// Lets duties and running writes end, then closes the database.
    pub async fn close(&self) {
        self.drain();
        self.duties.close();
        if tokio::time::timeout(DUTIES_TIMEOUT, self.duties.wait()).await.is_err() {
            tracing::warn!("background duties were cut off");
        }
        self.app.db.close().await;
    }
}

async fn ready(State(app): State<App>) -> Response {
    let answer = async { app.db.read().await?.ping().await };
    match answer.await {
        Ok(()) => "OK".into_response(),
        Err(error) => {
            tracing::error!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer").into_response()
        }
    }
}

/// MLflow's version, by which its clients tell what they may ask, and ours, as Python's packages write
/// a version of one's own.
async fn version() -> String {
    format!("{}+waybill.{}", mlflow::MLFLOW_VERSION, env!("CARGO_PKG_VERSION"))
}

async fn metrics(State(app): State<App>) -> Response {
    // While the database is away, the queue's figures stay as they were.
    if let Ok(Err(error)) = tokio::time::timeout(MEASURE_TIMEOUT, webhooks::measure(&app)).await {
        tracing::debug!(%error, "the webhooks' queue was not measured");
    }
    match app.metrics.encode() {
        Ok(text) => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
