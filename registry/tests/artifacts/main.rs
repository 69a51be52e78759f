//! The artifact proxy over a real socket: what goes wrong on the wire, and what comes back.

mod full_disk;
mod local_root;
mod multipart;
mod native;
mod support;

use support::{After, BASE, Server};
use waybill_proof::Digest;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 5 % 253) as u8).collect()
}

const INVALID_PATH: &str = r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid path"}"#;

#[tokio::test]
async fn a_file_comes_back_with_its_headers() {
    let server = Server::start().await;
    let bytes = pattern(9 << 20);
    let put = server.put("1/run/artifacts/model/data.bin", &bytes).await;
    assert_eq!((put.status, put.text().as_str()), (200, "{}"));
    let got = server.get("1/run/artifacts/model/data.bin", &[]).await;
    assert_eq!(got.status, 200);
    assert!(got.body == bytes);
    for (name, value) in [
        ("content-length", bytes.len().to_string()),
        ("etag", format!("\"{}\"", Digest::of(&bytes))),
        ("accept-ranges", "bytes".into()),
        ("content-type", "application/octet-stream".into()),
        ("content-disposition", "attachment; filename=\"data.bin\"".into()),
        ("x-content-type-options", "nosniff".into()),
    ] {
        assert_eq!(got.header(name), Some(value.as_str()), "{name}");
    }
    let head = server.send("HEAD", &format!("{BASE}/1/run/artifacts/model/data.bin"), &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(bytes.len().to_string().as_str()));
    server.stop().await;
}

