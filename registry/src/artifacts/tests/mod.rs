//! The content store's suite: on a folder and on S3, on SQLite and on PostgreSQL.

mod damage;
mod uploads;

use super::{
    ArtifactError, ArtifactPath, Body, ContentStore, Expected, Location, frozen,
    testing::{TestStore, each_store, s3_location},
    tree::{self, Entry},
};
use crate::db::DbError;
use bytes::Bytes;
use futures::{StreamExt as _, future::join_all, stream};
use std::{convert::Infallible, io};
use waybill_proof::{Digest, manifest::ModelFile};

pub(in crate::artifacts) fn pattern(len: usize, seed: u64) -> Bytes {
    let mut state = 2 * seed + 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

pub(in crate::artifacts) fn body(bytes: &Bytes, chunk: usize) -> Body {
    let chunks: Vec<_> =
        (0..bytes.len()).step_by(chunk).map(|at| bytes.slice(at..bytes.len().min(at + chunk))).collect();
    Body::new(stream::iter(chunks.into_iter().map(Ok::<_, Infallible>)))
}

fn path(text: &str) -> ArtifactPath {
    ArtifactPath::parse(text).unwrap()
}

async fn put(store: &TestStore, at: &str, bytes: &Bytes) -> Result<Digest, ArtifactError> {
    let info = store.content.put_file(&path(at), &mut body(bytes, 70_000), Expected::default()).await?;
    assert_eq!(info.size_bytes, bytes.len() as u64);
    Ok(info.digest)
}

async fn read(
    store: &TestStore,
    digest: &Digest,
    range: Option<std::ops::Range<u64>>,
) -> Result<Vec<u8>, ArtifactError> {
    let (_, mut pieces) = store.content.read(digest, range).await?;
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        whole.extend_from_slice(&piece?);
    }
    Ok(whole)
}

