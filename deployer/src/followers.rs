//! Followers: each running container's output goes to its deployment's log, across restarts of
//! the deployer and of the container.

use crate::{
    engine::{Engine, LogLine},
    lease::Fence,
    rollout::{LogTarget, RolloutLog},
};
use futures::StreamExt;
use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use waybill_client::Client;

/// How often the position is written down.
const POSITION_WAIT: Duration = Duration::from_secs(1);

pub struct Followers {
    engine: Arc<dyn Engine>,
    client: Client,
    /// One file per container: nanoseconds of the last line that was passed on.
    positions: PathBuf,
    running: Mutex<HashMap<String, JoinHandle<()>>>,
}

impl Followers {
    pub fn open(engine: Arc<dyn Engine>, client: Client, positions: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&positions)?;
        Ok(Self { engine, client, positions, running: Mutex::default() })
    }

    /// Follows the container, unless that happens already.
    pub fn ensure(&self, container_id: &str, fence: &Fence, target: LogTarget) {
        let mut running = self.running();
        running.retain(|_, task| !task.is_finished());
        if running.contains_key(container_id) {
            return;
        }
        let log = RolloutLog::start(self.client.clone(), fence.clone(), target);
        let follow = Follow {
            engine: Arc::clone(&self.engine),
            position: self.positions.join(container_id),
            container_id: container_id.to_owned(),
            log,
        };
        running.insert(container_id.to_owned(), tokio::spawn(follow.run()));
    }

    /// Waits until the output of a container that has ended is passed on, `wait` at the most, and
    /// forgets it: it is about to be removed.
    pub async fn finish(&self, container_id: &str, wait: Duration) {
        let task = self.running().remove(container_id);
        if let Some(mut task) = task
            && timeout(wait, &mut task).await.is_err()
        {
            task.abort();
        }
        let _ = fs::remove_file(self.positions.join(container_id));
    }

    /// Forgets positions of containers that are not there any more.
    pub fn keep_only(&self, container_ids: &[String]) -> io::Result<()> {
        for entry in fs::read_dir(&self.positions)? {
            let entry = entry?;
            let name = entry.file_name();
            if !container_ids.iter().any(|id| **id == *name) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, JoinHandle<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Follow {
    engine: Arc<dyn Engine>,
    position: PathBuf,
    container_id: String,
    log: RolloutLog,
}

impl Follow {
    async fn run(self) {
        let mut position: i128 =
            fs::read_to_string(&self.position).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let (mut written, mut written_at) = (position, Instant::now());
        let since_s = i64::try_from(position / 1_000_000_000).unwrap_or(0);
        let mut lines = self.engine.follow_logs(&self.container_id, since_s);
        loop {
            match timeout(POSITION_WAIT, lines.next()).await {
                Ok(Some(Ok(line))) => position = self.pass_on(&line, position),
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, container = self.container_id, "following ended");
                    break;
                }
                Ok(None) => break,
                Err(_) => {}
            }
            if position != written && written_at.elapsed() >= POSITION_WAIT {
                self.write(position);
                (written, written_at) = (position, Instant::now());
            }
        }
        self.write(position);
        self.log.finish().await;
    }

    fn pass_on(&self, line: &LogLine, position: i128) -> i128 {
        if line.at_ns != 0 && line.at_ns <= position {
            return position;
        }
        let at_ms = i64::try_from(line.at_ns / 1_000_000).unwrap_or(0);
        self.log.line_at(line.stream, &line.text, at_ms);
        line.at_ns.max(position)
    }

    fn write(&self, position: i128) {
        if let Err(error) = fs::write(&self.position, position.to_string()) {
            tracing::warn!(%error, "a log position was not kept");
        }
    }
}