#[tokio::test]
async fn conditions_and_ranges() {
    let server = Server::start().await;
    let bytes = pattern(1000);
    server.put("f", &bytes).await;
    let etag = format!("\"{}\"", Digest::of(&bytes));
    for (headers, status, content_range) in [
        (vec![("If-None-Match", etag.as_str())], 304, None),
        (vec![("If-None-Match", "\"other\"")], 200, None),
        (vec![("Range", "bytes=0-9")], 206, Some("bytes 0-9/1000")),
        (vec![("Range", "bytes=-1")], 206, Some("bytes 999-999/1000")),
        (vec![("Range", "bytes=1000-")], 416, Some("bytes */1000")),
        (vec![("Range", "bytes=0-9"), ("If-Range", etag.as_str())], 206, Some("bytes 0-9/1000")),
        (vec![("Range", "bytes=0-9"), ("If-Range", "\"other\"")], 200, None),
        (vec![("Range", "bytes=0-9"), ("If-Range", "Wed, 21 Oct 2026 07:28:00 GMT")], 200, None),
        (vec![("Range", "bytes=0-1,5-6")], 200, None),
    ] {
        let got = server.get("f", &headers).await;
        assert_eq!((got.status, got.header("content-range")), (status, content_range), "{headers:?}");
        if got.status == 200 {
            assert!(got.body == bytes, "{headers:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_truncated_body_is_refused_and_leaves_nothing() {
    let server = Server::start().await;
    server.put("cut/kept", b"before").await;
    let whole = pattern(6 << 20);
    for path in ["cut/kept", "cut/new"] {
        for sent in [0, 10, 3 << 20] {
            let head = format!(
                "PUT {BASE}/{path} HTTP/1.1\nHost: {}\nContent-Length: {}\n\n",
                server.address,
                whole.len()
            );
            let answer = server.raw(&head, &whole[..sent], After::HalfClose).await;
            // Where the connection could still be answered, it says what happened.
            if answer.status != 0 {
                assert_eq!(answer.status, 400, "{}", answer.head);
                assert!(answer.text().contains("nothing was stored"), "{}", answer.text());
            }
        }
    }
    server.wait_for_objects(1).await;
    assert_eq!(server.get("cut/kept", &[]).await.body, b"before");
    assert_eq!(server.get("cut/new", &[]).await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn malformed_chunks_are_refused() {
    let server = Server::start().await;
    for body in ["5\r\nhel", "zz\r\nhello\r\n0\r\n\r\n"] {
        let head =
            format!("PUT {BASE}/chunked HTTP/1.1\nHost: {}\nTransfer-Encoding: chunked\n\n", server.address);
        let answer = server.raw(&head, body.as_bytes(), After::HalfClose).await;
        assert!(matches!(answer.status, 0 | 400), "{}", answer.head);
    }
    let head = format!(
        "PUT {BASE}/chunked HTTP/1.1\nHost: {}\nConnection: close\nTransfer-Encoding: chunked\n\n",
        server.address
    );
    assert_eq!(server.get("chunked", &[]).await.status, 404);
    let good = server.raw(&head, b"5\r\nhello\r\n0\r\n\r\n", After::Wait).await;
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(server.get("chunked", &[]).await.body, b"hello");
    server.stop().await;
}

#[tokio::test]
async fn paths_that_escape_are_refused_as_written() {
    let server = Server::start().await;
    for path in [
        "../x",
        "a/../../x",
        "%2e%2e%2fx",
        "%252e%252e%252fx",
        "%25252e%25252e/x",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "C:%5Cx",
        "a/C:/x",
        "%5C%5Ch%5Cs",
        "a%23b",
        "a%00b",
        ".",
        "a//b",
        "%ff",
    ] {
        for prefix in ["/api/2.0", "/ajax-api/2.0"] {
            for method in ["GET", "PUT", "DELETE"] {
                let target = format!("{prefix}/mlflow-artifacts/artifacts/{path}");
                let body: &[u8] = if method == "PUT" { b"evil" } else { b"" };
                let answer = server.send(method, &target, &[], body).await;
                assert_eq!((answer.status, answer.text().as_str()), (400, INVALID_PATH), "{method} {target}");
            }
        }
        if path == "%ff" {
            // Form decoding makes a replacement character of it, which is a name like any other.
            continue;
        }
        let listed = server.send("GET", &format!("{BASE}?path={path}"), &[], b"").await;
        if matches!(path, "." | "a//b") {
            // Other spellings of a directory, as MLflow's clients list it too.
            assert_eq!((listed.status, listed.text().as_str()), (200, "{}"), "{path}");
            continue;
        }
        assert_eq!(listed.status, 400, "{path}");
        assert!(listed.text().contains("INVALID_PARAMETER_VALUE"), "{path}: {}", listed.text());
    }
    assert_eq!(server.objects().len(), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = Server::start().await;
    server.put("taken/f", b"x").await;
    for (path, says) in
        [("../x", "Invalid path"), ("taken/f/g", "is already a file"), ("taken", "is already a directory")]
    {
        let answer = server.put(path, &pattern(20 << 20)).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(answer.text().contains(says), "{}", answer.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn listing_names_entries_relative_to_the_directory() {
    let server = Server::start().await;
    server.put("1/run/artifacts/b.txt", b"12345").await;
    server.put("1/run/artifacts/a/c.txt", b"1").await;
    let list = async |path: &str| server.send("GET", &format!("{BASE}?path={path}"), &[], b"").await.text();
    assert_eq!(
        list("1/run/artifacts").await,
        r#"{"files":[{"path":"a","is_dir":true},{"path":"b.txt","is_dir":false,"file_size":5}]}"#
    );
    assert_eq!(list("1/run/artifacts/").await, list("1/run/artifacts").await);
    assert_eq!(list("1/run/artifacts/b.txt").await, "{}");
    assert_eq!(list("none").await, "{}");
    assert_eq!(list("").await, r#"{"files":[{"path":"1","is_dir":true}]}"#);
    server.stop().await;
}

#[tokio::test]
async fn the_frozen_tree_is_read_only() {
    let server = Server::start().await;
    for method in ["PUT", "DELETE"] {
        let answer = server.send(method, &format!("{BASE}/.versions/ver-1/MLmodel"), &[], b"x").await;
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains("frozen model version and read-only"), "{}", answer.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn damage_on_disk_is_never_sent_to_its_end() {
    let server = Server::start().await;
    for (path, len, flipped) in
        [("small", 5000, 3000), ("large", 9 << 20, 5 << 20), ("end", 9 << 20, (9 << 20) - 1)]
    {
        let bytes = pattern(len);
        server.put(path, &bytes).await;
        let object = server.objects().into_iter().find(|o| std::fs::read(o).unwrap() == bytes).unwrap();
        let mut damaged = bytes.clone();
        damaged[flipped] ^= 1;
        std::fs::write(object, damaged).unwrap();

        let whole = server.get(path, &[]).await;
        assert!(whole.status == 500 || whole.body.len() < len, "{path}: {}", whole.head);
        let range = format!("bytes={flipped}-{flipped}");
        assert_eq!(server.get(path, &[("Range", &range)]).await.status, 500, "{path}");
        if len > 5000 {
            let sound = server.get(path, &[("Range", "bytes=0-9")]).await;
            assert_eq!((sound.status, sound.body.as_slice()), (206, &bytes[..10]));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_runs_artifacts_are_listed_and_read_by_its_id() {
    let server = Server::start().await;
    let post = async |path: &str, body: &str| {
        let headers = [("Content-Type", "application/json")];
        let answer = server.send("POST", &format!("/api/2.0/mlflow/{path}"), &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()
    };
    let get = async |target: &str| server.send("GET", target, &[], b"").await;
    let run = post("runs/create", r#"{"experiment_id": "0"}"#).await;
    let (id, uri) = (run["run"]["info"]["run_id"].as_str().unwrap(), &run["run"]["info"]["artifact_uri"]);
    let root = uri.as_str().unwrap().strip_prefix("mlflow-artifacts:/").unwrap();
    server.put(&format!("{root}/plots/loss.png"), b"png").await;

    let listed = get(&format!("/ajax-api/2.0/mlflow/artifacts/list?run_id={id}&path=plots")).await;
    assert_eq!(
        listed.text(),
        format!(r#"{{"root_uri":{uri},"files":[{{"path":"plots/loss.png","is_dir":false,"file_size":3}}]}}"#)
    );
    let top = get(&format!("/api/2.0/mlflow/artifacts/list?run_uuid={id}")).await;
    assert_eq!(top.text(), format!(r#"{{"root_uri":{uri},"files":[{{"path":"plots","is_dir":true}}]}}"#));
    let file = get(&format!("/get-artifact?run_id={id}&path=plots/loss.png")).await;
    assert_eq!((file.status, file.body.as_slice()), (200, b"png".as_slice()));
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"loss.png\""));
    for target in ["/api/2.0/mlflow/artifacts/list", "/get-artifact", "//get-artifact"] {
        let escaped = get(&format!("{target}?run_id={id}&path=../path")).await;
        assert_eq!((escaped.status, escaped.text().as_str()), (400, INVALID_PATH));
        let unknown = get(&format!("{target}?run_id=none&path=x")).await;
        assert_eq!(unknown.status, 404, "{}", unknown.text());
    }

    let model = post("logged-models", r#"{"experiment_id": "0"}"#).await;
    let info = &model["model"]["info"];
    let (id, uri) = (info["model_id"].as_str().unwrap(), &info["artifact_uri"]);
    let root = uri.as_str().unwrap().strip_prefix("mlflow-artifacts:/").unwrap();
    server.put(&format!("{root}/MLmodel"), b"flavors").await;
    let listed = get(&format!("/api/2.0/mlflow/logged-models/{id}/artifacts/directories")).await;
    assert_eq!(
        listed.text(),
        format!(r#"{{"root_uri":{uri},"files":[{{"path":"MLmodel","is_dir":false,"file_size":7}}]}}"#)
    );
    server.stop().await;
}

#[tokio::test]
async fn artifacts_that_lie_elsewhere_are_not_read() {
    let server = Server::start().await;
    let headers = [("Content-Type", "application/json")];
    let body = br#"{"name": "elsewhere", "artifact_location": "s3://bucket/x"}"#;
    let made = server.send("POST", "/api/2.0/mlflow/experiments/create", &headers, body).await;
    let made: serde_json::Value = serde_json::from_slice(&made.body).unwrap();
    let body = format!(r#"{{"experiment_id": {}}}"#, made["experiment_id"]);
    let run = server.send("POST", "/api/2.0/mlflow/runs/create", &headers, body.as_bytes()).await;
    let run: serde_json::Value = serde_json::from_slice(&run.body).unwrap();
    let id = run["run"]["info"]["run_id"].as_str().unwrap();
    let listed = server.send("GET", &format!("/api/2.0/mlflow/artifacts/list?run_id={id}"), &[], b"").await;
    assert_eq!(listed.status, 404);
    assert!(listed.text().contains("which this server does not read"), "{}", listed.text());
    server.stop().await;
}
