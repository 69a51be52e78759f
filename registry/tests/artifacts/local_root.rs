//! A default artifact root in a local folder: clients write there, the server reads and adds.

use crate::support::Server;
use serde_json::json;

#[tokio::test]
async fn what_clients_wrote_is_listed_and_read_and_links_are_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start_with_root(root.path()).await;
    let (_, made) =
        server.json("POST", "/api/2.0/mlflow/experiments/create", &json!({"name": "local"})).await;
    let (_, run) = server
        .json("POST", "/api/2.0/mlflow/runs/create", &json!({"experiment_id": made["experiment_id"]}))
        .await;
    let info = &run["run"]["info"];
    let (id, uri) = (info["run_id"].as_str().unwrap(), info["artifact_uri"].as_str().unwrap());
    assert!(uri.starts_with(&format!("file://{}", root.path().display())), "{uri}");
    let folder = std::path::PathBuf::from(uri.strip_prefix("file://").unwrap());
    std::fs::create_dir_all(folder.join("plots")).unwrap();
    std::fs::write(folder.join("plots/page.html"), "<script>").unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "s").unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.join("away")).unwrap();

    let get = async |target: String| server.send("GET", &target, &[], b"").await;
    let listed = get(format!("/api/2.0/mlflow/artifacts/list?run_id={id}")).await;
    assert_eq!(
        listed.text(),
        format!(r#"{{"root_uri":"{uri}","files":[{{"path":"plots","is_dir":true}}]}}"#)
    );
    let file = get(format!("/get-artifact?run_id={id}&path=plots/page.html")).await;
    assert_eq!((file.status, file.text().as_str()), (200, "<script>"));
    assert_eq!(file.header("content-length"), Some("8"));
    assert_eq!(file.header("content-type"), Some("application/octet-stream"));
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"page.html\""));
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    for (path, status) in
        [("away/secret", 404), ("../../../secret", 400), ("plots", 400), ("none", 404), ("%2e%2e/x", 400)]
    {
        let refused = get(format!("/get-artifact?run_id={id}&path={path}")).await;
        assert_eq!(refused.status, status, "{path}: {}", refused.text());
    }
    let upload = async |path: &str| {
        let target = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={id}&path={path}");
        server.send("POST", &target, &[], b"note").await.status
    };
    assert_eq!(
        (upload("notes/a.txt").await, upload("away/a.txt").await, upload("plots").await),
        (200, 400, 400)
    );
    assert!(!outside.path().join("a.txt").exists());
    assert_eq!(std::fs::read(folder.join("notes/a.txt")).unwrap(), b"note");

    let source = json!({"name": "m", "source": format!("{uri}/plots"), "run_id": id});
    server.json("POST", "/api/2.0/mlflow/registered-models/create", &json!({"name": "m"})).await;
    let (status, version) = server.json("POST", "/api/2.0/mlflow/model-versions/create", &source).await;
    assert_eq!(status, 200, "{version}");
    let page = get("/model-versions/get-artifact?name=m&version=1&path=page.html".to_owned()).await;
    assert_eq!((page.status, page.text().as_str()), (200, "<script>"));
    server.stop().await;
}

#[tokio::test]
async fn the_artifacts_of_a_trace_are_read_there() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start_with_root(root.path()).await;
    let (_, made) =
        server.json("POST", "/api/2.0/mlflow/experiments/create", &json!({"name": "local"})).await;
    // As clients before 3.0 begin a trace, whose spans they write themselves.
    let begin = json!({"experiment_id": made["experiment_id"], "timestamp_ms": 1000});
    let (status, begun) = server.json("POST", "/api/2.0/mlflow/traces", &begin).await;
    assert_eq!(status, 200, "{begun}");
    let info = &begun["trace_info"];
    let tags = info["tags"].as_array().unwrap();
    let uri =
        tags.iter().find(|tag| tag["key"] == "mlflow.artifactLocation").unwrap()["value"].as_str().unwrap();
    let folder = std::path::PathBuf::from(uri.strip_prefix("file://").unwrap());
    assert!(folder.starts_with(root.path()), "{uri}");
    std::fs::create_dir_all(folder.join("attachments")).unwrap();
    std::fs::write(folder.join("traces.json"), r#"{"spans":[]}"#).unwrap();
    std::fs::write(folder.join("attachments/a.png"), "image").unwrap();

    let id = info["request_id"].as_str().unwrap();
    let get = async |query: String| {
        server
            .send("GET", &format!("/ajax-api/3.0/mlflow/get-trace-artifact?request_id={query}"), &[], b"")
            .await
    };
    let spans = get(id.to_owned()).await;
    assert_eq!((spans.status, spans.text().as_str()), (200, r#"{"spans":[]}"#));
    let attached = get(format!("{id}&path=a.png")).await;
    assert_eq!((attached.status, attached.text().as_str()), (200, "image"));
    assert_eq!(attached.header("x-content-type-options"), Some("nosniff"));
    for (path, status) in [("none", 404), ("../traces.json", 400), ("%2e%2e/x", 400)] {
        let refused = get(format!("{id}&path={path}")).await;
        assert_eq!(refused.status, status, "{path}: {}", refused.text());
    }
    server.stop().await;
}
