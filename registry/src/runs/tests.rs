//! What concurrent clients may rely on, and limits, on both engines.

use super::{
    Dataset, DatasetInput, inputs,
    lifecycle::{self, StartRun},
    store,
};
use crate::error::Failure as _;
use crate::{
    models::{Content, Registering, register},
    testing::{TestRegistry, cause, each_registry},
};

async fn started(registry: &TestRegistry) -> String {
    let start =
        StartRun { experiment_id: 0, user_id: "ann".into(), start_time_ms: 1, name: None, tags: Vec::new() };
    lifecycle::start(registry.app(), start).await.unwrap().run.run_id
}

#[tokio::test]
async fn models_logged_at_once_are_all_in_the_history() {
    each_registry(|registry| async move {
        let app = registry.app();
        let run_id = started(&registry).await;
        let log = |n: u32| inputs::log_model_history(app, run_id.clone(), serde_json::json!({ "n": n }));
        for outcome in futures::future::join_all((0..12).map(log)).await {
            outcome.unwrap();
        }
        let tags = store::tags(&mut app.db.read().await.unwrap(), &run_id).await.unwrap();
        let history = tags.into_iter().find(|tag| tag.key == "mlflow.log-model.history").unwrap().value;
        let history: Vec<serde_json::Value> = serde_json::from_str(&history).unwrap();
        assert_eq!(history.len(), 12);
    })
    .await;
}

#[tokio::test]
async fn a_version_that_nobody_could_verify_is_refused() {
    each_registry(|registry| async move {
        let app = registry.app();
        let run_id = started(&registry).await;
        registry.put(&[(&format!("0/{run_id}/artifacts/model/MLmodel"), "text")]).await;
        let dataset = Dataset {
            name: "large".into(),
            digest: "d".into(),
            source_type: "local".into(),
            source: "s".into(),
            schema: None,
            profile: Some("p".repeat(16_777_215)),
        };
        let input = DatasetInput { dataset, tags: Vec::new() };
        inputs::log_inputs(app, run_id.clone(), vec![input], Vec::new()).await.unwrap();
        let from = Content::Source(format!("runs:/{run_id}/model"));
        let asked = Registering { name: "iris".into(), from, make_model: true, ..Registering::default() };
        let refused = register(app, cause(), asked).await.unwrap_err();
        assert_eq!(refused.code(), "DOCUMENT_TOO_LARGE");
        assert!(refused.to_string().contains(".json"), "{refused}");
    })
    .await;
}
