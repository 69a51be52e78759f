//! Content in an S3 bucket, through object_store.

use crate::artifacts::keys::Key;
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt as _,
    PutPayload, Result, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
    prefix::PrefixStore,
};
use std::{ops::Range, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Smallest part: S3 wants 5 MiB at least, and each costs a round trip.
const PART_MIN_BYTES: u64 = 8 << 20;
/// S3 takes 10,000 parts; the rest is room for a body larger than it said.
const PARTS_PLANNED: u64 = 9_000;
/// Parts after which the next ones double, where the body does not tell its size.
const PARTS_PER_STEP: u64 = 1_000;
/// Parts on their way at once are held in memory; past this much there is one at a time.
const IN_FLIGHT_BYTES: u64 = 32 << 20;
/// A connection on which nothing moves for this long is given up and the request retried. It
/// must outlast the upload of one part.
const STALLED: Duration = Duration::from_mins(2);
const CONNECT: Duration = Duration::from_secs(10);

pub struct Bucket {
    store: Arc<PrefixStore<AmazonS3>>,
    url: String,
}

impl Bucket {
    /// Takes credentials, region and endpoint from the usual AWS variables.
    pub fn open(bucket: &str, prefix: &str) -> Result<Self> {
        // reqwest, below object_store, comes without a TLS provider of its own. An error means
        // that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The default gives a whole request 30 s, its body included: a large object read by a
        // slow client would die.
        let client = ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(CONNECT)
            .with_read_timeout(STALLED);
        let builder = AmazonS3Builder::from_env();
        let plain = std::env::var("AWS_ENDPOINT_URL").is_ok_and(|url| url.starts_with("http://"));
        let store = builder
            .with_bucket_name(bucket)
            .with_client_options(client.with_allow_http(plain))
            .with_retry(RetryConfig { max_retries: 5, retry_timeout: 2 * STALLED, ..RetryConfig::default() })
            .build()?;
        let url = format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned();
        Ok(Self { store: Arc::new(PrefixStore::new(store, prefix)), url })
    }

    /// Whether the bucket can be written and read back.
    pub async fn probe(&self, generation: String) -> Result<()> {
        let path = path_of(&Key::Probe { generation });
        self.store.put(&path, PutPayload::from_static(b"waybill")).await?;
        self.store.get(&path).await?.bytes().await?;
        self.store.delete(&path).await
    }

    pub async fn put(&self, key: &Key, batch: Vec<Bytes>) -> Result<()> {
        self.store.put(&path_of(key), batch.into_iter().collect()).await.map(drop)
    }

    /// Begins a body of `size_bytes`, when that is known. It is aborted unless completed.
    pub async fn begin(&self, key: Key, size_bytes: Option<u64>) -> Result<IncomingParts> {
        let upload = self.store.put_multipart(&path_of(&key)).await?;
        Ok(IncomingParts {
            upload: Some(upload),
            key,
            size_bytes,
            waiting: Vec::new(),
            waiting_bytes: 0,
            parts: 0,
            in_flight: JoinSet::new(),
        })
    }

    /// The bytes of `range`, in pieces of the server's choosing.
    pub async fn get(&self, key: &Key, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        Ok(self.store.get_opts(&path_of(key), options).await?.into_stream().boxed())
    }

    /// The bytes of an object that has at most `max_bytes`, or the first of them.
    pub async fn read_small(&self, key: &Key, max_bytes: u64) -> Result<Option<Bytes>> {
        let options = GetOptions { range: Some(GetRange::Bounded(0..max_bytes)), ..GetOptions::default() };
        match self.store.get_opts(&path_of(key), options).await {
            Ok(found) => found.bytes().await.map(Some),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn url_of(&self, key: &Key) -> String {
        format!("{}/{key}", self.url)
    }

    pub async fn remove(&self, key: &Key) -> Result<()> {
        match self.store.delete(&path_of(key)).await {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }
}

fn path_of(key: &Key) -> Path {
    Path::from(key.to_string())
}

/// A multipart upload. Dropping it aborts it, so that the bucket keeps no parts that nobody sees.
pub struct IncomingParts {
    upload: Option<Box<dyn MultipartUpload>>,
    key: Key,
    size_bytes: Option<u64>,
    waiting: Vec<Bytes>,
    waiting_bytes: u64,
    parts: u64,
    in_flight: JoinSet<Result<()>>,
}

impl IncomingParts {
    pub fn key(&self) -> &Key {
        &self.key
    }

    pub async fn write(&mut self, batch: Vec<Bytes>) -> Result<()> {
        self.waiting_bytes += batch.iter().map(|b| b.len() as u64).sum::<u64>();
        self.waiting.extend(batch);
        if self.waiting_bytes >= part_bytes(self.size_bytes, self.parts) {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<()> {
        let part = part_bytes(self.size_bytes, self.parts);
        let at_once = (IN_FLIGHT_BYTES / part).max(1) as usize;
        while self.in_flight.len() >= at_once {
            self.wait_for_one().await?;
        }
        let payload: PutPayload = std::mem::take(&mut self.waiting).into_iter().collect();
        self.waiting_bytes = 0;
        self.parts += 1;
        if let Some(upload) = &mut self.upload {
            self.in_flight.spawn(upload.put_part(payload));
        }
        Ok(())
    }

    async fn wait_for_one(&mut self) -> Result<()> {
        match self.in_flight.join_next().await {
            Some(joined) => joined?,
            None => Ok(()),
        }
    }

    /// Makes the object: after this it is durable under its key.
    pub async fn complete(mut self) -> Result<()> {
        if !self.waiting.is_empty() {
            self.send().await?;
        }
        while !self.in_flight.is_empty() {
            self.wait_for_one().await?;
        }
        let Some(mut upload) = self.upload.take() else {
            return Ok(());
        };
        let completed = upload.complete().await.map(drop);
        if completed.is_err() {
            self.upload = Some(upload);
        }
        completed
    }
}

impl Drop for IncomingParts {
    fn drop(&mut self) {
        let (Some(mut upload), Ok(runtime)) = (self.upload.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let mut in_flight = std::mem::take(&mut self.in_flight);
        let key = self.key.to_string();
        runtime.spawn(async move {
            // A part that lands after the abort would stay: first stop them.
            in_flight.shutdown().await;
            if let Err(error) = upload.abort().await {
                tracing::warn!(key, %error, "an unfinished upload could not be aborted; the bucket's lifecycle rule for incomplete uploads removes it");
            }
        });
    }
}

/// Size of part number `sent` (from 0) of a body of `size_bytes`.
fn part_bytes(size_bytes: Option<u64>, sent: u64) -> u64 {
    match size_bytes {
        Some(size) => size.div_ceil(PARTS_PLANNED).max(PART_MIN_BYTES),
        None => PART_MIN_BYTES << (sent / PARTS_PER_STEP).min(9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_scale_with_the_object() {
        const TIB: u64 = 1 << 40;
        assert_eq!(part_bytes(Some(1), 0), 8 << 20);
        assert_eq!(part_bytes(Some(70 << 30), 0), 8 << 20);
        for size in [100 << 30, TIB, 5 * TIB] {
            assert!(size.div_ceil(part_bytes(Some(size), 0)) <= PARTS_PLANNED);
        }
        let unknown: u64 = (0..10_000).map(|sent| part_bytes(None, sent)).sum();
        assert!(unknown > 5 * TIB, "{unknown}");
        assert_eq!(part_bytes(None, 999), 8 << 20);
        assert_eq!(part_bytes(None, 1_000), 16 << 20);
    }
}
