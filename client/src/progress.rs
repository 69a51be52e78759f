//! How a transfer tells what it has done.

/// What a transfer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading local files to learn their digests.
    Hash,
    /// Sending what the registry lacks.
    Send,
    /// Fetching files.
    Receive,
}

/// Hears about a transfer. Called from several tasks and from blocking threads, often: be quick.
pub trait Progress: Send + Sync {
    /// A step begins; `files` and `bytes` are what lies ahead.
    fn begin(&self, step: Step, files: usize, bytes: u64);
    /// So many bytes more.
    fn advance(&self, bytes: u64);
    /// So many bytes were in vain: the connection broke and they go again.
    fn retreat(&self, bytes: u64);
    /// The step is over.
    fn end(&self, step: Step);
}

/// For callers who do not watch.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Step, _: usize, _: u64) {}
    fn advance(&self, _: u64) {}
    fn retreat(&self, _: u64) {}
    fn end(&self, _: Step) {}
}
