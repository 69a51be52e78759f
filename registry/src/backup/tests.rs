use super::{BackupError, Progress, SaveOptions, Silent, backup, restore};
use crate::{
    Config, Registry,
    artifacts::ArtifactError,
    db::{Db, testing::each_engine},
};
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
        mlflow_ui: crate::ui::Source::Off,
        webhooks: crate::webhooks::Settings::default(),
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

#[tokio::test]
async fn a_backup_without_a_damaged_blob_brings_back_the_rest() {
    each_engine(|url| async move {
        let dir = tempfile::tempdir().unwrap();
        let (running, digests) = filled(&dir.path().join("origin")).await;
        damage_stored(&dir.path().join("origin"), 9 << 20);
        let (origin, saved) = (config(&dir.path().join("origin"), None), dir.path().join("saved"));
        let told = backup(&origin, &saved, SaveOptions { keys: true }, &Silent).await.unwrap_err();
        assert!(matches!(told, BackupError::DamagedBlobs { count: 1, .. }), "{told}");
        running.close().await;

        let target = config(&dir.path().join("target"), Some(url));
        assert_eq!(restore(&saved, &target, &Silent).await.unwrap().blob_count, 2);
        let registry = Registry::open(target).await.unwrap();
        let content = &registry.app().content;
        assert_eq!(content.exists(&digests[0]).await.unwrap(), None, "marked as damaged");
        assert!(content.read_bytes(&digests[0], u64::MAX).await.is_err());
        assert_eq!(content.read_bytes(&digests[1], u64::MAX).await.unwrap(), "small");
        content.put_bytes(vec![7_u8; 9 << 20]).await.unwrap();
        content.read_bytes(&digests[0], u64::MAX).await.expect("sent again, it is whole again");
        registry.close().await;
    })
    .await;
}

/// Flips a byte of the stored file of that size.
fn damage_stored(dir: &Path, size: u64) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        if meta.is_dir() {
            damage_stored(&path, size);
        } else if meta.len() == size {
            let mut bytes = fs::read(&path).unwrap();
            bytes[0] ^= 1;
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
}

/// Uses the registry while blobs are copied into it, as a server does that was started too early.
struct Intruder(String);

impl Progress for Intruder {
    fn begin(&self, part: &str, _: Option<u64>) {
        if part != "rows" {
            return;
        }
        let url = self.0.clone();
        let intrude = async move {
            let db = Db::open(&url).await.unwrap();
            db.write((), |tx, ()| {
                Box::pin(async move {
                    tx.query(
                        "INSERT INTO audit_events (at_ms, actor, action, subject) VALUES (1, 'a', 'b', 'c')",
                    )
                    .execute()
                    .await
                })
            })
            .await
            .unwrap();
            db.close().await;
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || runtime.block_on(intrude)).join().unwrap();
    }

    fn advance(&self, _: u64) {}
}

#[tokio::test]
async fn what_was_written_during_a_restore_is_not_replaced() {
    each_engine(|url| async move {
        let dir = tempfile::tempdir().unwrap();
        let (running, _) = filled(&dir.path().join("origin")).await;
        let saved = dir.path().join("saved");
        let origin = config(&dir.path().join("origin"), None);
        backup(&origin, &saved, SaveOptions { keys: false }, &Silent).await.unwrap();
        running.close().await;
        let target = config(&dir.path().join("target"), Some(url.clone()));
        let refused = restore(&saved, &target, &Intruder(url.clone())).await.unwrap_err();
        assert!(matches!(refused, BackupError::RegistryNotEmpty(_)), "{refused}");
        let db = Db::open(&url).await.unwrap();
        let count: Option<i64> =
            db.read().await.unwrap().query("SELECT COUNT(*) FROM audit_events").scalar().await.unwrap();
        assert_eq!(count, Some(1));
        db.close().await;
    })
    .await;
}
