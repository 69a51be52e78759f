//! Stages, what environments desire, and the way back, on both engines.

use super::{Others, PromotionError, Transition, history, promote, rollback};
use crate::{
    deployments::{self, acquire_lease, report_rollout, report_stopped},
    error::Failure as _,
    idempotency::Once,
    models::{ModelsError, delete_version, latest_versions, version},
    testing::{TestRegistry, cause, each_registry},
};
use serde_json::json;
use waybill_client::api::{
    AcquireLease, CreateRollback, Lease, Promotion, PromotionKind, ReportRollout, ReportStopped, Revision,
    Rollout, RolloutPhase, Stage,
};
use waybill_proof::Digest;

const PRODUCTION: &str = "production";

async fn move_to(registry: &TestRegistry, number: i64, to: Stage, others: Others) -> Promotion {
    let asked = Transition { name: "iris".into(), version: number, to, others, once: None };
    promote(registry.app(), cause(), asked).await.unwrap()
}

async fn to_production(registry: &TestRegistry, number: i64) -> Promotion {
    move_to(registry, number, Stage::Production, Others::Yield).await
}

async fn lease(registry: &TestRegistry) -> Lease {
    let request = AcquireLease { holder: "tester".into(), ttl_ms: 60_000 };
    acquire_lease(registry.app(), PRODUCTION, request).await.unwrap()
}

pub fn report(fence: i64, phase: RolloutPhase, revision_id: &str) -> ReportRollout {
    ReportRollout {
        fence,
        phase,
        reason_code: (phase == RolloutPhase::Failed).then(|| "HEALTH_CHECK_FAILED".to_owned()),
        message: None,
        revision: Some(Revision {
            revision_id: revision_id.to_owned(),
            manifest_digest: Digest::of(b"m"),
            lock_digest: Digest::of(b"l"),
            runtime: "mlflow-pyfunc".into(),
            image_digest: "sha256:0".into(),
            spec_hash: Digest::of(b"s"),
            image_reused: true,
            lock_reused: true,
        }),
        switched_at_ms: None,
    }
}

/// The deployer's part: the promotion's rollout ends as `phase`.
async fn rolls_out(registry: &TestRegistry, promotion: &Promotion, phase: RolloutPhase) -> Rollout {
    let fence = lease(registry).await.fence;
    let rollout_id = promotion.rollout_id.as_deref().unwrap();
    report_rollout(registry.app(), cause(), rollout_id, report(fence, phase, rollout_id)).await.unwrap()
}

async fn serves(registry: &TestRegistry, number: i64) {
    let promotion = to_production(registry, number).await;
    rolls_out(registry, &promotion, RolloutPhase::Succeeded).await;
}

async fn back(registry: &TestRegistry, to_version: Option<i64>) -> Result<Promotion, PromotionError> {
    let request =
        CreateRollback { environment: PRODUCTION.into(), to_version, reason: Some("it lies".into()) };
    rollback(registry.app(), cause(), "iris", request, None).await
}

/// Desired and serving version in production.
async fn state(registry: &TestRegistry) -> (Option<i64>, Option<i64>) {
    let found = deployments::deployment(registry.app(), PRODUCTION, "iris").await.unwrap();
    (found.desired.map(|d| d.version), found.serving.map(|s| s.version))
}

/// What an MLflow client loads by stage.
async fn loads(registry: &TestRegistry) -> Vec<i64> {
    let latest = latest_versions(registry.app(), "iris", &[Stage::Production]).await.unwrap();
    latest.into_iter().map(|details| details.version.version).collect()
}

#[tokio::test]
async fn a_rollback_brings_back_what_served_before() {
    each_registry(|registry| async move {
        for text in ["one", "two", "three"] {
            registry.frozen("iris", text).await;
        }
        serves(&registry, 1).await;
        serves(&registry, 2).await;
        move_to(&registry, 3, Stage::Staging, Others::Yield).await;
        serves(&registry, 3).await;
        assert_eq!((state(&registry).await, loads(&registry).await), ((Some(3), Some(3)), vec![3]));

        let gone = back(&registry, None).await.unwrap();
        assert_eq!((gone.kind, gone.version, gone.to), (PromotionKind::Rollback, 2, Stage::Production));
        assert_eq!((state(&registry).await, loads(&registry).await), ((Some(2), Some(3)), vec![2]));
        let replaced = version(registry.app(), "iris", 3).await.unwrap().version.stage;
        assert_eq!(replaced, Stage::Staging, "back to where it came from");
        rolls_out(&registry, &gone, RolloutPhase::Succeeded).await;

        let further = back(&registry, None).await.unwrap();
        assert_eq!(further.version, 1, "a second rollback goes further back");
        rolls_out(&registry, &further, RolloutPhase::Succeeded).await;
        let nothing = back(&registry, None).await.unwrap_err();
        assert_eq!(nothing.code(), "NOTHING_TO_ROLL_BACK_TO");
        assert!(nothing.to_string().contains("--to-version"), "the flag's name: {nothing}");
        assert_eq!(back(&registry, Some(1)).await.unwrap_err().code(), "ALREADY_DESIRED");
        assert_eq!(back(&registry, Some(3)).await.unwrap().version, 3);

        let told = history(registry.app(), "iris", Some(PRODUCTION)).await.unwrap();
        let served: Vec<i64> = told.serving.iter().map(|interval| interval.version).collect();
        assert_eq!(served, [1, 2, 3, 2, 1]);
        assert!(told.serving[0].to_ms.is_none() && told.serving[1..].iter().all(|i| i.to_ms.is_some()));
        assert_eq!(told.promotions[0].reason.as_deref(), Some("it lies"));
    })
    .await;
}

