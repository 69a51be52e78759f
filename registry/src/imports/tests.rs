//! The native import API on both engines.

mod traces;
mod versions;

use crate::testing::{TestRegistry, each_registry};
use http::StatusCode;
use serde_json::{Value, json};

const SOURCE: &str = "http://old:5000";

async fn begin(registry: &TestRegistry, source: &str) -> String {
    let asked = json!({ "kind": "mlflow", "source": source, "detail": "MLflow 3.17.2" });
    let (status, import) = registry.call("POST", "/api/v1/imports", Some(asked)).await;
    assert_eq!(status, StatusCode::OK, "{import}");
    import["import_id"].as_str().unwrap().to_owned()
}

async fn post(registry: &TestRegistry, import_id: &str, what: &str, body: Value) -> Value {
    let (status, answer) =
        registry.call("POST", &format!("/api/v1/imports/{import_id}/{what}"), Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

/// The outcomes of a batch: `created`, or the code of a refusal.
async fn batch(registry: &TestRegistry, import_id: &str, objects: Value) -> Vec<String> {
    let answer = post(registry, import_id, "batches", json!({ "objects": objects })).await;
    answer["outcomes"].as_array().unwrap().iter().map(word).collect()
}

fn word(outcome: &Value) -> String {
    let result = if outcome["result"] == "refused" { &outcome["code"] } else { &outcome["result"] };
    result.as_str().unwrap().to_owned()
}

fn experiment(id: &str, name: &str) -> Value {
    json!({
        "kind": "experiment", "id": id, "name": name, "artifact_location": format!("mlflow-artifacts:/{id}"),
        "created_at_ms": 5, "updated_at_ms": 6, "tags": { "team": "blue" },
    })
}

fn run(id: &str, experiment_id: &str) -> Value {
    json!({
        "kind": "run", "id": id, "experiment_id": experiment_id, "name": "first", "user_id": "ada",
        "status": "FINISHED", "start_time_ms": 10, "end_time_ms": 20,
        "params": { "C": "1.0" }, "tags": { "mlflow.runName": "first" },
        "datasets": [{ "name": "d", "digest": "1", "source_type": "local", "source": "{}",
                       "tags": { "mlflow.data.context": "training" } }],
        "model_inputs": [], "model_outputs": [{ "model_id": "m-1", "step": 3 }],
    })
}

fn metrics(run_id: &str) -> Value {
    let point = |value: Value, step: i64| json!({ "key": "loss", "value": value, "timestamp_ms": step, "step": step });
    let points = [point(json!(0.5), 1), point(json!("NaN"), 2), point(json!("Infinity"), i64::MAX)];
    json!({ "kind": "metrics", "run_id": run_id, "points": points })
}

fn logged_model(experiment_id: &str) -> Value {
    json!({
        "kind": "logged_model", "id": "m-1", "experiment_id": experiment_id, "name": "model",
        "created_at_ms": 7, "updated_at_ms": 8, "status": "LOGGED_MODEL_READY", "source_run_id": "r1",
        "params": { "p": "1" }, "tags": { "t": "2" },
        "metrics": [{ "key": "f1", "value": 0.9, "timestamp_ms": 1, "step": 0, "run_id": "r1" }],
    })
}

fn model(name: &str) -> Value {
    json!({ "kind": "registered_model", "name": name, "created_at_ms": 30, "updated_at_ms": 40,
            "description": "flowers", "tags": { "team": "blue" } })
}

/// An import with an experiment, a run and a model, each complete in itself.
async fn brought(registry: &TestRegistry) -> String {
    let import_id = begin(registry, SOURCE).await;
    let objects =
        json!([experiment("7", "exp"), run("r1", "7"), metrics("r1"), logged_model("7"), model("iris")]);
    let outcomes = batch(registry, &import_id, objects).await;
    assert_eq!(outcomes, ["created", "created", "updated", "created", "created"]);
    import_id
}

#[tokio::test]
async fn objects_keep_ids_times_and_values() {
    each_registry(|registry| async move {
        brought(&registry).await;
        let (_, found) = registry.call("GET", "/api/2.0/mlflow/experiments/get?experiment_id=7", None).await;
        let found = &found["experiment"];
        assert_eq!((&found["name"], &found["creation_time"]), (&json!("exp"), &json!(5)));
        assert_eq!(found["tags"], json!([{ "key": "team", "value": "blue" }]));
        let (_, found) = registry.call("GET", "/api/2.0/mlflow/runs/get?run_id=r1", None).await;
        let (info, data) = (&found["run"]["info"], &found["run"]["data"]);
        assert_eq!(info["user_id"], "ada");
        assert_eq!((&info["start_time"], &info["end_time"]), (&json!(10), &json!(20)));
        assert_eq!(info["artifact_uri"], "mlflow-artifacts:/7/r1/artifacts");
        assert_eq!(data["params"], json!([{ "key": "C", "value": "1.0" }]));
        assert_eq!(found["run"]["inputs"]["dataset_inputs"][0]["dataset"]["name"], "d");
        assert_eq!(found["run"]["outputs"]["model_outputs"][0]["step"], 3);
        let path = "/api/2.0/mlflow/metrics/get-history?run_id=r1&metric_key=loss";
        let (_, history) = registry.call("GET", path, None).await;
        assert_eq!(history["metrics"].as_array().unwrap().len(), 3, "{history}");
        assert_eq!(history["metrics"][2]["step"], i64::MAX);
        let (_, found) = registry.call("GET", "/api/2.0/mlflow/logged-models/m-1", None).await;
        assert_eq!(found["model"]["info"]["creation_timestamp_ms"], 7, "{found}");
        assert_eq!(found["model"]["data"]["metrics"][0]["run_id"], "r1");
        let made = json!({ "name": "after" });
        let (status, made) = registry.call("POST", "/api/2.0/mlflow/experiments/create", Some(made)).await;
        assert_eq!((status, &made["experiment_id"]), (StatusCode::OK, &json!("8")), "{made}");
    })
    .await;
}

#[tokio::test]
async fn the_same_again_changes_nothing() {
    each_registry(|registry| async move {
        let import_id = brought(&registry).await;
        assert_eq!(begin(&registry, SOURCE).await, import_id, "an import is known by its source");
        let asked = |fingerprint: &str| json!({ "kind": "run", "objects": [{ "id": "r1", "fingerprint": fingerprint },
                                                                            { "id": "r2", "fingerprint": "x" }] });
        let states = |answer: Value| {
            let objects = answer["objects"].as_array().unwrap().clone();
            objects.iter().map(|object| object["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let found = post(&registry, &import_id, "lookups", asked("f")).await;
        assert_eq!(states(found), ["incomplete", "new"]);
        let done = json!([{ "kind": "complete", "of": "run", "id": "r1", "fingerprint": "f" }]);
        assert_eq!(batch(&registry, &import_id, done.clone()).await, ["updated"]);
        assert_eq!(batch(&registry, &import_id, done).await, ["unchanged"]);
        assert_eq!(states(post(&registry, &import_id, "lookups", asked("f")).await), ["complete", "new"]);
        assert_eq!(states(post(&registry, &import_id, "lookups", asked("g")).await), ["changed", "new"]);

        let (_, before) = registry.call("GET", "/api/2.0/mlflow/runs/get?run_id=r1", None).await;
        let again = json!([experiment("7", "exp"), run("r1", "7"), metrics("r1"), logged_model("7")]);
        assert_eq!(batch(&registry, &import_id, again).await, ["updated"; 4]);
        let (_, after) = registry.call("GET", "/api/2.0/mlflow/runs/get?run_id=r1", None).await;
        assert_eq!(before, after);
        let (_, import) = registry.call("GET", &format!("/api/v1/imports/{import_id}"), None).await;
        assert_eq!(import["counts"][1], json!({ "kind": "run", "complete": 1, "incomplete": 0 }), "{import}");
    })
    .await;
}

#[tokio::test]
async fn conflicts_are_refused_and_leave_the_others_alone() {
    each_registry(|registry| async move {
        brought(&registry).await;
        let other = begin(&registry, "http://other:5000").await;
        let objects = json!([
            experiment("7", "exp"),
            experiment("7", "another"),
            run("r1", "7"),
            run("r2", "7"),
            run("r3", "99"),
            run("", "7"),
            logged_model("7"),
            model("iris"),
            { "kind": "complete", "of": "run", "id": "r1", "fingerprint": "f" },
            { "kind": "metrics", "run_id": "r1", "points": [] },
            { "kind": "aliases", "name": "iris", "aliases": { "champion": 1 }, "updated_at_ms": 1 },
        ]);
        let outcomes = batch(&registry, &other, objects).await;
        assert_eq!(
            outcomes,
            [
                "EXPERIMENT_TAKEN",
                "created",
                "OBJECT_TAKEN",
                "created",
                "EXPERIMENT_NOT_IMPORTED",
                "VALUE_INVALID",
                "OBJECT_TAKEN",
                "OBJECT_TAKEN",
                "OBJECT_NOT_IMPORTED",
                "OBJECT_NOT_IMPORTED",
                "OBJECT_NOT_IMPORTED",
            ]
        );
        let path = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=another";
        let (_, found) = registry.call("GET", path, None).await;
        assert_eq!(found["experiment"]["experiment_id"], "8", "7 was taken");
        let mut changed = run("r2", "7");
        changed["params"]["C"] = json!("2.0");
        changed["user_id"] = json!("nobody");
        assert_eq!(batch(&registry, &other, json!([changed])).await, ["PARAM_CHANGED"]);
    })
    .await;
}

#[tokio::test]
async fn bad_values_are_refused_by_name() {
    each_registry(|registry| async move {
        let import_id = brought(&registry).await;
        for (field, value, code) in [
            ("status", json!("DONE"), "FIELD_INVALID"),
            ("name", json!("a\0b"), "FIELD_INVALID"),
            ("start_time_ms", json!(-1), "FIELD_INVALID"),
            ("params", json!({ "../x": "1" }), "VALUE_INVALID"),
            ("tags", json!({ "k": "a\0b" }), "FIELD_INVALID"),
            ("artifact_uri", json!("mlflow-artifacts:/../x"), "VALUE_INVALID"),
            ("artifact_uri", json!("http://169.254.169.254/"), "VALUE_INVALID"),
            ("id", json!("../r"), "VALUE_INVALID"),
        ] {
            let mut bad = run("r9", "7");
            bad[field] = value;
            assert_eq!(batch(&registry, &import_id, json!([bad])).await, [code], "{field}");
        }
        let (status, _) = registry.call("GET", "/api/2.0/mlflow/runs/get?run_id=r9", None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "a refused object leaves nothing");
        // MLflow takes such tags when a run is made.
        let mut odd = run("r9", "7");
        odd["tags"] = json!({ "owner(team)": "a", "../up": "b" });
        assert_eq!(batch(&registry, &import_id, json!([odd])).await, ["created"]);
        for (path, body, code) in [
            ("/api/v1/imports", json!({ "kind": "mlflow", "source": "http://u:p@old" }), "FIELD_INVALID"),
            ("/api/v1/imports", json!({ "kind": "mlflow", "source": "" }), "FIELD_INVALID"),
            ("/api/v1/imports", json!({ "kind": "wandb", "source": "x" }), "BODY_INVALID"),
            ("/api/v1/imports/none/batches", json!({ "objects": [] }), "IMPORT_NOT_FOUND"),
            ("/api/v1/imports/none/versions", versions::version("iris", 1, "dummy"), "IMPORT_NOT_FOUND"),
            ("/api/v1/imports/none/lookups", json!({ "kind": "run", "objects": [] }), "IMPORT_NOT_FOUND"),
        ] {
            let (status, problem) = registry.call("POST", path, Some(body)).await;
            assert!(status.is_client_error(), "{path}: {problem}");
            assert_eq!(problem["code"], code, "{path}: {problem}");
        }
    })
    .await;
}

async fn upload(registry: &TestRegistry, path: &str, text: &str) -> String {
    let digest = waybill_proof::Digest::of(text.as_bytes());
    registry.app().content.put_bytes(text.as_bytes().to_vec()).await.unwrap();
    let file = json!({ "path": path, "digest": digest.to_string(), "size_bytes": text.len() });
    let (status, upload) = registry.call("POST", "/api/v1/uploads", Some(json!({ "files": [file] }))).await;
    assert_eq!(status, StatusCode::CREATED, "{upload}");
    upload["upload_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn artifacts_are_bound_and_nothing_else_is_replaced() {
    each_registry(|registry| async move {
        let import_id = brought(&registry).await;
        let bind = async |path: &str, text: &str, root: &str| {
            let upload_id = upload(&registry, path, text).await;
            let fingerprints = json!({ path: "f" });
            let body = json!({ "upload_id": upload_id, "root": root, "fingerprints": fingerprints });
            let url = format!("/api/v1/imports/{import_id}/artifacts");
            registry.call("POST", &url, Some(body)).await
        };
        let (_, bound) = bind("a/f.txt", "one", "7/r1/artifacts").await;
        assert_eq!(bound["result"], "created", "{bound}");
        let path = "/api/2.0/mlflow-artifacts/artifacts?path=7/r1/artifacts/a";
        let (_, listed) = registry.call("GET", path, None).await;
        assert_eq!(listed["files"][0]["file_size"], 3, "{listed}");
        let (_, changed) = bind("a/f.txt", "three", "7/r1/artifacts").await;
        assert_eq!(changed["result"], "created", "what came by the import follows its source: {changed}");

        registry.put(&[("7/r1/artifacts/own.txt", "mine")]).await;
        let (_, refused) = bind("own.txt", "theirs", "7/r1/artifacts").await;
        assert_eq!(refused["code"], "PATH_OCCUPIED", "{refused}");
        let own = crate::artifacts::ArtifactPath::parse("7/r1/artifacts/own.txt").unwrap();
        let kept = registry.app().content.find_file(&own).await.unwrap();
        assert_eq!(kept.digest, waybill_proof::Digest::of(b"mine"));
        let (_, same) = bind("own.txt", "mine", "7/r1/artifacts").await;
        assert_eq!(same["result"], "created", "the same content is no conflict: {same}");

        for (root, status) in [
            ("../x", StatusCode::BAD_REQUEST),
            ("", StatusCode::BAD_REQUEST),
            ("7/%2e%2e/x", StatusCode::BAD_REQUEST),
            (".versions/ver-1", StatusCode::FORBIDDEN),
        ] {
            let (found, problem) = bind("f.txt", "x", root).await;
            assert_eq!(found, status, "{root}: {problem}");
        }
        let body = json!({ "upload_id": "upl-none", "root": "7/x", "fingerprints": {} });
        let url = format!("/api/v1/imports/{import_id}/artifacts");
        let (status, problem) = registry.call("POST", &url, Some(body)).await;
        assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("UPLOAD_NOT_FOUND")));
    })
    .await;
}

#[tokio::test]
async fn everybodys_first_experiment_is_shared() {
    each_registry(|registry| async move {
        let import_id = begin(&registry, SOURCE).await;
        let outcomes =
            batch(&registry, &import_id, json!([experiment("0", "Default"), run("r1", "0")])).await;
        assert_eq!(outcomes, ["updated", "created"]);
        let (_, found) = registry.call("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", None).await;
        assert_eq!(found["experiment"]["creation_time"], 5, "an empty one takes the times over");
        let other = begin(&registry, "http://other:5000").await;
        let outcomes = batch(&registry, &other, json!([experiment("0", "Default"), run("r2", "0")])).await;
        assert_eq!(outcomes, ["updated", "created"]);
        let (_, found) = registry.call("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", None).await;
        assert_eq!(found["experiment"]["creation_time"], 5);
        let (_, events) = registry.call("GET", "/api/v1/audit", None).await;
        let actions: Vec<&str> = events["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|event| event["action"].as_str())
            .collect();
        assert!(
            actions.contains(&"import.started") && actions.contains(&"import.objects_added"),
            "{actions:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn experiments_have_ids_of_any_size() {
    each_registry(|registry| async move {
        let import_id = begin(&registry, SOURCE).await;
        let objects = json!([experiment("874536213456213456", "of a file store")]);
        assert_eq!(batch(&registry, &import_id, objects).await, ["created"]);
        for (view, filter, expected) in [
            ("ALL", "tags.team IS NULL", json!(["Default"])),
            ("DELETED_ONLY", "tags.team IS NULL", json!(null)),
            ("ALL", "tags.nope IS NULL", json!(["Default", "of a file store"])),
        ] {
            let asked =
                json!({ "filter": filter, "view_type": view, "max_results": 10, "order_by": ["name"] });
            let (status, found) =
                registry.call("POST", "/api/2.0/mlflow/experiments/search", Some(asked)).await;
            assert_eq!(status, StatusCode::OK, "{found}");
            let names =
                found["experiments"].as_array().map(|all| all.iter().map(|e| e["name"].clone()).collect());
            assert_eq!(names.map_or(Value::Null, Value::Array), expected, "{view} {filter}: {found}");
        }
    })
    .await;
}
