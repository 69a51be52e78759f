//! Content stores for tests: the same suite on a folder and on S3, and on both databases.

use super::{ContentStore, Location, StoredBlob};
use crate::{clock::Clock, db::Db, db::testing::each_engine, ids::RandomIds};
use object_store::{
    ObjectStoreExt as _,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
    prefix::PrefixStore,
};
use std::{
    future::Future,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// `s3://bucket/prefix` of an S3 server reached by the AWS variables. Without it tests run on a
/// folder alone, which is not accepted where `CI` is set.
const S3_URL: &str = "WAYBILL_TEST_S3_URL";

/// A clock that stands until it is moved.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An open store and the folder it lies in, where it lies in one.
pub struct TestStore {
    pub content: ContentStore,
    pub db: Db,
    pub clock: Arc<TestClock>,
    pub folder: Option<PathBuf>,
    bucket: Option<PrefixStore<AmazonS3>>,
}

impl TestStore {
    pub async fn open(database_url: &str, location: Location) -> Self {
        let db = Db::open(database_url).await.unwrap();
        let (folder, bucket) = match &location {
            Location::Folder(dir) => (Some(dir.clone()), None),
            Location::Bucket { bucket, prefix } => (None, Some(raw_bucket(bucket, prefix))),
        };
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000_000)));
        let content = ContentStore::open(location, db.clone(), clock.clone(), Arc::new(RandomIds));
        Self { content: content.await.unwrap(), db, clock, folder, bucket }
    }

    /// Changes an object behind the store's back; `None` removes it.
    pub async fn tamper(&self, blob: &StoredBlob, edit: impl Fn(Vec<u8>) -> Option<Vec<u8>>) {
        if let Some(folder) = &self.folder {
            let file = folder.join(blob.key.to_string());
            match edit(std::fs::read(&file).unwrap()) {
                Some(bytes) => std::fs::write(file, bytes).unwrap(),
                None => std::fs::remove_file(file).unwrap(),
            }
        }
        if let Some(bucket) = &self.bucket {
            let path = Path::from(blob.key.to_string());
            let bytes = bucket.get(&path).await.unwrap().bytes().await.unwrap();
            match edit(bytes.to_vec()) {
                Some(bytes) => drop(bucket.put(&path, bytes.into()).await.unwrap()),
                None => bucket.delete(&path).await.unwrap(),
            }
        }
    }

    /// Files in the folder, beside locks; empty for a bucket.
    pub fn objects(&self) -> Vec<PathBuf> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let mut found = Vec::new();
        let mut open = vec![folder.clone()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.file_name().unwrap() != "lock" {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

fn raw_bucket(bucket: &str, prefix: &str) -> PrefixStore<AmazonS3> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = AmazonS3Builder::from_env().with_bucket_name(bucket).with_allow_http(true).build().unwrap();
    PrefixStore::new(store, prefix)
}

/// Runs `test` on a folder, on both engines, and on S3 with the first of them.
pub async fn each_store<F, Fut>(test: F)
where
    F: Fn(TestStore) -> Fut,
    Fut: Future<Output = ()>,
{
    each_engine(async |url| {
        let dir = tempfile::tempdir().unwrap();
        test(TestStore::open(&url, Location::Folder(dir.path().join("artifacts"))).await).await;
    })
    .await;
    let Some(location) = s3_location() else { return };
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("test.db").display());
    test(TestStore::open(&url, location).await).await;
}

/// A prefix of its own in the bucket of [`S3_URL`].
pub fn s3_location() -> Option<Location> {
    let Ok(url) = std::env::var(S3_URL) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "{S3_URL} must be set where CI is: every suite runs on a folder and on S3"
        );
        eprintln!("skipped on S3: {S3_URL} is not set");
        return None;
    };
    let prefix = uuid::Uuid::new_v4().simple();
    Some(Location::parse(&format!("{}/{prefix}", url.trim_end_matches('/'))).unwrap())
}
