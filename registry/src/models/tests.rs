//! Models and versions on both engines.

use super::{
    Content, ModelsError, Registering, Tagged, Tags, create_model, delete_alias, delete_model,
    delete_version, download_uri, latest_versions, model, register, rename_model, resolve, set_alias,
    set_tag, stage, version, version_by_alias, version_by_uid,
};
use crate::{
    error::Failure as _,
    provenance,
    runs::{
        LoggedMetric, Metric, RunStatus,
        lifecycle::{self, StartRun, Update},
        logging, store,
    },
    testing::{TestRegistry, cause, each_registry},
};
use futures::future::join_all;
use std::{collections::BTreeSet, time::Duration};
use waybill_client::api::{Custody, Stage};
use waybill_proof::media_type;

#[tokio::test]
async fn a_model_lives_and_dies() {
    each_registry(|registry| async move {
        let app = registry.app();
        let tags = Tags::from([("team".to_owned(), "blue".to_owned())]);
        create_model(app, cause(), "iris", Some("flowers".into()), tags).await.unwrap();
        let again = create_model(app, cause(), "iris", None, Tags::new()).await.unwrap_err();
        assert_eq!(again.to_string(), "Registered Model (name=iris) already exists.");
        let prompt = Tags::from([(super::IS_PROMPT_TAG.to_owned(), "true".to_owned())]);
        let mixed = create_model(app, cause(), "iris", None, prompt).await.unwrap_err();
        assert!(mixed.to_string().contains("Tried to create a prompt with name 'iris'"), "{mixed}");

        for expected in 1..=3 {
            assert_eq!(registry.pointer("iris").await.version, expected);
        }
        delete_version(app, cause(), "iris", 3).await.unwrap();
        assert_eq!(registry.pointer("iris").await.version, 4, "numbers are never given twice");
        assert!(matches!(
            version(app, "iris", 3).await,
            Err(ModelsError::VersionNotFound { version: 3, .. })
        ));

        rename_model(app, cause(), "iris", "flower").await.unwrap();
        assert!(matches!(model(app, "iris").await, Err(ModelsError::ModelNotFound { .. })));
        let uid = version(app, "flower", 1).await.unwrap().version.uid;
        delete_model(app, cause(), "flower").await.unwrap();
        assert!(matches!(model(app, "flower").await, Err(ModelsError::ModelNotFound { .. })));
        let kept = version_by_uid(app, &uid).await.unwrap().version;
        assert!(kept.deleted, "evidence outlives names");

        let reborn = registry.pointer("flower").await;
        assert_eq!(reborn.version, 1);
        assert_ne!(reborn.uid, uid);
    })
    .await;
}

#[tokio::test]
async fn aliases_and_tags_move() {
    each_registry(|registry| async move {
        let app = registry.app();
        registry.pointer("iris").await;
        registry.pointer("iris").await;
        set_alias(app, cause(), "iris", "champion", 1).await.unwrap();
        set_alias(app, cause(), "iris", "champion", 2).await.unwrap();
        assert_eq!(version_by_alias(app, "iris", "champion").await.unwrap().version.version, 2);
        assert_eq!(version_by_alias(app, "iris", "Latest").await.unwrap().version.version, 2);
        assert_eq!(version(app, "iris", 2).await.unwrap().aliases, ["champion"]);
        let missing = set_alias(app, cause(), "iris", "x", 9).await.unwrap_err();
        assert_eq!(missing.to_string(), "Model Version (name=iris, version=9) not found");
        delete_version(app, cause(), "iris", 2).await.unwrap();
        assert!(model(app, "iris").await.unwrap().aliases.is_empty(), "aliases go with their version");
        delete_alias(app, cause(), "iris", "champion").await.unwrap();

        set_tag(app, cause(), Tagged::Version("iris".into(), 1), "k", "").await.unwrap();
        set_tag(app, cause(), Tagged::Version("iris".into(), 1), "k", "v").await.unwrap();
        assert_eq!(version(app, "iris", 1).await.unwrap().tags, Tags::from([("k".into(), "v".into())]));
    })
    .await;
}

