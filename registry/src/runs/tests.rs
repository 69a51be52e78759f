//! What concurrent clients may rely on, and limits, on both engines.

use super::{
    Dataset, DatasetInput, KeyValue, LoggedMetric, Metric, RunsError,
    experiments::{self, NewExperiment},
    inputs,
    lifecycle::{self, StartRun},
    logging::{self, Batch},
    store,
};
use crate::error::Failure as _;
use crate::{
    models::{Content, Registering, register},
    testing::{TestRegistry, cause, each_registry},
};

fn asked() -> StartRun {
    StartRun { experiment_id: 0, user_id: "ann".into(), start_time_ms: 1, name: None, tags: Vec::new() }
}

async fn started(registry: &TestRegistry) -> String {
    lifecycle::start(registry.app(), asked()).await.unwrap().run.run_id
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

/// More than go into one statement, on either side of that number.
#[tokio::test]
async fn tags_and_params_of_any_count_are_kept_or_refused_together() {
    each_registry(|registry| async move {
        let app = registry.app();
        for count in [0, 1, 20, 21, 100] {
            let pairs = |value: &str| -> Vec<KeyValue> {
                (0..count).map(|i| KeyValue { key: format!("k{i:03}"), value: value.to_owned() }).collect()
            };
            let start = StartRun { tags: pairs("made"), name: Some("named".into()), ..asked() };
            let run_id = lifecycle::start(app, start).await.unwrap().run.run_id;
            let made = lifecycle::get(app, &run_id).await.unwrap().tags;
            assert_eq!(made.iter().filter(|tag| tag.value == "made").count(), count, "{made:?}");
            assert!(made.iter().any(|tag| tag.key == "mlflow.runName" && tag.value == "named"), "{made:?}");
            let batch = |value: &str, step: i64| Batch {
                run_id: run_id.clone(),
                metrics: vec![LoggedMetric {
                    metric: Metric { key: "m".into(), value: 0.5, timestamp_ms: 1, step },
                    model_id: None,
                    dataset_name: None,
                    dataset_digest: None,
                }],
                params: pairs(value),
                tags: pairs(value),
            };
            logging::batch(app, batch("first", 1)).await.unwrap();
            logging::batch(app, batch("first", 2)).await.unwrap();
            let changed = logging::batch(app, batch("other", 3)).await;
            assert_eq!(changed.is_err(), count > 0, "{count}");

            let kept = lifecycle::get(app, &run_id).await.unwrap();
            assert_eq!(kept.metrics[0].step, if count > 0 { 2 } else { 3 }, "{count}");
            assert_eq!(kept.params, pairs("first"));
            assert_eq!(kept.tags.len(), count + 1, "{count}, and the name");
            assert!(kept.tags.iter().all(|tag| tag.value == "first" || tag.value == "named"), "{count}");
        }
    })
    .await;
}

/// What was remembered of an experiment decides neither where a run's artifacts are nor whether it may be made.
#[tokio::test]
async fn a_run_starts_in_the_experiment_as_it_is() {
    each_registry(|registry| async move {
        let app = registry.app();
        let new = NewExperiment {
            name: "e".into(),
            artifact_location: Some("s3://b/p?x=1".into()),
            tags: Vec::new(),
        };
        let experiment_id = experiments::create(app, new).await.unwrap();
        let start = || StartRun { experiment_id, ..asked() };
        for remembered in [None, Some("s3://b/p?x=1"), Some("s3://other")] {
            if let Some(location) = remembered {
                app.known_locations.remember(experiment_id, location);
            }
            let run = lifecycle::start(app, start()).await.unwrap().run;
            assert_eq!(run.artifact_uri, format!("s3://b/p/{}/artifacts?x=1", run.run_id));
            assert_eq!(lifecycle::get(app, &run.run_id).await.unwrap().run, run);
            assert_eq!(app.known_locations.get(experiment_id).as_deref(), Some("s3://b/p?x=1"));
        }
        experiments::delete(app, experiment_id).await.unwrap();
        let refused = lifecycle::start(app, start()).await.unwrap_err();
        assert!(matches!(refused, RunsError::ExperimentDeleted(id) if id == experiment_id), "{refused}");
        experiments::restore(app, experiment_id).await.unwrap();
        lifecycle::start(app, start()).await.unwrap();
    })
    .await;
}

/// Of those that log other values of the same params at the same time one wins, and nothing of the others stays.
#[tokio::test]
async fn of_params_logged_at_once_one_value_stays() {
    each_registry(|registry| async move {
        let app = registry.app();
        for round in 0..10 {
            let run_id = started(&registry).await;
            let log = |value: String| {
                let pair = |key: &str| KeyValue { key: key.into(), value: value.clone() };
                let params = vec![pair("b"), pair("a")];
                logging::batch(
                    app,
                    Batch { run_id: run_id.clone(), params, tags: vec![pair("t")], ..Batch::default() },
                )
            };
            let outcomes = futures::future::join_all((0..4).map(|n| log(n.to_string()))).await;
            let won: Vec<usize> = (0..4).filter(|n| outcomes[*n].is_ok()).collect();
            assert_eq!(won.len(), 1, "round {round}: {outcomes:?}");
            let refused =
                |outcome: &Result<(), RunsError>| matches!(outcome, Err(RunsError::ParamsChanged { .. }));
            assert_eq!(outcomes.iter().filter(|outcome| refused(outcome)).count(), 3, "{outcomes:?}");
            let kept = lifecycle::get(app, &run_id).await.unwrap();
            let values = kept.params.iter().chain(kept.tags.iter().filter(|tag| tag.key == "t"));
            assert!(values.clone().count() == 3, "{kept:?}");
            assert!(values.into_iter().all(|pair| pair.value == won[0].to_string()), "{kept:?}");
        }
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
