use super::{BackupError, SaveOptions, Silent, backup, restore};
use crate::{Config, Registry, artifacts::ArtifactError, db::testing::each_engine};
use std::{fs, path::Path};

fn config(data_dir: &Path, database_url: Option<String>) -> Config {
    Config {
        data_dir: data_dir.to_owned(),
        database_url,
        artifacts_url: None,
        default_artifact_root: None,
        listen: ([127, 0, 0, 1], 0).into(),
        allowed_hosts: Vec::new(),
        deployer_mode: "off".into(),
        gateway_url: None,
    }
}

/// A registry with a large and a small blob, opened and still running.
async fn filled(dir: &Path) -> (Registry, Vec<waybill_proof::Digest>) {
    let registry = Registry::open(config(dir, None)).await.unwrap();
    let content = &registry.app().content;
    let mut digests = Vec::new();
    for body in [vec![7_u8; 9 << 20], b"small".to_vec(), Vec::new()] {
        digests.push(content.put_bytes(body).await.unwrap().digest);
    }
    (registry, digests)
}

#[tokio::test]
async fn comes_back_elsewhere_on_either_engine() {
    each_engine(|url| async move {
        let dir = tempfile::tempdir().unwrap();
        let (running, digests) = filled(&dir.path().join("origin")).await;
        fs::create_dir_all(dir.path().join("origin/keys")).unwrap();
        fs::write(dir.path().join("origin/keys/extra.pem"), "a key").unwrap();
        let saved = dir.path().join("saved");
        let origin = config(&dir.path().join("origin"), None);
        let summary = backup(&origin, &saved, SaveOptions { keys: true }, &Silent).await.unwrap();
        assert_eq!(summary.blob_count, 3);
        running.close().await;

        let target = config(&dir.path().join("target"), Some(url));
        assert_eq!(restore(&saved, &target, &Silent).await.unwrap(), summary);
        assert_eq!(fs::read(dir.path().join("target/keys/extra.pem")).unwrap(), b"a key");
        let registry = Registry::open(target.clone()).await.unwrap();
        for digest in digests {
            let bytes = registry.app().content.read_bytes(&digest, u64::MAX).await.unwrap();
            assert_eq!(waybill_proof::Digest::of(&bytes), digest);
        }
        registry.close().await;

        let again = restore(&saved, &target, &Silent).await.unwrap_err();
        assert!(matches!(again, BackupError::RegistryNotEmpty(_)), "{again}");
    })
    .await;
}

#[tokio::test]
async fn one_flipped_byte_is_refused_and_nothing_appears() {
    let dir = tempfile::tempdir().unwrap();
    let (running, digests) = filled(&dir.path().join("origin")).await;
    let origin = config(&dir.path().join("origin"), None);
    let target = config(&dir.path().join("target"), None);
    for damage in ["tables/blobs.jsonl", "blob"] {
        let saved = dir.path().join(format!("saved-{}", damage.len()));
        backup(&origin, &saved, SaveOptions { keys: false }, &Silent).await.unwrap();
        let path = match damage {
            "blob" => super::files::blob_path(&saved, &digests[0]),
            table => saved.join(table),
        };
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let refused = restore(&saved, &target, &Silent).await.unwrap_err();
        assert!(
            matches!(
                refused,
                BackupError::Damaged { .. } | BackupError::Artifacts(ArtifactError::DigestMismatch { .. })
            ),
            "{refused}"
        );
    }
    running.close().await;
    let registry = Registry::open(target).await.unwrap();
    for digest in digests {
        assert_eq!(registry.app().content.exists(&digest).await.unwrap(), None);
    }
    registry.close().await;
}

#[tokio::test]
async fn a_backup_that_was_cut_off_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (running, _) = filled(&dir.path().join("origin")).await;
    let origin = config(&dir.path().join("origin"), None);
    let saved = dir.path().join("saved");
    backup(&origin, &saved, SaveOptions { keys: true }, &Silent).await.unwrap();
    running.close().await;
    fs::remove_file(saved.join("manifest.json")).unwrap();
    let target = config(&dir.path().join("target"), None);
    let refused = restore(&saved, &target, &Silent).await.unwrap_err();
    assert!(matches!(refused, BackupError::NotABackup { .. }), "{refused}");
    let occupied = backup(&origin, &saved, SaveOptions { keys: true }, &Silent).await.unwrap_err();
    assert!(matches!(occupied, BackupError::TargetNotEmpty(_)), "{occupied}");
}
