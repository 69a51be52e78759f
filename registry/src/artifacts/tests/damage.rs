//! Objects that are no longer what was stored.

use super::{path, pattern, put, read};
use crate::artifacts::{
    ArtifactError,
    store::find,
    testing::{TestStore, each_store},
};
use waybill_proof::Digest;

/// Waits until the row says so: the mark is written after the failed read has been answered.
async fn wait_until_damaged(store: &TestStore, digest: &Digest) {
    for _ in 0..1000 {
        let blob = find(&mut store.db.read().await.unwrap(), digest).await.unwrap().unwrap();
        if !blob.available {
            return;
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{digest} was not marked as damaged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_by_whole_and_by_range_and_healed_by_the_next_upload() {
    each_store(async |store| {
        let size = (9 << 20) + 5;
        for (seed, damage) in [0usize, 5 << 20, size - 1].into_iter().enumerate() {
            let bytes = pattern(size, 100 + seed as u64);
            let digest = put(&store, "m/weights", &bytes).await.unwrap();
            let before = store.content.find(&digest).await.unwrap();
            store
                .tamper(&before, |mut stored| {
                    stored[damage] ^= 0x10;
                    Some(stored)
                })
                .await;

            let whole = read(&store, &digest, None).await;
            let Err(ArtifactError::Damaged { key, .. }) = &whole else { panic!("{whole:?}") };
            assert!(key.ends_with(&before.key.to_string()), "{key}");
            let at = damage as u64;
            for range in [at..at + 1, at.saturating_sub(10)..(at + 10).min(size as u64)] {
                let damaged = read(&store, &digest, Some(range)).await;
                assert!(matches!(damaged, Err(ArtifactError::Damaged { .. })), "{damaged:?}");
            }
            // Blocks that are whole can still be read.
            let elsewhere = if damage < 4 << 20 { 8 << 20 } else { 0 };
            let range = elsewhere as u64..elsewhere as u64 + 100;
            assert!(read(&store, &digest, Some(range)).await.unwrap() == bytes[elsewhere..elsewhere + 100]);

            wait_until_damaged(&store, &digest).await;
            assert!(store.content.exists(&digest).await.unwrap().is_none());
            put(&store, "m/again", &bytes).await.unwrap();
            assert!(read(&store, &digest, None).await.unwrap() == bytes);
            let first = store.content.find_file(&path("m/weights")).await.unwrap();
            assert_eq!(first.digest, digest);
            assert!(first.available && first.key != before.key);
            if store.folder.is_some() {
                assert_eq!(store.objects().len(), seed + 1, "the damaged objects are gone");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn objects_that_are_cut_or_gone_are_damage() {
    each_store(async |store| {
        for (seed, size) in [50, 9 << 20].into_iter().enumerate() {
            let digest = put(&store, "m/lost", &pattern(size, seed as u64)).await.unwrap();
            let blob = store.content.find(&digest).await.unwrap();
            store.tamper(&blob, |stored| Some(stored[..size - 7].to_vec())).await;
            let cut = read(&store, &digest, None).await;
            assert!(
                matches!(cut, Err(ArtifactError::Damaged { .. } | ArtifactError::Store { .. })),
                "{cut:?}"
            );
            store.tamper(&blob, |_| None).await;
            let gone = read(&store, &digest, None).await.unwrap_err();
            assert!(gone.to_string().contains("the object is missing"), "{gone}");
            wait_until_damaged(&store, &digest).await;
        }
    })
    .await;
}