/// Sizes around every boundary: empty, one byte, a batch, a small body's limit, a block, parts.
const SIZES: [usize; 8] =
    [0, 1, (1 << 20) - 1, 1 << 20, (4 << 20) + 1, (8 << 20) - 1, 8 << 20, (21 << 20) + 12_345];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_in_comes_out() {
    each_store(async |store| {
        for (seed, size) in SIZES.into_iter().enumerate() {
            let bytes = pattern(size, seed as u64);
            for expected in [
                Expected::default(),
                Expected { digest: Some(Digest::of(&bytes)), size_bytes: Some(size as u64) },
            ] {
                let info = store.content.put_blob(&mut body(&bytes, 300_001), expected).await.unwrap();
                assert_eq!(info.digest, Digest::of(&bytes), "{size}");
                assert_eq!(info.size_bytes, size as u64);
            }
            let digest = Digest::of(&bytes);
            assert!(read(&store, &digest, None).await.unwrap() == bytes, "{size}");
            let (from, to) = (size / 3, size - size / 5);
            let part = read(&store, &digest, Some(from as u64..to as u64)).await.unwrap();
            assert!(part == bytes[from..to], "{size}");
            let beyond = read(&store, &digest, Some(0..size as u64 + 1)).await;
            assert!(matches!(beyond, Err(ArtifactError::Range { .. })));
        }
        // Twice each, kept once, and nothing on its way in.
        if store.folder.is_some() {
            assert_eq!(store.objects().len(), SIZES.len());
        }
        let unknown = Digest::of(b"never stored");
        assert!(matches!(read(&store, &unknown, None).await, Err(ArtifactError::NoBlob { .. })));
        assert!(store.content.exists(&unknown).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn tiny_chunks_are_taken_as_well() {
    each_store(async |store| {
        let bytes = pattern((1 << 20) + 77, 3);
        let info = store.content.put_blob(&mut body(&bytes, 13), Expected::default()).await.unwrap();
        assert_eq!(info.digest, Digest::of(&bytes));
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_not_what_was_said_leaves_nothing() {
    each_store(async |store| {
        for size in [10, 9 << 20] {
            let bytes = pattern(size, 9);
            let digest = Some(Digest::of(b"other"));
            let mismatch = Expected { digest, size_bytes: None };
            let error = store.content.put_blob(&mut body(&bytes, 65_536), mismatch).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, ArtifactError::DigestMismatch { .. }), "{text}");
            assert!(text.contains(&Digest::of(&bytes).to_string()), "{text}");
            assert!(text.contains(&Digest::of(b"other").to_string()), "{text}");

            let short = Expected { digest: None, size_bytes: Some(size as u64 + 1) };
            let error = store.content.put_blob(&mut body(&bytes, 65_536), short).await.unwrap_err();
            assert!(matches!(error, ArtifactError::SizeMismatch { .. }));

            let cut = stream::iter([Ok(bytes.clone()), Err(io::Error::from(io::ErrorKind::UnexpectedEof))]);
            let outcome =
                store.content.put_file(&path("a/cut"), &mut Body::new(cut), Expected::default()).await;
            assert!(matches!(outcome, Err(ArtifactError::Body(_))));
            assert!(store.content.exists(&Digest::of(&bytes)).await.unwrap().is_none());
        }
        assert_eq!(store.content.list(&path("")).await.unwrap(), []);
        wait_for_objects(&store, 0).await;
    })
    .await;
}

/// A cut-off body's file goes when the last write to it has ended, a moment after the answer.
async fn wait_for_objects(store: &TestStore, count: usize) {
    for _ in 0..1000 {
        if store.objects().len() == count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("expected {count} objects: {:?}", store.objects());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_content_at_once_keeps_one_object() {
    each_store(async |store| {
        for size in [1000, 9 << 20] {
            let bytes = pattern(size, 5);
            let uploads = (0..8).map(|i| {
                let (store, bytes) = (&store, &bytes);
                async move { put(store, &format!("same/{size}/{i}"), bytes).await.unwrap() }
            });
            let digests = join_all(uploads).await;
            assert!(digests.iter().all(|digest| *digest == Digest::of(&bytes)));
            assert!(read(&store, &digests[0], None).await.unwrap() == bytes);
            assert_eq!(store.content.list(&path(&format!("same/{size}"))).await.unwrap().len(), 8);
        }
        if store.folder.is_some() {
            assert_eq!(store.objects().len(), 2, "{:?}", store.objects());
        }
    })
    .await;
}

#[tokio::test]
async fn a_path_is_a_file_or_a_directory() {
    each_store(async |store| {
        let (one, two) = (pattern(10, 1), pattern(20, 2));
        put(&store, "1/run/artifacts/model/MLmodel", &one).await.unwrap();
        put(&store, "1/run/artifacts/model/data/x.bin", &two).await.unwrap();
        put(&store, "1/run/artifacts/model.txt", &two).await.unwrap();

        for (at, existing, what) in [
            ("1/run/artifacts/model", "1/run/artifacts/model", "directory"),
            ("1/run/artifacts/model/MLmodel/x", "1/run/artifacts/model/MLmodel", "file"),
            ("1/run/artifacts/model/MLmodel/x/y", "1/run/artifacts/model/MLmodel", "file"),
        ] {
            let error = put(&store, at, &one).await.unwrap_err();
            assert_eq!(error.to_string(), format!("cannot write {at:?}: {existing:?} is already a {what}"));
        }

        // Rebound to other content; case matters.
        put(&store, "1/run/artifacts/model/MLmodel", &two).await.unwrap();
        put(&store, "1/run/artifacts/model/mlmodel", &one).await.unwrap();
        let found = store.content.find_file(&path("1/run/artifacts/model/MLmodel")).await.unwrap();
        assert_eq!(found.digest, Digest::of(&two));

        let entry = |name: &str, size_bytes| Entry { name: name.into(), size_bytes };
        assert_eq!(
            store.content.list(&path("1/run/artifacts/model")).await.unwrap(),
            [entry("MLmodel", Some(20)), entry("data", None), entry("mlmodel", Some(10))]
        );
        assert_eq!(
            store.content.list(&path("1/run/artifacts")).await.unwrap(),
            [entry("model", None), entry("model.txt", Some(20))]
        );
        assert_eq!(store.content.list(&path("")).await.unwrap(), [entry("1", None)]);
        assert_eq!(store.content.list(&path("1/run/artifacts/model.txt")).await.unwrap(), []);

        let mut conn = store.db.read().await.unwrap();
        let files: Vec<String> = tree::tree(&mut conn, &path("1/run/artifacts/model"))
            .await
            .unwrap()
            .into_iter()
            .map(|file| file.path)
            .collect();
        assert_eq!(files, ["MLmodel", "data/x.bin", "mlmodel"]);
        drop(conn);

        let missing = store.content.find_file(&path("1/none")).await;
        assert!(matches!(missing, Err(ArtifactError::NotFound { .. })));
        let directory = store.content.find_file(&path("1/run")).await;
        assert!(matches!(directory, Err(ArtifactError::IsDirectory { .. })));

        assert!(store.content.remove(&path("1/run/artifacts/model")).await.unwrap());
        assert!(!store.content.remove(&path("1/run/artifacts/model")).await.unwrap());
        assert!(!store.content.remove(&path("")).await.unwrap());
        assert_eq!(
            store.content.list(&path("1/run/artifacts")).await.unwrap(),
            [entry("model.txt", Some(20))]
        );
        // The blobs stay: other paths and versions may name them.
        assert!(read(&store, &Digest::of(&one), None).await.unwrap() == one);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_removals_at_once_leave_no_orphan() {
    each_store(async |store| {
        let bytes = pattern(100, 1);
        for round in 0..20 {
            put(&store, "d/e/first", &bytes).await.unwrap();
            let (above, below) = (path("d"), format!("d/e/{round}"));
            let (removed, added) = tokio::join!(store.content.remove(&above), put(&store, &below, &bytes));
            removed.unwrap();
            added.unwrap();
            // Whoever came last: what find says is what list shows.
            let listed = store.content.list(&path("d/e")).await.unwrap();
            let found = store.content.find_file(&path(&format!("d/e/{round}"))).await.is_ok();
            assert_eq!(listed.iter().any(|entry| entry.name == round.to_string()), found);
            assert_eq!(store.content.list(&path("")).await.unwrap().is_empty(), !found);
        }
    })
    .await;
}

#[tokio::test]
async fn frozen_trees_are_read_only() {
    each_store(async |store| {
        let (one, two) = (pattern(10, 1), pattern(20, 2));
        let mut files = Vec::new();
        for (at, bytes) in
            [("MLmodel", &one), ("data/a/x", &two), ("data/b", &one), ("data/100%41.txt", &two)]
        {
            let info = store.content.put_bytes(bytes.clone()).await.unwrap();
            files.push(ModelFile { path: at.into(), digest: info.digest, size_bytes: info.size_bytes });
        }
        let frozen: Result<(), DbError> =
            store.db.write(files, |tx, files| Box::pin(frozen::insert(tx, "ver-1", files))).await;
        frozen.unwrap();

        let found = store.content.find_file(&path(".versions/ver-1/data/a/x")).await.unwrap();
        assert_eq!(found.digest, Digest::of(&two));
        let entry = |name: &str, size_bytes| Entry { name: name.into(), size_bytes };
        let listed = async |at: &str| store.content.list(&path(at)).await.unwrap();
        assert_eq!(listed(".versions/ver-1").await, [entry("MLmodel", Some(10)), entry("data", None)]);
        assert_eq!(
            listed(".versions/ver-1/data").await,
            [entry("100%41.txt", Some(20)), entry("a", None), entry("b", Some(10))]
        );
        assert_eq!(listed(".versions/ver-1/MLmodel").await, []);
        assert_eq!(listed(".versions").await, []);
        for (at, directory) in [(".versions/ver-1/data", true), (".versions/ver-2/MLmodel", false)] {
            match store.content.find_file(&path(at)).await {
                Err(ArtifactError::IsDirectory { .. }) => assert!(directory),
                Err(ArtifactError::NotFound { .. }) => assert!(!directory),
                other => panic!("{at}: {other:?}"),
            }
        }

        let exact = async |at: &str| store.content.find_version_file("ver-1", at).await;
        assert_eq!(exact("data/100%41.txt").await.unwrap().digest, Digest::of(&two));
        assert!(matches!(exact("data/none").await, Err(ArtifactError::NotFound { .. })));
        assert!(matches!(exact("data").await, Err(ArtifactError::IsDirectory { .. })));
        for escape in ["../x", "%2e%2e/x", "%252e%252e%252fx", "/etc/passwd", ""] {
            assert!(matches!(exact(escape).await, Err(ArtifactError::Invalid { .. })), "{escape}");
        }

        for at in [".versions/ver-1/MLmodel", ".versions/ver-1/new", ".versions", ".versions/x"] {
            assert!(matches!(put(&store, at, &one).await, Err(ArtifactError::ReadOnly { .. })), "{at}");
            let removed = store.content.remove(&path(at)).await;
            assert!(matches!(removed, Err(ArtifactError::ReadOnly { .. })), "{at}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_store_that_cannot_be_used_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let db = crate::db::Db::open(&format!("sqlite:{}", dir.path().join("test.db").display())).await.unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let open = async |location| {
        let (clock, ids) =
            (std::sync::Arc::new(crate::clock::SystemClock), std::sync::Arc::new(crate::ids::RandomIds));
        let opened = ContentStore::open(location, db.clone(), clock, ids).await;
        opened.err().map(|e| e.to_string()).unwrap()
    };
    let error = open(Location::Folder(file.clone())).await;
    assert!(error.starts_with(&format!("cannot write the artifacts folder {}: ", file.display())), "{error}");
    if s3_location().is_some() {
        let error = open(Location::Bucket { bucket: "not-there".into(), prefix: "p".into() }).await;
        assert!(error.starts_with("cannot use the bucket s3://not-there/p: "), "{error}");
        assert!(error.contains("AWS_ENDPOINT_URL"), "{error}");
    }
}

#[tokio::test]
async fn a_failed_bind_leaves_no_object() {
    each_store(async |store| {
        put(&store, "a/b", &pattern(10, 1)).await.unwrap();
        // The path is taken while the body is on its way: found by the write, not by the check before.
        let late = pattern(11, 2);
        let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, Infallible>>();
        let mut slow = Body::new(receiver);
        let at = path("a/c");
        let (uploaded, ()) =
            tokio::join!(store.content.put_file(&at, &mut slow, Expected::default()), async {
                sender.unbounded_send(Ok(late.clone())).unwrap();
                tokio::task::yield_now().await;
                put(&store, "a/c/d", &pattern(10, 1)).await.unwrap();
                drop(sender);
            });
        assert!(matches!(uploaded, Err(ArtifactError::Occupied { .. })), "{uploaded:?}");
        assert!(store.content.exists(&Digest::of(&late)).await.unwrap().is_none());
        assert_eq!(store.objects().len(), usize::from(store.folder.is_some()));
    })
    .await;
}
