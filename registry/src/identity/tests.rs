use super::IdentityError;
use crate::{Config, OpenError, Registry, db::testing::each_engine};
use std::{fs, path::Path};

fn config(data_dir: &Path, database_url: &str) -> Config {
    Config {
        data_dir: data_dir.to_owned(),
        database_url: Some(database_url.to_owned()),
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

async fn refusal(config: Config) -> IdentityError {
    match Registry::open(config).await {
        Err(OpenError::Identity(refused)) => refused,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
    }
}

#[tokio::test]
async fn the_id_stays_and_is_told() {
    each_engine(|url| async move {
        let dir = tempfile::tempdir().unwrap();
        let first = Registry::open(config(dir.path(), &url)).await.unwrap();
        let id = first.app().registry_id.clone();
        assert!(super::is_id(&id), "{id}");
        first.close().await;
        assert_eq!(fs::read_to_string(dir.path().join("artifacts/registry-id")).unwrap(), format!("{id}\n"));
        let again = Registry::open(config(dir.path(), &url)).await.unwrap();
        assert_eq!(again.app().registry_id, id);
        again.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_new_database_beside_a_full_store_is_refused() {
    each_engine(|url| async move {
        let dir = tempfile::tempdir().unwrap();
        Registry::open(config(dir.path(), &url)).await.unwrap().close().await;
        let made_anew = format!("sqlite:{}", dir.path().join("lost.db").display());
        for _ in 0..2 {
            let refused = refusal(config(dir.path(), &made_anew)).await;
            assert!(matches!(refused, IdentityError::OtherStore { .. }), "{refused}");
        }
        Registry::open(config(dir.path(), &url)).await.unwrap().close().await;
    })
    .await;
}

#[tokio::test]
async fn a_store_that_is_not_mounted_is_refused() {
    each_engine(|url| async move {
        let dir = tempfile::tempdir().unwrap();
        Registry::open(config(dir.path(), &url)).await.unwrap().close().await;
        let (mounted, away) = (dir.path().join("artifacts"), dir.path().join("away"));
        fs::rename(&mounted, &away).unwrap();
        let refused = refusal(config(dir.path(), &url)).await;
        assert!(matches!(&refused, IdentityError::StoreMissing { .. }), "{refused}");
        assert!(refused.to_string().contains("mounted"), "{refused}");
        fs::remove_dir_all(&mounted).unwrap();
        fs::rename(&away, &mounted).unwrap();
        Registry::open(config(dir.path(), &url)).await.unwrap().close().await;

        fs::write(mounted.join("registry-id"), "what?").unwrap();
        let refused = refusal(config(dir.path(), &url)).await;
        assert!(matches!(&refused, IdentityError::Marker { .. }), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_lost_key_is_not_replaced_in_silence() {
    each_engine(|url| async move {
        let dir = tempfile::tempdir().unwrap();
        Registry::open(config(dir.path(), &url)).await.unwrap().close().await;
        let key = config(dir.path(), &url).key_path();
        fs::remove_file(&key).unwrap();
        let refused = refusal(config(dir.path(), &url)).await;
        assert!(matches!(refused, IdentityError::KeyMissing { .. }), "{refused}");
        assert!(!key.exists());
    })
    .await;
}

#[tokio::test]
async fn bytes_that_were_away_are_available_again_once_read() {
    each_engine(|url| async move {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(config(dir.path(), &url)).await.unwrap();
        let content = registry.app().content.clone();
        let digest = content.put_bytes("here again").await.unwrap().digest;
        let (blobs, away) = (dir.path().join("artifacts/blobs"), dir.path().join("away"));
        fs::rename(&blobs, &away).unwrap();
        assert!(content.read_bytes(&digest, 100).await.is_err());
        let mut marked = content.exists(&digest).await.unwrap().is_none();
        for _ in 0..200 {
            if marked {
                break;
            }
            // The mark is written beside the answer.
            registry
                .app()
                .db
                .write((), |_, ()| Box::pin(async { Ok::<_, crate::db::DbError>(()) }))
                .await
                .unwrap();
            tokio::task::yield_now().await;
            marked = content.exists(&digest).await.unwrap().is_none();
        }
        assert!(marked, "marked as damaged");
        fs::rename(&away, &blobs).unwrap();
        assert_eq!(content.read_bytes(&digest, 100).await.unwrap(), "here again");
        assert!(content.exists(&digest).await.unwrap().is_some(), "whole again");
        registry.close().await;
    })
    .await;
}
