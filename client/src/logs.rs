//! Following a deployment's log across restarts of the server and lost connections.

use crate::{api::LogLine, client::Client, download::chunks, error::ClientError, request::Call, sse::Parser};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use http::{Method, header};
use std::{collections::VecDeque, time::Duration};

const RECONNECT_WAIT: Duration = Duration::from_millis(500);
/// Half a minute without the server: longer than a restart takes.
const RECONNECT_ATTEMPTS: u32 = 20;

struct Follow {
    client: Client,
    environment: String,
    model: String,
    after_seq: i64,
    connection: Option<BoxStream<'static, Result<Bytes, ClientError>>>,
    parser: Parser,
    ready: VecDeque<LogLine>,
    failures: u32,
    ended: bool,
}

impl Client {
    /// Lines after `after_seq`, oldest first, then each new one as it comes: each exactly once,
    /// also across lost connections. Ends only with an error: when the deployment is not there, or
    /// the server has been away for half a minute.
    pub fn follow_log(
        &self,
        environment: &str,
        model: &str,
        after_seq: i64,
    ) -> impl Stream<Item = Result<LogLine, ClientError>> + Send + 'static {
        let state = Follow {
            client: self.clone(),
            environment: environment.to_owned(),
            model: model.to_owned(),
            after_seq,
            connection: None,
            parser: Parser::default(),
            ready: VecDeque::new(),
            failures: 0,
            ended: false,
        };
        futures::stream::unfold(state, |mut state: Follow| async move {
            let item = state.next().await?;
            Some((item, state))
        })
        .boxed()
    }
}

impl Follow {
    async fn next(&mut self) -> Option<Result<LogLine, ClientError>> {
        while !self.ended {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            if let Err(error) = self.read().await {
                self.connection = None;
                self.failures += 1;
                if !error.is_passing() || self.failures > RECONNECT_ATTEMPTS {
                    self.ended = true;
                    return Some(Err(error));
                }
                tracing::debug!(%error, after_seq = self.after_seq, "log stream lost, connecting again");
                tokio::time::sleep(RECONNECT_WAIT).await;
            }
        }
        None
    }

    /// Reads one chunk, connecting first where needed.
    async fn read(&mut self) -> Result<(), ClientError> {
        if self.connection.is_none() {
            self.parser = Parser::default();
            self.connection = Some(self.connect().await?);
        }
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let Some(chunk) = connection.next().await else {
            // The server closed in good order, as it does when it drains.
            self.connection = None;
            tokio::time::sleep(RECONNECT_WAIT).await;
            return Ok(());
        };
        let chunk = chunk?;
        self.failures = 0;
        for data in self.parser.push(&chunk) {
            match serde_json::from_str::<LogLine>(&data) {
                // Replay and live lines overlap; the position tells which are known.
                Ok(line) if line.seq > self.after_seq => {
                    self.after_seq = line.seq;
                    self.ready.push_back(line);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "log stream sent something other than a log line");
                }
            }
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<BoxStream<'static, Result<Bytes, ClientError>>, ClientError> {
        let path = ["environments", &self.environment, "deployments", &self.model, "logs", "stream"];
        let response = Call::new(&self.client, Method::GET, &path)
            .query("after_seq", Some(self.after_seq))
            .header(header::ACCEPT, "text/event-stream")
            .open()
            .await?;
        let url = format!("the log of {} in {}", self.model, self.environment);
        Ok(chunks(url, response.into_body()))
    }
}
