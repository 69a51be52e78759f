use crate::service::{Log, client, json, problem, status};
use std::{fs, path::Path, sync::Arc};
use waybill_client::{
    Client,
    api::{CreateUpload, Custody, ModelVersion, RegisterVersion, Stage, Upload},
    progress::Silent,
    push::{PushError, PushOptions, Pushed, push_directory},
};
use waybill_proof::Digest;

pub fn version() -> ModelVersion {
    ModelVersion {
        uid: "uid-1".into(),
        name: "plain".into(),
        version: 1,
        custody: Custody::Frozen,
        stage: Stage::None,
        aliases: vec![],
        source: "upload".into(),
        description: None,
        run_id: None,
        model_id: None,
        created_by: "local".into(),
        created_at_ms: 1,
        content: None,
    }
}

/// A registry that has `stored` and fails the first `failures` uploads with 503.
fn registry(stored: &'static [&'static [u8]], failures: usize) -> (Client, Log) {
    let left = std::sync::atomic::AtomicUsize::new(failures);
    client(move |_, seen| match seen.target.as_str() {
        "/api/v1/uploads" => {
            let request: CreateUpload = serde_json::from_slice(&seen.body).unwrap();
            let mut missing: Vec<Digest> = request.files.iter().map(|file| file.digest).collect();
            missing.sort();
            missing.dedup();
            missing.retain(|digest| stored.iter().all(|bytes| Digest::of(bytes) != *digest));
            json(&Upload { upload_id: "u1".into(), expires_at_ms: 0, missing })
        }
        "/api/v1/models/plain/versions" => json(&version()),
        _ if left.fetch_update(SEQ, SEQ, |left| left.checked_sub(1)).is_ok() => status(503, ""),
        target => {
            let digest = Digest::of(&seen.body);
            if target.ends_with(&digest.hex()) {
                status(201, "")
            } else {
                problem(422, "DIGEST_MISMATCH", target)
            }
        }
    })
}

const SEQ: std::sync::atomic::Ordering = std::sync::atomic::Ordering::SeqCst;

async fn push(client: &Client, dir: &Path) -> Result<Pushed, PushError> {
    let options = PushOptions { description: Some("first".into()), ..PushOptions::default() };
    push_directory(client, "plain", dir, options, Arc::new(Silent)).await
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::write(dir.path().join("data/weights"), vec![7; 700_000]).unwrap();
    fs::write(dir.path().join("copy"), vec![7; 700_000]).unwrap();
    fs::write(dir.path().join("known"), "known").unwrap();
    fs::write(dir.path().join("empty"), "").unwrap();
    dir
}

#[tokio::test]
async fn only_what_is_missing_is_sent_and_each_content_once() {
    let dir = folder();
    let (client, log) = registry(&[b"known"], 0);
    let pushed = push(&client, dir.path()).await.unwrap();
    assert_eq!(pushed.version, version());
    assert_eq!((pushed.files, pushed.size_bytes, pushed.sent_bytes), (4, 1_400_005, 700_000));
    let log = log.lock().unwrap();
    let mut sent: Vec<usize> = log.iter().filter(|s| s.method == "PUT").map(|s| s.body.len()).collect();
    sent.sort_unstable();
    assert_eq!(sent, [0, 700_000]);
    let files: CreateUpload = serde_json::from_slice(&log[0].body).unwrap();
    let paths: Vec<&str> = files.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["copy", "data/weights", "empty", "known"]);
    let registered: RegisterVersion = serde_json::from_slice(&log.last().unwrap().body).unwrap();
    assert_eq!((registered.upload_id.as_str(), registered.description.as_deref()), ("u1", Some("first")));
}

#[tokio::test]
async fn a_broken_upload_goes_again() {
    let dir = folder();
    let (client, log) = registry(&[b"known", b""], 2);
    push(&client, dir.path()).await.unwrap();
    let sent = log.lock().unwrap().iter().filter(|s| s.method == "PUT").count();
    assert_eq!(sent, 3);
}

#[tokio::test]
async fn an_upload_that_keeps_failing_registers_nothing() {
    let dir = folder();
    let (client, log) = registry(&[b"known", b""], usize::MAX);
    push(&client, dir.path()).await.unwrap_err();
    let log = log.lock().unwrap();
    assert!(log.iter().all(|seen| !seen.target.ends_with("/versions")));
}

#[tokio::test]
async fn a_link_out_of_the_folder_sends_nothing() {
    let dir = folder();
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("data/link")).unwrap();
    let (client, log) = registry(&[], 0);
    let message = push(&client, dir.path()).await.unwrap_err().to_string();
    assert!(message.contains("data/link is a symbolic link"), "{message}");
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let (client, _) = registry(&[], 0);
    let message = push(&client, Path::new("/nonexistent/model")).await.unwrap_err().to_string();
    assert!(message.contains("cannot read /nonexistent/model"), "{message}");
}
