//! The rollout's log: lines from steps that must not wait for the registry, sent in batches.

use crate::{lease::Fence, patience};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::mpsc, task::JoinHandle};
use waybill_client::{
    Client,
    api::{AppendLog, AppendLogLine, LogStream},
};

/// A build prints thousands of lines in a burst; a registry that is away must not stop it.
const BUFFERED_LINES: usize = 20_000;
const BATCH_LINES: usize = 500;
const BATCH_WAIT: Duration = Duration::from_millis(150);
const LINE_BYTES: usize = 8 * 1024;
const ATTEMPTS: u32 = 5;
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Whose log it is.
#[derive(Debug, Clone)]
pub struct LogTarget {
    pub environment: String,
    pub model: String,
    pub rollout_id: String,
}

/// Takes lines without ever blocking.
pub struct RolloutLog {
    lines: mpsc::Sender<AppendLogLine>,
    dropped: Arc<AtomicU64>,
    writer: JoinHandle<()>,
}

impl RolloutLog {
    pub fn start(client: Client, fence: Fence, target: LogTarget) -> Self {
        let (lines, receiver) = mpsc::channel(BUFFERED_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer { client, fence, target, dropped: Arc::clone(&dropped) };
        Self { lines, dropped, writer: tokio::spawn(writer.run(receiver)) }
    }

    pub fn line(&self, stream: LogStream, text: &str) {
        self.line_at(stream, text, now_ms());
    }

    pub fn line_at(&self, stream: LogStream, text: &str, at_ms: i64) {
        let line = AppendLogLine { at_ms, stream, text: shortened(text) };
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn event(&self, text: &str) {
        self.line(LogStream::Event, text);
    }

    /// Sends what is left and waits until it is there.
    pub async fn finish(self) {
        drop(self.lines);
        if let Err(error) = self.writer.await {
            tracing::error!(%error, "the log writer ended early");
        }
    }
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn shortened(text: &str) -> String {
    if text.len() <= LINE_BYTES {
        return text.to_owned();
    }
    let mut end = LINE_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… ({} bytes in all)", &text[..end], text.len())
}

struct Writer {
    client: Client,
    fence: Fence,
    target: LogTarget,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    async fn run(self, mut receiver: mpsc::Receiver<AppendLogLine>) {
        let mut batch = Vec::with_capacity(BATCH_LINES);
        while receiver.recv_many(&mut batch, BATCH_LINES).await > 0 {
            // A moment's wait makes one request of a burst.
            let more = tokio::time::sleep(BATCH_WAIT);
            tokio::pin!(more);
            while batch.len() < BATCH_LINES {
                tokio::select! {
                    line = receiver.recv() => match line {
                        Some(line) => batch.push(line),
                        None => break,
                    },
                    () = &mut more => break,
                }
            }
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    async fn send(&self, mut lines: Vec<AppendLogLine>) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            lines.push(AppendLogLine {
                at_ms: now_ms(),
                stream: LogStream::Event,
                text: format!("{dropped} lines were left out: they came faster than they were stored"),
            });
        }
        let count = lines.len();
        let batch = uuid::Uuid::now_v7().to_string();
        for attempt in 1..=ATTEMPTS {
            let Some(fence) = self.fence.current() else {
                break;
            };
            let append =
                AppendLog { fence, rollout_id: self.target.rollout_id.clone(), lines: lines.clone() };
            let (environment, model) = (&self.target.environment, &self.target.model);
            match self.client.append_log(environment, model, &append, &batch).await {
                Ok(()) => return,
                Err(error) if patience::may_pass(&error) && attempt < ATTEMPTS => {
                    tokio::time::sleep(RETRY_WAIT).await;
                }
                Err(error) => {
                    tracing::warn!(%error, rollout = self.target.rollout_id, "log lines are lost");
                    break;
                }
            }
        }
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_between_characters() {
        let text = "ä".repeat(LINE_BYTES);
        let cut = shortened(&text);
        assert!(cut.ends_with(&format!("… ({} bytes in all)", 2 * LINE_BYTES)));
        assert!(cut.len() < LINE_BYTES + 40);
        assert_eq!(shortened("short"), "short");
    }
}