#[tokio::test]
async fn references_name_one_version() {
    each_registry(|registry| async move {
        let app = registry.app();
        let first = registry.frozen("iris", "one").await;
        registry.frozen("iris", "two").await;
        set_alias(app, cause(), "iris", "champion", 1).await.unwrap();
        let digest = first.content.as_ref().unwrap().manifest_digest;
        let by_digest = format!("iris@{digest}");
        for (reference, expected) in [
            ("iris@2", 2),
            ("iris@alias:champion", 1),
            ("iris@champion", 1),
            (by_digest.as_str(), 1),
            ("iris@stage:none", 2),
        ] {
            assert_eq!(resolve(app, reference).await.unwrap().version.version, expected, "{reference}");
        }
        for (reference, code) in [
            ("iris", "REFERENCE_INVALID"),
            ("iris@9", "VERSION_NOT_FOUND"),
            ("nobody@1", "MODEL_NOT_FOUND"),
            ("iris@alias:x", "REFERENCE_NOT_FOUND"),
            ("iris@stage:production", "REFERENCE_NOT_FOUND"),
            ("iris@x", "REFERENCE_NOT_FOUND"),
        ] {
            assert_eq!(resolve(app, reference).await.unwrap_err().code(), code, "{reference}");
        }
        set_alias(app, cause(), "iris", "none", 1).await.unwrap();
        assert_eq!(resolve(app, "iris@none").await.unwrap_err().code(), "REFERENCE_AMBIGUOUS");
    })
    .await;
}

