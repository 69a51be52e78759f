//! Files in parts and signed URLs, as MLflow's client asks for them.

use crate::support::{After, Server};
use serde_json::{Value, json};

const API: &str = "/api/2.0/mlflow-artifacts";

/// What follows the server's own name in a URL that it handed out.
fn target<'u>(server: &Server, url: &'u str) -> &'u str {
    url.strip_prefix(&format!("http://{}", server.address)).unwrap()
}

async fn create(server: &Server, parts: i64) -> (String, Vec<String>) {
    let body = json!({"path": "/home/me/../big file.bin", "num_parts": parts});
    let (status, made) = server.json("POST", &format!("{API}/mpu/create/1/run/artifacts"), &body).await;
    assert_eq!(status, 200, "{made}");
    let credentials = made["credentials"].as_array().unwrap();
    for (number, credential) in (1..).zip(credentials) {
        assert_eq!(credential["part_number"], number);
    }
    let urls = credentials.iter().map(|c| target(server, c["url"].as_str().unwrap()).to_owned()).collect();
    (made["upload_id"].as_str().unwrap().to_owned(), urls)
}

#[tokio::test]
async fn a_file_in_parts() {
    let server = Server::start().await;
    let parts = [vec![1u8; 3 << 20], vec![2u8; 1 << 20]];
    let (upload_id, urls) = create(&server, 2).await;
    let mut named = Vec::new();
    for (number, (url, part)) in (1..).zip(urls.iter().zip(&parts)) {
        let sent = server.send("PUT", url, &[], part).await;
        assert_eq!(sent.status, 200, "{}", sent.text());
        named.push(json!({"part_number": number, "etag": sent.header("etag").unwrap(), "url": url}));
    }
    let complete = json!({"path": "big file.bin", "upload_id": upload_id, "parts": named});
    let target_of = |what: &str| format!("{API}/mpu/{what}/1/run/artifacts");
    let (status, refused) = server
        .json("POST", &target_of("complete"), &json!({"path": "x", "upload_id": upload_id, "parts": named}))
        .await;
    assert_eq!((status, &refused["error_code"]), (404, &json!("RESOURCE_DOES_NOT_EXIST")));
    assert_eq!(server.get("1/run/artifacts/big%20file.bin", &[]).await.status, 404);
    for _ in 0..2 {
        assert_eq!(server.json("POST", &target_of("complete"), &complete).await, (200, json!({})));
    }
    let whole = server.get("1/run/artifacts/big%20file.bin", &[]).await;
    assert_eq!((whole.status, whole.body), (200, parts.concat()));

    let (_, signed) =
        server.json("GET", &format!("{API}/presigned/1/run/artifacts/big%20file.bin"), &Value::Null).await;
    assert_eq!((&signed["file_size"], &signed["headers"]), (&json!(4 << 20), &json!({})));
    let url = target(&server, signed["url"].as_str().unwrap());
    let part = server.send("GET", url, &[("Range", "bytes=3145727-3145728")], b"").await;
    assert_eq!((part.status, part.body.as_slice()), (206, &[1u8, 2][..]));
    for other in
        [url.replace("big", "bog"), url.replace("expires=", "expires=1"), url.replace("signature=", "s=")]
    {
        assert_eq!(server.send("GET", &other, &[], b"").await.status, 403, "{other}");
    }
    let missing = server.json("GET", &format!("{API}/presigned/1/run/artifacts/none"), &Value::Null).await;
    assert_eq!(missing.0, 404);
    server.stop().await;
}

#[tokio::test]
async fn a_part_goes_where_its_url_says_and_nowhere_else() {
    let server = Server::start().await;
    let (upload_id, urls) = create(&server, 2).await;
    for other in [
        urls[0].replace("/1?", "/2?"),
        urls[0].replace("/1?", "/x?"),
        urls[0].replace("mpu-", "mpu-0"),
        urls[0].split('?').next().unwrap().to_owned(),
    ] {
        let refused = server.send("PUT", &other, &[], b"x").await;
        assert_eq!(refused.status, 403, "{other}: {}", refused.text());
    }
    assert_eq!(server.send("PUT", &urls[0], &[], b"x").await.status, 200);
    let head = format!("PUT {} HTTP/1.1\nHost: {}\nContent-Length: 10\n\n", urls[1], server.address);
    assert_eq!(server.raw(&head, b"half", After::HalfClose).await.status, 400);
    let body = json!({"path": "big file.bin", "upload_id": upload_id});
    assert_eq!(server.json("POST", &format!("{API}/mpu/abort/1/run/artifacts"), &body).await.0, 200);
    assert_eq!(server.send("PUT", &urls[0], &[], b"x").await.status, 404);
    server.wait_for_objects(0).await;
    server.stop().await;
}

#[tokio::test]
async fn urls_of_other_stores_are_not_signed() {
    let server = Server::start().await;
    let (_, run) = server.json("POST", "/api/2.0/mlflow/runs/create", &json!({"experiment_id": "0"})).await;
    let run_id = &run["run"]["info"]["run_id"];
    for what in ["upload", "download"] {
        let target = format!("/api/2.0/mlflow/artifacts/presigned-{what}-url");
        let (status, answer) = server.json("POST", &target, &json!({"run_id": run_id, "path": "a"})).await;
        assert_eq!((status, &answer["error_code"]), (400, &json!("INVALID_PARAMETER_VALUE")));
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("(artifact URI scheme: mlflow-artifacts)"), "{message}");
        let (status, _) = server.json("POST", &target, &json!({"run_id": run_id, "path": "../a"})).await;
        assert_eq!(status, 400);
    }
    server.stop().await;
}
