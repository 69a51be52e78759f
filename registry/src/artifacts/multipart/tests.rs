//! Uploads in parts, on every store.

use super::*;
use crate::artifacts::testing::{TestStore, each_store};
use crate::artifacts::tests::{body, pattern};
use bytes::Bytes;
use futures::TryStreamExt as _;

fn path(text: &str) -> ArtifactPath {
    ArtifactPath::parse_file(text).unwrap()
}

async fn send(
    store: &TestStore,
    upload_id: &str,
    number: i64,
    bytes: &Bytes,
) -> Result<String, ArtifactError> {
    let sent = put_part(&store.content, upload_id, number, &mut body(bytes, 100_000), None).await?;
    Ok(sent.hex())
}

fn named(etags: &[&str]) -> Vec<SentPart> {
    (1..)
        .zip(etags)
        .map(|(part_number, etag)| SentPart { part_number, etag: format!("\"{etag}\"") })
        .collect()
}

async fn read(store: &TestStore, at: &str) -> Result<Vec<u8>, ArtifactError> {
    let blob = store.content.find_file(&path(at)).await?;
    let pieces: Vec<Bytes> = store.content.open_blob(blob, None).await?.try_collect().await?;
    Ok(pieces.concat())
}

#[tokio::test]
async fn parts_in_any_order_make_one_file() {
    each_store(async |store| {
        let parts = [pattern(9 << 20, 1), pattern(5 << 20, 2), pattern(10, 3)];
        let upload = create(&store.content, path("1/run/big"), 3).await.unwrap();
        let id = upload.upload_id.as_str();
        let three = send(&store, id, 3, &parts[2]).await.unwrap();
        // Sent again, the last counts.
        send(&store, id, 1, &parts[2]).await.unwrap();
        let (one, two) =
            (send(&store, id, 1, &parts[0]).await.unwrap(), send(&store, id, 2, &parts[1]).await.unwrap());
        assert!(matches!(read(&store, "1/run/big").await, Err(ArtifactError::NotFound { .. })));

        let sent = named(&[&one, &two, &three]);
        let done = async || complete(&store.content, id, &path("1/run/big"), sent.clone()).await;
        let both = tokio::join!(done(), done());
        both.0.unwrap();
        both.1.unwrap();
        assert_eq!(read(&store, "1/run/big").await.unwrap(), parts.concat());
        // A client that lost the answer asks again; nothing of the parts stays.
        done().await.unwrap();
        if store.folder.is_some() {
            assert_eq!(store.objects().len(), 1, "{:?}", store.objects());
        }
        let late = send(&store, id, 1, &parts[0]).await;
        assert!(matches!(late, Err(ArtifactError::NoUpload { .. })), "{late:?}");
        let gone = abort(&store.content, id, &path("1/run/big")).await;
        assert!(matches!(gone, Err(ArtifactError::NoUpload { .. })), "{gone:?}");
        assert_eq!(read(&store, "1/run/big").await.unwrap(), parts.concat());
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    each_store(async |store| {
        let at = path("a/file");
        let upload = create(&store.content, at.clone(), 2).await.unwrap();
        let id = upload.upload_id.as_str();
        let one = send(&store, id, 1, &pattern(100, 1)).await.unwrap();
        for number in [0, 3, -1, i64::MAX] {
            let refused = send(&store, id, number, &pattern(1, 1)).await;
            assert!(matches!(refused, Err(ArtifactError::Invalid { .. })), "{number}: {refused:?}");
        }
        let early = complete(&store.content, id, &at, named(&[&one, &one])).await.unwrap_err();
        assert_eq!(early.to_string(), "parts: part 2 was never sent");
        let two = send(&store, id, 2, &pattern(100, 2)).await.unwrap();
        let numbered = |numbers: [i64; 2]| {
            numbers
                .into_iter()
                .zip([&one, &two])
                .map(|(part_number, etag)| SentPart { part_number, etag: etag.clone() })
                .collect::<Vec<_>>()
        };
        for wrong in [
            named(&[]),
            named(&[&one]),
            named(&[&two, &one]),
            named(&[&one, &two, &one]),
            numbered([2, 1]),
            numbered([1, 1]),
        ] {
            let refused = complete(&store.content, id, &at, wrong.clone()).await;
            assert!(matches!(refused, Err(ArtifactError::Invalid { .. })), "{wrong:?}: {refused:?}");
        }
        for (id, at) in [(id, path("a/other")), ("mpu-none", at.clone())] {
            let refused = complete(&store.content, id, &at, named(&[&one, &two])).await;
            assert!(matches!(refused, Err(ArtifactError::NoUpload { .. })), "{refused:?}");
            let refused = abort(&store.content, id, &at).await;
            assert!(matches!(refused, Err(ArtifactError::NoUpload { .. })), "{refused:?}");
        }
        assert!(matches!(read(&store, "a/file").await, Err(ArtifactError::NotFound { .. })));
        complete(&store.content, id, &at, named(&[&one, &two])).await.unwrap();

        for parts in [0, -1, PARTS_MAX + 1, i64::MAX] {
            let refused = create(&store.content, path("b"), parts).await;
            assert!(matches!(refused, Err(ArtifactError::Invalid { field: "num_parts", .. })), "{refused:?}");
        }
        for taken in ["a", "a/file/x", ".versions/v/x"] {
            let refused = create(&store.content, path(taken), 1).await;
            assert!(
                matches!(refused, Err(ArtifactError::Occupied { .. } | ArtifactError::ReadOnly { .. })),
                "{taken}: {refused:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_given_up_or_forgotten_leaves_nothing() {
    each_store(async |store| {
        let aborted = create(&store.content, path("a"), 2).await.unwrap().upload_id;
        send(&store, &aborted, 1, &pattern(2 << 20, 1)).await.unwrap();
        abort(&store.content, &aborted, &path("a")).await.unwrap();
        assert_eq!(store.objects(), Vec::<std::path::PathBuf>::new());
        let late = send(&store, &aborted, 2, &pattern(1, 1)).await;
        assert!(matches!(late, Err(ArtifactError::NoUpload { .. })), "{late:?}");

        let forgotten = create(&store.content, path("a"), 1).await.unwrap().upload_id;
        let etag = send(&store, &forgotten, 1, &pattern(2 << 20, 1)).await.unwrap();
        store.clock.advance(EXPIRY_MS);
        let late = complete(&store.content, &forgotten, &path("a"), named(&[&etag])).await;
        assert!(matches!(late, Err(ArtifactError::NoUpload { .. })), "{late:?}");
        sweep(&store.content);
        for _ in 0..1_000 {
            let row = store::find(&mut store.db.read().await.unwrap(), &forgotten).await.unwrap();
            if row.is_none() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(store::find(&mut store.db.read().await.unwrap(), &forgotten).await.unwrap().is_none());
        assert_eq!(store.objects(), Vec::<std::path::PathBuf>::new());
    })
    .await;
}

#[tokio::test]
async fn a_damaged_part_is_named_and_may_be_sent_again() {
    each_store(async |store| {
        let bytes = pattern(3 << 20, 1);
        let id = create(&store.content, path("a"), 1).await.unwrap().upload_id;
        let etag = send(&store, &id, 1, &bytes).await.unwrap();
        let part = store::part(&mut store.db.read().await.unwrap(), &id, 1).await.unwrap().unwrap();
        store
            .tamper(&part.blob, |mut bytes| {
                bytes[1 << 20] ^= 1;
                Some(bytes)
            })
            .await;
        let damaged = complete(&store.content, &id, &path("a"), named(&[&etag])).await;
        assert!(matches!(damaged, Err(ArtifactError::PartLost { number: 1 })), "{damaged:?}");
        send(&store, &id, 1, &bytes).await.unwrap();
        complete(&store.content, &id, &path("a"), named(&[&etag])).await.unwrap();
        assert_eq!(read(&store, "a").await.unwrap(), bytes);
    })
    .await;
}
