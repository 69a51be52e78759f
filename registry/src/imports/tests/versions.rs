//! Versions that had a number elsewhere.

use super::{batch, brought, post};
use crate::testing::each_registry;
use http::StatusCode;
use serde_json::{Value, json};
use waybill_proof::verify::Outcome;

pub fn version(name: &str, number: i64, source: &str) -> Value {
    json!({ "name": name, "version": number, "source": source, "created_by": "ada", "created_at_ms": 31,
            "updated_at_ms": 32, "stage": "production", "run_id": "r1", "tags": { "ok": "yes" },
            "fingerprint": "f1" })
}

#[tokio::test]
async fn a_version_keeps_its_number_and_is_signed_as_imported() {
    each_registry(|registry| async move {
        let import_id = brought(&registry).await;
        registry
            .put(&[
                ("7/r1/artifacts/model/MLmodel", "m"),
                ("7/r1/artifacts/model/requirements.txt", "a==1\n"),
            ])
            .await;
        let asked = version("iris", 3, "runs:/r1/model");
        let made = post(&registry, &import_id, "versions", asked.clone()).await;
        assert_eq!(made["result"], "created", "{made}");
        let again = post(&registry, &import_id, "versions", asked).await;
        assert_eq!((&again["result"], &again["local_id"]), (&json!("unchanged"), &made["local_id"]));

        let found = crate::models::version(registry.app(), "iris", 3).await.unwrap().version;
        assert_eq!((found.created_by.as_str(), found.created_at_ms, found.updated_at_ms), ("ada", 31, 32));
        assert_eq!(found.stage.as_str(), "production");
        let report = registry.verify(&found.uid, &found).await;
        assert!(report.passed(), "{report:?}");
        for name in ["registration", "provenance"] {
            let check = report.check(name).unwrap();
            assert_eq!(check.ok, Outcome::Ok);
            assert!(check.detail.contains("from http://old:5000, where it was iris@3"), "{}", check.detail);
            assert!(check.detail.contains("did not witness the training"), "{}", check.detail);
        }
        assert!(report.check("provenance").unwrap().detail.contains("builder/imported/v1"));
        assert_eq!(
            report.check("run-completed").unwrap().ok,
            Outcome::Skipped,
            "nobody here saw the run end"
        );
        let (_, deployment) =
            registry.call("GET", "/api/v1/environments/production/deployments/iris", None).await;
        assert_eq!(deployment["code"], "DEPLOYMENT_NOT_FOUND", "a label deploys nothing: {deployment}");

        let next = registry.pointer("iris").await;
        assert_eq!(next.version, 4, "numbers go on after the highest that was imported");
        let taken = post(&registry, &import_id, "versions", version("iris", 4, "runs:/r1/model")).await;
        assert_eq!(taken["code"], "VERSION_TAKEN", "{taken}");
        let earlier = post(&registry, &import_id, "versions", version("iris", 1, "runs:/r1/model")).await;
        assert_eq!(earlier["result"], "created", "{earlier}");
        let unknown = post(&registry, &import_id, "versions", version("rose", 1, "runs:/r1/model")).await;
        assert_eq!(unknown["code"], "OBJECT_NOT_IMPORTED");
        let elsewhere = post(&registry, &import_id, "versions", version("iris", 2, "s3://b/x")).await;
        assert!(elsewhere["detail"].as_str().unwrap().contains("s3://b/x"), "{elsewhere}");
        let aliases =
            json!([{ "kind": "aliases", "name": "iris", "aliases": { "champion": 3 }, "updated_at_ms": 44 }]);
        assert_eq!(batch(&registry, &import_id, aliases).await, ["updated"]);
        let champion = crate::models::resolve(registry.app(), "iris@alias:champion").await.unwrap();
        assert_eq!(champion.version.uid, found.uid);
        let details = crate::models::model(registry.app(), "iris").await.unwrap();
        assert_eq!(details.model.updated_at_ms, 44);
    })
    .await;
}

