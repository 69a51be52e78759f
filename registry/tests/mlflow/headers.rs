//! What every answer says beside its body.

use super::support::each_server;
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};

#[tokio::test]
async fn no_browser_is_to_guess_what_an_answer_is() {
    each_server(|server| async move {
        for (path, host, status) in [
            ("/health", "localhost", StatusCode::OK),
            ("/", "localhost", StatusCode::OK),
            ("/api/2.0/mlflow/experiments/get?experiment_id=0", "localhost", StatusCode::OK),
            ("/api/2.0/mlflow-artifacts/artifacts", "localhost", StatusCode::OK),
            ("/api/2.0/mlflow/runs/get?run_id=none", "localhost", StatusCode::NOT_FOUND),
            ("/api/2.0/mlflow/nothing", "localhost", StatusCode::NOT_FOUND),
            ("/api/v1/versions/none/files/x", "localhost", StatusCode::NOT_FOUND),
            ("/health", "elsewhere.example", StatusCode::FORBIDDEN),
        ] {
            let request = Request::get(path).header(header::HOST, host).body(Body::empty()).unwrap();
            let answer = server.answer(request).await;
            assert_eq!(answer.status(), status, "{path} of {host}");
            assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path} of {host}");
        }
        server
    })
    .await;
}