#[tokio::test]
async fn a_failed_rollout_leaves_serving_alone() {
    each_registry(|registry| async move {
        registry.frozen("iris", "one").await;
        registry.frozen("iris", "two").await;
        serves(&registry, 1).await;
        let broken = to_production(&registry, 2).await;
        let ended = rolls_out(&registry, &broken, RolloutPhase::Failed).await;
        assert_eq!(ended.reason_code.as_deref(), Some("HEALTH_CHECK_FAILED"));
        assert_eq!(state(&registry).await, (Some(2), Some(1)));

        let again = to_production(&registry, 2).await;
        assert_ne!(again.rollout_id, broken.rollout_id, "asked for again, tried again");
        let same = to_production(&registry, 2).await;
        assert_eq!(same.rollout_id, again.rollout_id, "while it runs, it is the same rollout");

        let gone = back(&registry, None).await.unwrap();
        assert_eq!(gone.version, 1, "what serves, not what served before it");
        assert_eq!((state(&registry).await, loads(&registry).await), ((Some(1), Some(1)), vec![1]));
    })
    .await;
}

async fn stops(registry: &TestRegistry, generation: i64) {
    let fence = lease(registry).await.fence;
    let report = ReportStopped { fence, generation, message: "gone".into(), at_ms: None };
    report_stopped(registry.app(), cause(), PRODUCTION, "iris", report).await.unwrap();
}

#[tokio::test]
async fn a_late_stop_leaves_the_newer_version_serving() {
    each_registry(|registry| async move {
        registry.frozen("iris", "one").await;
        serves(&registry, 1).await;
        move_to(&registry, 1, Stage::None, Others::Stay).await;
        let emptied = deployments::deployment(registry.app(), PRODUCTION, "iris").await.unwrap().generation;
        serves(&registry, 1).await;
        stops(&registry, emptied).await;
        assert_eq!(state(&registry).await, (Some(1), Some(1)), "the stop was of an older generation");
        let present = deployments::deployment(registry.app(), PRODUCTION, "iris").await.unwrap();
        assert!(present.generation > emptied);
        assert_eq!(present.observed_generation, present.generation);
    })
    .await;
}

#[tokio::test]
async fn what_stopped_is_brought_up_again_when_asked() {
    each_registry(|registry| async move {
        registry.frozen("iris", "one").await;
        let first = to_production(&registry, 1).await;
        rolls_out(&registry, &first, RolloutPhase::Succeeded).await;
        let same = to_production(&registry, 1).await;
        assert_eq!(same.rollout_id, first.rollout_id, "it serves");
        let generation = || async {
            deployments::deployment(registry.app(), PRODUCTION, "iris").await.unwrap().generation
        };
        stops(&registry, generation().await).await;
        assert_eq!(state(&registry).await, (Some(1), None));
        let again = to_production(&registry, 1).await;
        assert_ne!(again.rollout_id, first.rollout_id);
        assert_eq!(back(&registry, Some(1)).await.unwrap_err().code(), "ALREADY_DESIRED", "it is under way");
        rolls_out(&registry, &again, RolloutPhase::Succeeded).await;

        stops(&registry, generation().await).await;
        let back = back(&registry, Some(1)).await.unwrap();
        assert_ne!(back.rollout_id, again.rollout_id);
        rolls_out(&registry, &back, RolloutPhase::Succeeded).await;
        assert_eq!(state(&registry).await, (Some(1), Some(1)));
    })
    .await;
}

