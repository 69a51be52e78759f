//! Upload sessions and blobs of the native API, over a real socket.

use super::{
    pattern,
    support::{After, Answer, Server},
};
use serde_json::{Value, json};
use waybill_proof::Digest;

async fn create(server: &Server, files: Value) -> Answer {
    let body = json!({ "files": files }).to_string();
    server.send("POST", "/api/v1/uploads", &[("Content-Type", "application/json")], body.as_bytes()).await
}

async fn put(server: &Server, upload_id: &str, digest: &str, body: &[u8]) -> Answer {
    let target = format!("/api/v1/uploads/{upload_id}/blobs/{digest}");
    server.send("PUT", &target, &[("Content-Type", "application/octet-stream")], body).await
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"))
}

fn problem(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    (answer.status, json_of(answer)["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_is_missing_is_sent_and_read_back() {
    let server = Server::start().await;
    let bytes = pattern(9 << 20);
    let digest = Digest::of(&bytes).to_string();
    server.put("seen/before", b"seen").await;
    let created = create(
        &server,
        json!([
            { "path": "weights.bin", "digest": digest, "size_bytes": bytes.len() },
            { "path": "seen", "digest": Digest::of(b"seen"), "size_bytes": 4 },
        ]),
    )
    .await;
    assert_eq!(created.status, 201, "{}", created.text());
    let upload = json_of(&created);
    assert_eq!(upload["missing"], json!([digest]));
    let upload_id = upload["upload_id"].as_str().unwrap();

    let mut other = bytes.clone();
    other[0] ^= 1;
    let mismatch = put(&server, upload_id, &digest, &other).await;
    assert_eq!(problem(&mismatch), (400, "DIGEST_MISMATCH".into()));
    let detail = json_of(&mismatch)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&digest) && detail.contains(&Digest::of(&other).to_string()), "{detail}");
    let short = put(&server, upload_id, &digest, &bytes[..100]).await;
    assert_eq!(problem(&short), (400, "SIZE_MISMATCH".into()));
    let unnamed = put(&server, upload_id, &Digest::of(b"x").to_string(), b"x").await;
    assert_eq!(problem(&unnamed), (400, "DIGEST_NOT_IN_UPLOAD".into()));
    let no_digest = put(&server, upload_id, "sha256:xyz", b"x").await;
    assert_eq!(problem(&no_digest), (400, "DIGEST_INVALID".into()));
    let no_session = put(&server, "upl-none", &digest, &bytes).await;
    assert_eq!(problem(&no_session), (404, "UPLOAD_NOT_FOUND".into()));
    let head = format!(
        "PUT /api/v1/uploads/{upload_id}/blobs/{digest} HTTP/1.1\nHost: {}\nContent-Length: {}\n\n",
        server.address,
        bytes.len()
    );
    let cut = server.raw(&head, &bytes[..5 << 20], After::HalfClose).await;
    assert!(cut.status == 0 || problem(&cut) == (400, "BODY_TRUNCATED".into()), "{cut:?}");
    server.wait_for_objects(1).await;

    let stored = put(&server, upload_id, &digest, &bytes).await;
    assert_eq!((stored.status, stored.body.len()), (204, 0));
    let blob = server.send("GET", &format!("/api/v1/blobs/{digest}"), &[], b"").await;
    assert_eq!((blob.status, blob.header("etag")), (200, Some(format!("\"{digest}\"").as_str())));
    assert!(blob.body == bytes);
    let part = server.send("GET", &format!("/api/v1/blobs/{digest}"), &[("Range", "bytes=-5")], b"").await;
    assert_eq!((part.status, part.body.as_slice()), (206, &bytes[bytes.len() - 5..]));
    server.stop().await;
}

#[tokio::test]
async fn sessions_and_blobs_that_are_not_there() {
    let server = Server::start().await;
    for (answer, expected) in [
        (create(&server, json!([])).await, (400, "FIELD_INVALID")),
        (
            create(&server, json!([{ "path": "../x", "digest": Digest::of(b""), "size_bytes": 0 }])).await,
            (400, "FIELD_INVALID"),
        ),
        (server.send("DELETE", "/api/v1/uploads/upl-none", &[], b"").await, (404, "UPLOAD_NOT_FOUND")),
        (
            server.send("GET", &format!("/api/v1/blobs/{}", Digest::of(b"none")), &[], b"").await,
            (404, "BLOB_NOT_FOUND"),
        ),
        (server.send("GET", "/api/v1/blobs/md5:00", &[], b"").await, (400, "DIGEST_INVALID")),
    ] {
        assert_eq!(problem(&answer), (expected.0, expected.1.to_owned()), "{answer:?}");
    }
    let created =
        create(&server, json!([{ "path": "x", "digest": Digest::of(b"x"), "size_bytes": 1 }])).await;
    let upload_id = json_of(&created)["upload_id"].as_str().unwrap().to_owned();
    let given_up = server.send("DELETE", &format!("/api/v1/uploads/{upload_id}"), &[], b"").await;
    assert_eq!((given_up.status, given_up.body.len()), (204, 0));
    let late = put(&server, &upload_id, &Digest::of(b"x").to_string(), b"x").await;
    assert_eq!(problem(&late), (404, "UPLOAD_NOT_FOUND".into()));
    server.stop().await;
}
