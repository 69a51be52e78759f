//! Upload sessions.

use super::{body, pattern};
use crate::artifacts::{
    ArtifactError,
    testing::{TestStore, each_store},
    uploads::{self, EXPIRY_MS, FILES_MAX},
};
use bytes::Bytes;
use waybill_client::api::{CreateUpload, Upload, UploadFile};
use waybill_proof::{Digest, manifest::ModelFile};

fn file(path: &str, bytes: &[u8]) -> UploadFile {
    UploadFile { path: path.into(), digest: Digest::of(bytes), size_bytes: bytes.len() as u64 }
}

async fn create(store: &TestStore, files: &[UploadFile]) -> Result<Upload, ArtifactError> {
    uploads::create(&store.content, CreateUpload { files: files.to_vec() }).await
}

async fn consume(store: &TestStore, upload: &Upload) -> Result<Vec<ModelFile>, ArtifactError> {
    let input = (upload.upload_id.clone(), store.content.now_ms());
    store.db.write(input, |tx, (upload_id, now_ms)| Box::pin(uploads::consume(tx, upload_id, *now_ms))).await
}

#[tokio::test]
async fn a_session_takes_what_is_missing_and_is_used_once() {
    each_store(async |store| {
        let (one, two) = (pattern(1000, 1), pattern(9 << 20, 2));
        store.content.put_bytes(one.clone()).await.unwrap();
        let files = [file("b/two", &two), file("a", &one), file("again", &two)];
        let upload = create(&store, &files).await.unwrap();
        assert_eq!(upload.missing, [Digest::of(&two)]);
        assert_eq!(upload.expires_at_ms, store.content.now_ms() + EXPIRY_MS);

        let early = consume(&store, &upload).await.unwrap_err();
        assert!(matches!(early, ArtifactError::Incomplete { missing: 1, .. }), "{early}");

        let send = async |digest, bytes: Bytes| {
            uploads::put(&store.content, &upload.upload_id, digest, &mut body(&bytes, 100_000)).await
        };
        let wrong = send(Digest::of(&two), pattern(9 << 20, 3)).await;
        assert!(matches!(wrong, Err(ArtifactError::DigestMismatch { .. })), "{wrong:?}");
        let short = send(Digest::of(&two), two.slice(..1000)).await;
        assert!(matches!(short, Err(ArtifactError::SizeMismatch { .. })), "{short:?}");
        let unnamed = send(Digest::of(b"x"), "x".into()).await;
        assert!(matches!(unnamed, Err(ArtifactError::NotInUpload { .. })), "{unnamed:?}");
        for _ in 0..2 {
            send(Digest::of(&two), two.clone()).await.unwrap();
        }

        let used = consume(&store, &upload).await.unwrap();
        let expected: Vec<ModelFile> = [("a", &one), ("again", &two), ("b/two", &two)]
            .map(|(path, bytes)| ModelFile {
                path: path.into(),
                digest: Digest::of(bytes),
                size_bytes: bytes.len() as u64,
            })
            .into();
        assert_eq!(used, expected);
        assert!(matches!(consume(&store, &upload).await, Err(ArtifactError::NoUpload { .. })));
    })
    .await;
}

#[tokio::test]
async fn sessions_end() {
    each_store(async |store| {
        let bytes = pattern(10, 1);
        let files = [file("a", &bytes)];
        let (given_up, late) = (create(&store, &files).await.unwrap(), create(&store, &files).await.unwrap());
        assert!(uploads::delete(&store.content, &given_up.upload_id).await.unwrap());
        assert!(!uploads::delete(&store.content, &given_up.upload_id).await.unwrap());

        store.clock.advance(EXPIRY_MS - 1);
        uploads::put(&store.content, &late.upload_id, Digest::of(&bytes), &mut body(&bytes, 10))
            .await
            .unwrap();
        store.clock.advance(1);
        for upload in [&given_up, &late] {
            let mut again = body(&bytes, 10);
            let put = uploads::put(&store.content, &upload.upload_id, Digest::of(&bytes), &mut again).await;
            assert!(matches!(put, Err(ArtifactError::NoUpload { .. })));
            assert!(matches!(consume(&store, upload).await, Err(ArtifactError::NoUpload { .. })));
        }
        // The next session sweeps the expired one.
        create(&store, &files).await.unwrap();
        assert!(!uploads::delete(&store.content, &late.upload_id).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn two_registrations_of_one_session_use_it_once() {
    each_store(async |store| {
        let bytes = pattern(10, 1);
        store.content.put_bytes(bytes.clone()).await.unwrap();
        let upload = create(&store, &[file("a", &bytes)]).await.unwrap();
        let (one, two) = tokio::join!(consume(&store, &upload), consume(&store, &upload));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    })
    .await;
}

#[tokio::test]
async fn bad_names_and_sizes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("test.db").display());
    let location = crate::artifacts::Location::Folder(dir.path().join("artifacts"));
    let store = TestStore::open(&url, location).await;
    let good = file("a", b"x");
    let at = |path: &str| file(path, b"x");
    let huge = UploadFile { size_bytes: u64::MAX, ..good.clone() };
    let two_sizes = UploadFile { path: "b".into(), size_bytes: 2, ..good.clone() };
    let many: Vec<_> = (0..=FILES_MAX).map(|i| at(&i.to_string())).collect();
    for (files, says) in [
        (vec![], "files: 0 files; expected 1 to 20000"),
        (many, "files: 20001 files; expected 1 to 20000"),
        (vec![at("../x")], "\"../x\""),
        (vec![at("")], "files.path: path \"\""),
        (vec![at("a\\b")], "backslash"),
        (vec![at(".git/config")], "signatures leave out"),
        (vec![at(&["x"; 460].join("/"))], "bytes long, at most 900 are taken"),
        (vec![good.clone(), good.clone()], "\"a\" is named twice"),
        (vec![huge], "files.size_bytes: 18446744073709551615 is out of range"),
        (vec![good.clone(), two_sizes], "is named with two sizes"),
    ] {
        let error = create(&store, &files).await.unwrap_err();
        assert!(matches!(error, ArtifactError::Invalid { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}
