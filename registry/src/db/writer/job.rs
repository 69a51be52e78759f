//! A change while it waits for the writer.

use super::WriteError;
use crate::db::{Conn, DbError};
use futures::{FutureExt as _, future::BoxFuture};
use std::panic::AssertUnwindSafe;
use tokio::sync::oneshot;

/// One change on its way through the writer, its types erased.
pub(super) trait Job: Send {
    /// Runs the change and keeps its outcome; true when it wants to be committed.
    fn run<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, bool>;
    /// Sends the kept outcome, or `failure` when the commit itself failed.
    fn finish(self: Box<Self>, failure: Option<DbError>);
}

pub(super) struct Change<I, T, E, F> {
    pub input: I,
    pub run: F,
    pub outcome: Option<Result<T, E>>,
    pub answer: oneshot::Sender<Result<T, E>>,
}

impl<I, T, E, F> Job for Change<I, T, E, F>
where
    I: Send + Sync,
    T: Send,
    E: WriteError,
    F: for<'t> Fn(&'t mut Conn, &'t I) -> BoxFuture<'t, Result<T, E>> + Send + Sync,
{
    fn run<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            // A panic must not take the writer down with it: everyone else still writes.
            let outcome = AssertUnwindSafe((self.run)(conn, &self.input)).catch_unwind().await;
            self.outcome = outcome.ok();
            matches!(self.outcome, Some(Ok(_)))
        })
    }

    fn finish(self: Box<Self>, failure: Option<DbError>) {
        let outcome = match failure {
            Some(error) => Err(error.into()),
            None => self.outcome.unwrap_or_else(|| Err(DbError::Panicked.into())),
        };
        // The caller may have gone; its change stands all the same.
        let _ = self.answer.send(outcome);
    }
}
