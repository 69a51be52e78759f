//! Follows the route file, so that a gateway in its own process needs nobody to tell it.

use super::table::Switchboard;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// How long a file with the same stamp is read again: two writes within one tick of a file system's
/// clock (2 s on the coarsest) can leave the same time, length and even inode behind.
const SETTLE: Duration = Duration::from_millis(2_500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length_bytes: u64,
    inode: u64,
}

pub(super) struct Watch {
    path: PathBuf,
    switchboard: Arc<Switchboard>,
    /// The file read last and when it was first seen; `None` while there is no file.
    seen: Option<(Stamp, Instant)>,
}

impl Watch {
    pub(super) fn new(path: PathBuf, switchboard: Arc<Switchboard>) -> Self {
        Self { path, switchboard, seen: None }
    }

    /// Reads the file if it may have changed since the last look. Blocks.
    pub(super) fn look(&mut self) {
        let stamp = match fs::metadata(&self.path) {
            Ok(metadata) => Some(stamp(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // Reading it fails the same way and says why.
            Err(_) => Some(Stamp { modified: None, length_bytes: 0, inode: 0 }),
        };
        match (stamp, self.seen) {
            (Some(stamp), Some((seen, since))) if stamp == seen => {
                if since.elapsed() < SETTLE {
                    self.load();
                }
            }
            (Some(stamp), _) => {
                self.seen = Some((stamp, Instant::now()));
                self.load();
            }
            (None, Some(_)) => {
                self.seen = None;
                self.load();
            }
            // Not written yet: requests are told so.
            (None, None) => {}
        }
    }

    fn load(&self) {
        // The switchboard has logged the error and keeps it for the status.
        let _ = self.switchboard.load(&self.path);
    }

    /// Looks every `interval` until `stop`, and closes connections idle for `max_idle`.
    pub(super) async fn run(mut self, interval: Duration, max_idle: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self.switchboard.sweep(max_idle);
                self
            });
            match looked.await {
                Ok(watch) => self = watch,
                Err(error) => {
                    tracing::error!(%error, "route file is no longer followed");
                    return;
                }
            }
        }
    }
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Stamp { modified: metadata.modified().ok(), length_bytes: metadata.len(), inode }
}