#[tokio::test]
async fn a_deployment_follows_its_stage() {
    each_registry(|registry| async move {
        registry.frozen("iris", "one").await;
        registry.frozen("iris", "two").await;
        registry.pointer("iris").await;
        // MLflow's way: several versions in one stage, the highest is loaded.
        move_to(&registry, 2, Stage::Production, Others::Stay).await;
        let lower = move_to(&registry, 1, Stage::Production, Others::Stay).await;
        assert!(lower.note.unwrap().contains("a higher version of iris"));
        assert_eq!((state(&registry).await.0, loads(&registry).await), (Some(2), vec![2]));

        let pointer = move_to(&registry, 3, Stage::Production, Others::Stay).await;
        assert!(pointer.note.unwrap().contains("custody pointer"), "the answer says why nothing rolls out");
        assert_eq!((pointer.rollout_id, state(&registry).await.0), (None, Some(2)));

        move_to(&registry, 2, Stage::Archived, Others::Stay).await;
        assert_eq!(state(&registry).await.0, Some(1));
        // The native way: the stage means this version.
        to_production(&registry, 2).await;
        to_production(&registry, 1).await;
        assert_eq!((state(&registry).await.0, loads(&registry).await), (Some(1), vec![1]));
        let held = delete_version(registry.app(), cause(), "iris", 1).await.unwrap_err();
        assert!(matches!(held, ModelsError::Deployed { .. }), "{held}");
        move_to(&registry, 1, Stage::None, Others::Stay).await;
        assert_eq!(state(&registry).await.0, None, "the stage was emptied");
        delete_version(registry.app(), cause(), "iris", 1).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn archiving_takes_the_others_along() {
    each_registry(|registry| async move {
        registry.frozen("iris", "one").await;
        registry.frozen("iris", "two").await;
        move_to(&registry, 2, Stage::Production, Others::Stay).await;
        move_to(&registry, 1, Stage::Production, Others::Archive).await;
        assert_eq!(version(registry.app(), "iris", 2).await.unwrap().version.stage, Stage::Archived);
        assert_eq!((state(&registry).await.0, loads(&registry).await), (Some(1), vec![1]));
    })
    .await;
}

#[tokio::test]
async fn a_key_promotes_once() {
    each_registry(|registry| async move {
        registry.frozen("iris", "one").await;
        let ask = |key: &str, body: &str| {
            let once = Once::new(Some(key.into()), "local".into(), "promote iris@1".into(), &body).unwrap();
            let asked =
                Transition { name: "iris".into(), version: 1, to: Stage::Test, others: Others::Yield, once };
            promote(registry.app(), cause(), asked)
        };
        let first = ask("k1", "a").await.unwrap();
        assert_eq!(ask("k1", "a").await.unwrap(), first);
        assert_ne!(ask("k2", "a").await.unwrap().promotion_id, first.promotion_id);
        assert_eq!(ask("k1", "b").await.unwrap_err().code(), "IDEMPOTENCY_KEY_REUSED");
        let (a, b) = tokio::join!(ask("k3", "a"), ask("k3", "a"));
        assert_eq!(a.unwrap(), b.unwrap(), "also when both come at once");
        let all = history(registry.app(), "iris", None).await.unwrap().promotions;
        assert_eq!(all.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn answers_over_http() {
    each_registry(|registry| async move {
        registry.frozen("iris", "one").await;
        let path = "/api/v1/models/iris/versions/1/promotions";
        let (status, body) = registry.call("POST", path, Some(json!({"to": "shelf"}))).await;
        assert_eq!(status, 422);
        assert!(body["detail"].as_str().unwrap().contains("\"staging\""), "{body}");
        let mlflow = "/api/2.0/mlflow/model-versions/transition-stage";
        let unknown = json!({"name": "iris", "version": "1", "stage": "shelf", "archive_existing_versions": false});
        let (status, body) = registry.call("POST", mlflow, Some(unknown)).await;
        assert_eq!(status, 400);
        assert_eq!(
            body["message"],
            "Invalid Model Version stage: shelf. Value must be one of None, Staging, Production, Archived."
        );
        let headers = [("idempotency-key", "k"), ("waybill-user", "ann")];
        let order = || Some(json!({"to": "production", "reason": "good"}));
        let (status, first) = registry.call_with("POST", path, order(), &headers).await;
        assert_eq!(status, 201);
        insta::allow_duplicates! {
        insta::assert_json_snapshot!(first, {
            ".promotion_id" => "[id]", ".version_uid" => "[uid]", ".rollout_id" => "[id]", ".applied_at_ms" => "[ms]",
        }, @r#"
        {
          "actor": "local:ann",
          "applied_at_ms": "[ms]",
          "from": "none",
          "kind": "promotion",
          "name": "iris",
          "promotion_id": "[id]",
          "reason": "good",
          "rollout_id": "[id]",
          "to": "production",
          "version": 1,
          "version_uid": "[uid]"
        }
        "#);
        }
        assert_eq!(registry.call_with("POST", path, order(), &headers).await.1, first);
        let (status, body) = registry.call("GET", "/api/v1/environments/production/deployments/iris", None).await;
        assert_eq!((status.as_u16(), &body["gateway_path"]), (200, &json!("/production/iris")));
        let (status, body) = registry.call("GET", "/api/v1/models/iris/history?environment=moon", None).await;
        assert_eq!((status.as_u16(), &body["code"]), (404, &json!("ENVIRONMENT_UNKNOWN")));
        let (_, audit) = registry.call("GET", "/api/v1/audit?subject=iris@1", None).await;
        assert_eq!(audit["events"][0]["action"], "model_version.promoted");
        assert_eq!(audit["events"][0]["reason"], "good");
        assert!(audit["events"][0]["request_id"].is_string());
    })
    .await;
}
