use crate::service::{bytes, client, json, problem, status};
use waybill_client::{
    ByteRange, Client, ClientError,
    api::{AcquireLease, Lease, ServerInfo},
    transport,
};
use waybill_proof::Digest;

fn info() -> ServerInfo {
    ServerInfo {
        version: "0.1.0".into(),
        registry_id: "0123456789abcdef0123456789abcdef".into(),
        database: "sqlite".into(),
        artifacts: "file".into(),
        deployer: "off".into(),
        gateway_url: None,
    }
}

#[tokio::test]
async fn names_and_references_arrive_encoded() {
    let (client, log) = client(|_, _| problem(404, "MODEL_NOT_FOUND", "model \"a b\" does not exist"));
    client.get_version("ä b/c?d", 3).await.unwrap_err();
    client.resolve("iris@alias:champion").await.unwrap_err();
    client.log_page("staging", "iris", 7, 100).await.unwrap_err();
    let targets: Vec<String> = log.lock().unwrap().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(
        targets,
        [
            "/api/v1/models/%C3%A4%20b%2Fc%3Fd/versions/3",
            "/api/v1/resolve?ref=iris%40alias%3Achampion",
            "/api/v1/environments/staging/deployments/iris/logs?after_seq=7&limit=100",
        ]
    );
    assert_eq!(log.lock().unwrap()[0].header("host"), "localhost");
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_is_not_repeated() {
    let (client, log) = client(|_, _| problem(409, "LEASE_HELD", "environment staging is held by a"));
    let request = AcquireLease { holder: "b".into(), ttl_ms: 5_000 };
    let error = client.acquire_lease("staging", &request).await.unwrap_err();
    assert_eq!(error.code(), Some("LEASE_HELD"));
    assert_eq!(error.status().unwrap().as_u16(), 409);
    assert_eq!(error.request_id(), Some("req-1"));
    assert_eq!(error.to_string(), "environment staging is held by a (request req-1)");
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again() {
    let (client, log) = client(|number, _| if number < 3 { status(503, "") } else { json(&info()) });
    assert_eq!(client.info().await.unwrap(), info());
    assert_eq!(log.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_busy_is_given_up() {
    let (client, log) = client(|_, _| status(502, "<html>bad gateway</html>"));
    let error = client.info().await.unwrap_err();
    assert_eq!(log.lock().unwrap().len(), 4);
    let message = error.to_string();
    assert!(message.contains("http://localhost/api/v1/info answered 502"), "{message}");
    assert!(message.contains("<html>bad gateway</html>"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_write_is_repeated_under_one_key() {
    let lease = Lease { environment: "staging".into(), holder: "a".into(), fence: 1, expires_at_ms: 2 };
    let answer = lease.clone();
    let (client, log) = client(move |number, _| if number == 0 { status(503, "") } else { json(&answer) });
    let request = AcquireLease { holder: "a".into(), ttl_ms: 5_000 };
    assert_eq!(client.acquire_lease("staging", &request).await.unwrap(), lease);
    client.acquire_lease("staging", &request).await.unwrap();
    let keys: Vec<String> =
        log.lock().unwrap().iter().map(|seen| seen.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 3);
    assert!(!keys[0].is_empty() && keys[0] == keys[1], "{keys:?}");
    assert_ne!(keys[1], keys[2]);
}

#[tokio::test]
async fn calls_name_their_user() {
    let (client, log) = client(|_, _| json(&info()));
    client.clone().for_user("alice").info().await.unwrap();
    client.info().await.unwrap();
    assert_eq!(log.lock().unwrap()[0].header("waybill-user"), "alice");
    assert!(!log.lock().unwrap()[1].headers.contains_key("waybill-user"));
}

#[tokio::test]
async fn a_blob_is_sent_once_with_its_length() {
    let (client, log) = client(|_, _| status(503, ""));
    let digest = Digest::of(b"abc");
    client.put_blob("u1", &digest, transport::full("abc"), 3).await.unwrap_err();
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].method, "PUT");
    assert_eq!(log[0].target, format!("/api/v1/uploads/u1/blobs/sha256%3A{}", digest.hex()));
    assert_eq!(log[0].header("content-length"), "3");
    assert_eq!(log[0].body, "abc");
}

#[tokio::test]
async fn documents_are_capped() {
    let (client, _) = client(|_, _| bytes(vec![0; (16 << 20) + 1]));
    let error = client.blob(&Digest::of(b"")).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { limit_bytes: 16_777_216, .. }), "{error}");
}

#[tokio::test]
async fn something_else_on_the_port_is_told() {
    let (client, _) = client(|_, _| bytes("<!doctype html>"));
    let message = client.info().await.unwrap_err().to_string();
    assert!(message.contains("other than Waybill's API"), "{message}");
}

#[tokio::test]
async fn a_missing_lockfile_is_no_error() {
    let (client, _) = client(|_, _| problem(404, "LOCKFILE_NOT_FOUND", "none"));
    assert_eq!(client.find_lockfile(&Digest::of(b"key")).await.unwrap(), None);
}

#[tokio::test]
async fn ranges_are_inclusive_on_the_wire_and_must_not_be_empty() {
    let (client, log) = client(|_, _| bytes("cd"));
    let range = ByteRange { start: 2, end: Some(4) };
    client.file_stream("u", "data/x y", Some(range)).await.unwrap();
    assert_eq!(log.lock().unwrap()[0].target, "/api/v1/versions/u/files/data/x%20y");
    assert_eq!(log.lock().unwrap()[0].header("range"), "bytes=2-3");
    let empty = ByteRange { start: 2, end: Some(2) };
    let error = client.file_stream("u", "x", Some(empty)).await.err().unwrap();
    assert!(error.to_string().contains("2..2"), "{error}");
}

#[test]
fn addresses_are_checked() {
    for bad in ["localhost:5000", "ftp://x", "", "http://", "/var/run/x"] {
        let message = Client::http(bad).unwrap_err().to_string();
        assert!(message.contains("http://127.0.0.1:5000"), "{bad}: {message}");
    }
}