#[tokio::test]
async fn a_frozen_version_verifies_and_stays() {
    each_registry(|registry| async move {
        let frozen = registry.frozen("iris", "one").await;
        let report = registry.verify(&frozen.uid, &frozen).await;
        assert!(report.passed(), "{report:?}");
        assert_eq!(
            download_uri(registry.app(), "iris", 1).await.unwrap(),
            format!("mlflow-artifacts:/.versions/{}", frozen.uid)
        );

        registry.put(&[("iris/one/MLmodel", "overwritten"), ("iris/one/extra", "added")]).await;
        let file =
            crate::artifacts::ArtifactPath::parse(&format!(".versions/{}/MLmodel", frozen.uid)).unwrap();
        let blob = registry.app().content.find_file(&file).await.unwrap();
        assert_eq!(blob.digest, waybill_proof::Digest::of(b"one"));

        let again = registry.freeze("iris", "iris/one").await;
        assert_ne!(again.content.as_ref().unwrap().oms_root, frozen.content.unwrap().oms_root);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_points_at_another_signed_model_fails() {
    each_registry(|registry| async move {
        let good = registry.frozen("iris", "good").await;
        let evil = registry.frozen("other", "evil").await;
        let (evil_uid, good_uid) = (evil.uid.clone(), good.uid.clone());
        registry
            .app()
            .db
            .write((good_uid, evil_uid), |tx, (good, evil)| {
                Box::pin(async move {
                    tx.query(
                        "UPDATE model_versions SET manifest_digest =
                             (SELECT manifest_digest FROM model_versions WHERE uid = $2) WHERE uid = $1",
                    )
                    .bind(good.clone())
                    .bind(evil.clone())
                    .execute()
                    .await?;
                    tx.query("DELETE FROM referrers WHERE uid = $1").bind(good.clone()).execute().await?;
                    tx.query("UPDATE referrers SET uid = $1 WHERE uid = $2")
                        .bind(good.clone())
                        .bind(evil.clone())
                        .execute()
                        .await
                })
            })
            .await
            .map_err(|e: crate::db::DbError| e)
            .unwrap();
        let report = registry.verify(&good.uid, &good).await;
        assert!(!report.passed(), "every signature is real, but about another version");
        assert_eq!(report.check("registration").unwrap().ok, waybill_proof::verify::Outcome::Failed);
    })
    .await;
}

#[tokio::test]
async fn a_renamed_model_still_verifies() {
    each_registry(|registry| async move {
        registry.frozen("iris", "one").await;
        rename_model(registry.app(), cause(), "iris", "flower").await.unwrap();
        let renamed = version(registry.app(), "flower", 1).await.unwrap().version;
        let report = registry.verify(&renamed.uid, &renamed).await;
        assert!(report.passed(), "{report:?}");
    })
    .await;
}

#[tokio::test]
async fn registrations_at_once_get_numbers_of_their_own() {
    each_registry(|registry| async move {
        registry.put(&[("m/MLmodel", "same")]).await;
        let all = join_all((0..16).map(|_| registry.freeze("iris", "m"))).await;
        let numbers: BTreeSet<i64> = all.iter().map(|version| version.version).collect();
        assert_eq!(numbers, (1..=16).collect());
        for made in &all {
            assert!(registry.verify(&made.uid, made).await.passed());
        }
    })
    .await;
}

/// A client that goes away, or a server that is killed, at any point of a registration.
#[tokio::test]
async fn a_registration_cut_off_leaves_all_or_nothing() {
    each_registry(|registry| async move {
        registry.put(&[("m/MLmodel", "text"), ("m/requirements.txt", "a==1\n")]).await;
        for round in 0..40 {
            let _ =
                tokio::time::timeout(Duration::from_micros(round * 400), registry.freeze("iris", "m")).await;
        }
        let last = registry.freeze("iris", "m").await.version;
        for number in 1..=last {
            let found = version(registry.app(), "iris", number).await.unwrap().version;
            assert!(registry.verify(&found.uid, &found).await.passed(), "{number} of {last}");
        }
    })
    .await;
}

#[tokio::test]
async fn custody_follows_the_source() {
    each_registry(|registry| async move {
        let app = registry.app();
        registry.put(&[("m/MLmodel", "text")]).await;
        let ask = |source: &str, tags: Tags| {
            let asked = Registering {
                name: "iris".into(),
                from: Content::Source(source.into()),
                make_model: true,
                tags,
                ..Registering::default()
            };
            register(app, cause(), asked)
        };
        let prompt = || Tags::from([(super::IS_PROMPT_TAG.to_owned(), "true".to_owned())]);
        for (source, tags, custody) in [
            ("mlflow-artifacts:/m", Tags::new(), Custody::Frozen),
            ("mlflow-artifacts:/nothing/there", Tags::new(), Custody::Pointer),
            ("runs:/unknown/model", Tags::new(), Custody::Pointer),
            ("s3://bucket/model", Tags::new(), Custody::Pointer),
            ("models:/iris/1", Tags::new(), Custody::Frozen),
            ("models:/iris/4", Tags::new(), Custody::Pointer),
            ("dummy-source", prompt(), Custody::Prompt),
        ] {
            let made = ask(source, tags).await.unwrap();
            assert_eq!(made.custody, custody, "{source}");
            assert_eq!(made.source, source);
        }
        assert_eq!(download_uri(app, "iris", 6).await.unwrap(), "s3://bucket/model", "copies are followed");
        for (source, tags) in [
            ("/etc", Tags::new()),
            ("file:///etc", Tags::new()),
            ("s3://b/../x", Tags::new()),
            ("http://169.254.169.254/latest", Tags::new()),
            ("models:/m-unknown", Tags::new()),
            ("models:/iris/99", Tags::new()),
            ("models:/iris/7", Tags::new()),
            ("/etc", prompt()),
        ] {
            assert!(ask(source, tags).await.is_err(), "{source}");
        }
        let stages: Vec<_> = latest_versions(app, "iris", &[Stage::None]).await.unwrap();
        assert_eq!(stages.len(), 1);
        assert_eq!(stage::mlflow_name(stages[0].version.stage), "None");
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_run_is_attested_once() {
    each_registry(|registry| async move {
        let app = registry.app();
        let (run_id, asked) = started(&registry).await;
        let made = register(app, cause(), asked).await.unwrap();
        assert_eq!((made.custody, made.run_id.as_ref()), (Custody::Frozen, Some(&run_id)));
        provenance::attest(app, &run_id).await.unwrap();
        assert_eq!(attested(&registry, &made.uid).await, 0, "the run goes on");

        let end = || Update { status: Some(RunStatus::Finished), end_time_ms: Some(9), name: None };
        lifecycle::update(app, run_id.clone(), end()).await.unwrap();
        // Beside the one in the background; several at once are one.
        let at_once = (0..6).map(|_| provenance::attest(app, &run_id));
        futures::future::try_join_all(at_once).await.unwrap();
        while attested(&registry, &made.uid).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let again = (0..6).map(|_| provenance::attest(app, &run_id));
        futures::future::try_join_all(again).await.unwrap();
        assert_eq!(attested(&registry, &made.uid).await, 1, "the same end again says nothing new");
        assert!(registry.verify(&made.uid, &made).await.passed());
    })
    .await;
}

/// As when the server is killed between the end and its attestation.
#[tokio::test]
async fn an_end_that_was_not_attested_is_at_the_next_start() {
    each_registry(|registry| async move {
        let app = registry.app();
        let (run_id, asked) = started(&registry).await;
        let made = register(app, cause(), asked).await.unwrap();
        let end = async |end_time_ms| {
            let sql = store::updating(app.db.engine(), &run_id, Some(RunStatus::Finished), Some(end_time_ms));
            app.db.write_at_once(sql).await.unwrap();
        };
        for (ends, end_time_ms) in [(1, 9), (2, 4_000_000_000_000)] {
            let metric = Metric { key: "loss".into(), value: 0.5, timestamp_ms: 1, step: ends };
            let logged = LoggedMetric { metric, model_id: None, dataset_name: None, dataset_digest: None };
            logging::metric(app, run_id.clone(), logged).await.unwrap();
            end(end_time_ms).await;
            for _ in 0..2 {
                provenance::attest_missing(app).await.unwrap();
                assert_eq!(attested(&registry, &made.uid).await as i64, ends);
            }
        }
        assert!(registry.verify(&made.uid, &made).await.passed());
    })
    .await;
}

/// What a client sends who takes nanoseconds for milliseconds, or counts steps from 2^62.
#[tokio::test]
async fn a_run_with_integers_beyond_a_double_is_registered() {
    each_registry(|registry| async move {
        let app = registry.app();
        let (run_id, asked) = started(&registry).await;
        let metric =
            Metric { key: "loss".into(), value: 0.5, timestamp_ms: 1_790_000_000_000_000_001, step: 1 << 62 };
        let logged = LoggedMetric { metric, model_id: None, dataset_name: None, dataset_digest: None };
        logging::metric(app, run_id.clone(), logged).await.unwrap();
        let made = register(app, cause(), asked).await.unwrap();
        let end = Update { status: Some(RunStatus::Finished), end_time_ms: Some(i64::MAX), name: None };
        lifecycle::update(app, run_id.clone(), end).await.unwrap();
        provenance::attest(app, &run_id).await.unwrap();
        assert!(attested(&registry, &made.uid).await > 0);
        assert!(registry.verify(&made.uid, &made).await.passed());
    })
    .await;
}

#[tokio::test]
async fn a_run_that_ends_while_it_is_registered_is_attested() {
    each_registry(|registry| async move {
        let app = registry.app();
        for _ in 0..8 {
            let (run_id, asked) = started(&registry).await;
            let end = Update { status: Some(RunStatus::Finished), end_time_ms: Some(9), name: None };
            let (made, ended) =
                tokio::join!(register(app, cause(), asked), Box::pin(lifecycle::update(app, run_id, end)));
            ended.unwrap();
            let uid = made.unwrap().uid;
            let all = async {
                while attested(&registry, &uid).await == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), all).await.expect("its end is attested");
        }
    })
    .await;
}

/// A registration as a copy reads a manifest while it reads rows.
#[tokio::test]
async fn many_copies_at_once_do_not_wait_for_each_other() {
    each_registry(|registry| async move {
        registry.frozen("iris", "one").await;
        let copies = (0..24).map(|_| {
            let asked = Registering {
                name: "copy".into(),
                from: Content::Source("models:/iris/1".into()),
                make_model: true,
                ..Registering::default()
            };
            register(registry.app(), cause(), asked)
        });
        for made in join_all(copies).await {
            assert_eq!(made.unwrap().custody, Custody::Frozen);
        }
    })
    .await;
}

/// A running run with a model, and the registration of it.
async fn started(registry: &TestRegistry) -> (String, Registering) {
    let start =
        StartRun { experiment_id: 0, user_id: "ann".into(), start_time_ms: 1, name: None, tags: Vec::new() };
    let run_id = lifecycle::start(registry.app(), start).await.unwrap().run.run_id;
    registry.put(&[(&format!("0/{run_id}/artifacts/model/MLmodel"), "text")]).await;
    let from = Content::Source(format!("runs:/{run_id}/model"));
    let asked = Registering { name: "iris".into(), from, make_model: true, ..Registering::default() };
    (run_id, asked)
}

async fn attested(registry: &TestRegistry, uid: &str) -> usize {
    let all = provenance::referrers(registry.app(), uid).await.unwrap();
    all.into_iter().filter(|referrer| referrer.artifact_type == media_type::RUN_COMPLETED).count()
}