#[tokio::test]
async fn a_pointer_is_frozen_when_its_files_come() {
    each_registry(|registry| async move {
        let import_id = brought(&registry).await;
        let asked = version("iris", 3, "runs:/r1/model");
        let made = post(&registry, &import_id, "versions", asked.clone()).await;
        assert!(made["detail"].as_str().unwrap().contains("pointer to runs:/r1/model"), "{made}");
        let set = json!({ "name": "iris", "version": "3", "stage": "Staging" });
        let path = "/api/2.0/mlflow/model-versions/transition-stage";
        assert_eq!(registry.call("POST", path, Some(set)).await.0, StatusCode::OK);
        for (path, set) in [
            ("model-versions/update", json!({ "name": "iris", "version": "3", "description": "ours" })),
            ("model-versions/set-tag", json!({ "name": "iris", "version": "3", "key": "ok", "value": "no" })),
        ] {
            let method = if path.ends_with("update") { "PATCH" } else { "POST" };
            let path = format!("/api/2.0/mlflow/{path}");
            assert_eq!(registry.call(method, &path, Some(set)).await.0, StatusCode::OK);
        }
        let still = post(&registry, &import_id, "versions", asked.clone()).await;
        assert_eq!(still["result"], "unchanged", "{still}");
        let state = async || {
            let asked =
                json!({ "kind": "model_version", "objects": [{ "id": "iris/3", "fingerprint": "f1" }] });
            let found = post(&registry, &import_id, "lookups", asked).await;
            found["objects"][0]["state"].as_str().unwrap().to_owned()
        };
        assert_eq!(state().await, "incomplete", "its files may come");

        registry.put(&[("7/r1/artifacts/model/MLmodel", "m")]).await;
        let filled = post(&registry, &import_id, "versions", asked.clone()).await;
        assert_eq!((&filled["result"], &filled["local_id"]), (&json!("updated"), &made["local_id"]));
        assert!(filled["detail"].as_str().unwrap().contains("no longer a pointer"), "{filled}");
        assert_eq!(state().await, "complete");
        let found = crate::models::version(registry.app(), "iris", 3).await.unwrap().version;
        assert_eq!(found.stage.as_str(), "staging", "what was staged here stays so");
        assert_eq!((found.created_at_ms, found.description.as_deref()), (31, Some("ours")));
        let (_, kept) =
            registry.call("GET", "/api/2.0/mlflow/model-versions/get?name=iris&version=3", None).await;
        assert_eq!(kept["model_version"]["tags"], json!([{ "key": "ok", "value": "no" }]));
        let report = registry.verify(&found.uid, &found).await;
        assert!(report.passed(), "{report:?}");
        let again = post(&registry, &import_id, "versions", asked.clone()).await;
        assert_eq!(again["result"], "unchanged", "{again}");

        let other = version("iris", 4, "runs:/r1/other");
        let made = post(&registry, &import_id, "versions", other.clone()).await;
        assert_eq!(made["result"], "created", "{made}");
        let gone = json!({ "name": "iris", "version": "4" });
        let path = "/api/2.0/mlflow/model-versions/delete";
        assert_eq!(registry.call("DELETE", path, Some(gone)).await.0, StatusCode::OK);
        registry.put(&[("7/r1/artifacts/other/MLmodel", "m")]).await;
        let again = post(&registry, &import_id, "versions", other).await;
        assert_eq!(again["result"], "unchanged", "what was deleted here stays so: {again}");

        let renamed = version("iris", 5, "runs:/r1/late");
        post(&registry, &import_id, "versions", renamed.clone()).await;
        registry.put(&[("7/r1/artifacts/late/MLmodel", "m")]).await;
        let (path, set) =
            ("/api/2.0/mlflow/registered-models/rename", json!({ "name": "iris", "new_name": "lily" }));
        assert_eq!(registry.call("POST", path, Some(set)).await.0, StatusCode::OK);
        registry.pointer("iris").await;
        let again = post(&registry, &import_id, "versions", renamed).await;
        assert_eq!(again["result"], "unchanged", "its model has another name now: {again}");
    })
    .await;
}
