use crate::{
    push::version,
    service::{Log, bytes, client, json, stream},
};
use std::{fs, path::Path, sync::Arc};
use waybill_client::{
    Client,
    api::{FrozenContent, ModelVersion, Referrer, ReferrerList},
    progress::Silent,
    pull::{PullError, Pulled, pull_version},
};
use waybill_proof::{
    Digest,
    manifest::{Manifest, ModelFile},
    media_type,
};

const SIGNATURE: &[u8] = b"{\"bundle\":1}";

fn contents() -> Vec<(&'static str, Vec<u8>)> {
    let weights = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    vec![("MLmodel", b"flavors: {}".to_vec()), ("data/weights.bin", weights), ("empty", vec![])]
}

fn manifest() -> Manifest {
    let files = contents().into_iter().map(|(path, bytes)| ModelFile {
        path: path.into(),
        digest: Digest::of(&bytes),
        size_bytes: bytes.len() as u64,
    });
    Manifest::build(files.collect()).unwrap()
}

fn frozen() -> ModelVersion {
    let digest = Digest::of(b"any");
    let content = FrozenContent {
        manifest_digest: manifest().digest(),
        oms_root: digest,
        file_count: 3,
        size_bytes: 300_011,
        requirements_digest: None,
        experiment_config_digest: None,
        registration_snapshot_digest: digest,
    };
    ModelVersion { content: Some(content), ..version() }
}

#[derive(Clone, Copy, PartialEq)]
enum Registry {
    Honest,
    /// Sends a file with one bit changed.
    Flips,
    /// Breaks every download after a third of what was asked for.
    Breaks,
    /// Appends a byte.
    Appends,
}

fn registry(kind: Registry) -> (Client, Log) {
    client(move |_, seen| {
        let path = seen.target.strip_prefix("/api/v1/").unwrap();
        if let Some(path) = path.strip_prefix("versions/uid-1/files/") {
            let (_, mut content) = contents().into_iter().find(|(name, _)| *name == path).unwrap();
            let start =
                seen.header("range").trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
            if kind == Registry::Flips && path == "data/weights.bin" {
                content[1000] ^= 1;
            }
            if kind == Registry::Appends && path == "MLmodel" {
                content.push(b'!');
            }
            let content = content.split_off(start);
            return match kind {
                Registry::Breaks => {
                    stream(vec![content[..content.len().div_ceil(3)].to_vec().into()], content.len() > 1)
                }
                _ => bytes(content),
            };
        }
        match path {
            "versions/uid-1/manifest" => bytes(manifest().to_bytes()),
            "versions/uid-1/referrers" => {
                json(&ReferrerList { referrers: vec![signature(1, b"old"), signature(2, SIGNATURE)] })
            }
            _ => bytes(SIGNATURE),
        }
    })
}

fn signature(created_at_ms: i64, bytes: &[u8]) -> Referrer {
    Referrer {
        artifact_type: media_type::OMS_SIGNATURE.into(),
        digest: Digest::of(bytes),
        size_bytes: bytes.len() as u64,
        created_at_ms,
        signed_by: None,
    }
}

async fn pull(client: &Client, dir: &Path) -> Result<Pulled, PullError> {
    pull_version(client, &frozen(), dir, Arc::new(Silent)).await
}

fn downloads(log: &Log) -> usize {
    log.lock().unwrap().iter().filter(|seen| seen.target.contains("/files/")).count()
}

fn assert_complete(dir: &Path) {
    for (path, bytes) in contents() {
        assert_eq!(fs::read(dir.join(path)).unwrap(), bytes, "{path}");
    }
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["MLmodel", "data", "empty", "model.sig"]);
}

#[tokio::test]
async fn files_and_the_newest_signature_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("new/folder");
    let (client, _) = registry(Registry::Honest);
    let pulled = pull(&client, &target).await.unwrap();
    assert_complete(&target);
    assert_eq!(fs::read(target.join("model.sig")).unwrap(), SIGNATURE);
    assert_eq!((pulled.files, pulled.size_bytes, pulled.received_bytes), (3, 300_011, 300_011));
    assert!(pulled.signature && !pulled.provenance);
}

#[tokio::test]
async fn a_second_pull_fetches_only_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let (client, log) = registry(Registry::Honest);
    pull(&client, dir.path()).await.unwrap();
    fs::write(dir.path().join("MLmodel"), "flavors: []").unwrap();
    let before = downloads(&log);
    let pulled = pull(&client, dir.path()).await.unwrap();
    assert_eq!((downloads(&log) - before, pulled.received_bytes), (1, 11));
    assert_complete(dir.path());
}

#[tokio::test]
async fn a_changed_byte_never_takes_the_files_name() {
    let dir = tempfile::tempdir().unwrap();
    let (client, _) = registry(Registry::Flips);
    let error = pull(&client, dir.path()).await.unwrap_err();
    assert!(matches!(&error, PullError::Digest { what, .. } if what == "data/weights.bin"), "{error}");
    assert!(!dir.path().join("data/weights.bin").exists());
    // The folder is good for another try.
    pull(&registry(Registry::Honest).0, dir.path()).await.unwrap();
    assert_complete(dir.path());
}

#[tokio::test]
async fn more_bytes_than_the_manifest_says_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = pull(&registry(Registry::Appends).0, dir.path()).await.unwrap_err();
    assert!(matches!(&error, PullError::Digest { what, .. } if what == "MLmodel"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn broken_connections_go_on_where_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (client, log) = registry(Registry::Breaks);
    let pulled = pull(&client, dir.path()).await.unwrap();
    assert_complete(dir.path());
    assert_eq!(pulled.received_bytes, 300_011);
    assert!(log.lock().unwrap().iter().any(|seen| seen.header("range") == "bytes=100000-"));
}

#[tokio::test]
async fn a_foreign_file_stops_the_pull_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let (client, log) = registry(Registry::Honest);
    let message = pull(&client, dir.path()).await.unwrap_err().to_string();
    assert!(message.contains("notes.txt is not part of the version"), "{message}");
    assert_eq!((downloads(&log), fs::read(dir.path().join("notes.txt")).unwrap()), (0, b"mine".to_vec()));
}

#[tokio::test]
async fn a_link_in_the_folder_is_not_followed() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(outside.path(), dir.path().join("data")).unwrap();
    let message = pull(&registry(Registry::Honest).0, dir.path()).await.unwrap_err().to_string();
    assert!(message.contains("data is a symbolic link"), "{message}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn another_manifest_than_promised_is_refused() {
    let (client, _) = registry(Registry::Honest);
    let mut version = frozen();
    version.content.as_mut().unwrap().manifest_digest = Digest::of(b"other");
    let dir = tempfile::tempdir().unwrap();
    let error = pull_version(&client, &version, dir.path(), Arc::new(Silent)).await.unwrap_err();
    assert!(matches!(&error, PullError::Digest { what, .. } if what == "the manifest"), "{error}");
}

#[tokio::test]
async fn a_version_without_files_says_where_they_are() {
    let (client, _) = registry(Registry::Honest);
    let mut elsewhere = version();
    elsewhere.source = "s3://bucket/model".into();
    let dir = tempfile::tempdir().unwrap();
    let error = pull_version(&client, &elsewhere, dir.path(), Arc::new(Silent)).await.unwrap_err();
    assert!(error.to_string().contains("s3://bucket/model"), "{error}");
}
