//! Connections to one container.
//!
//! A request that was sent and got no answer cannot be sent again unless its method is idempotent, so
//! a prediction must never meet a connection that the container is about to close. Hence a pool per
//! container that is emptied when the container leaves the route table, an idle time far below the
//! keep-alive time of model servers (uvicorn 5 s), and a look into the kernel before each use.

use super::body::RequestBody;
use super::stream::UpstreamStream;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use url::Host;

/// Idle connections kept per container.
const MAX_IDLE: usize = 64;

/// Largest header block of a container's answer, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// One connection, ready for one request at a time.
pub(super) struct Connection {
    pub sender: SendRequest<RequestBody>,
    /// It has carried a request before.
    pub reused: bool,
    stream: UpstreamStream,
}

#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Oldest first.
    idle: Vec<(Instant, Connection)>,
    closed: bool,
}

impl Pool {
    /// The connection used last, if one is alive and idle for less than `max_idle`.
    pub(super) fn take(&self, max_idle: Duration) -> Option<Connection> {
        let mut state = self.lock();
        let mut index = state.idle.len();
        while index > 0 {
            index -= 1;
            let (since, connection) = &state.idle[index];
            if since.elapsed() >= max_idle {
                state.idle.drain(..=index);
                return None;
            }
            if connection.sender.is_closed() {
                state.idle.remove(index);
                continue;
            }
            // Not ready: the answer has ended, the driver has not noticed yet.
            if connection.sender.is_ready() {
                let (_, connection) = state.idle.remove(index);
                if connection.stream.is_quiet() {
                    return Some(Connection { reused: true, ..connection });
                }
            }
        }
        None
    }

    /// Keeps a connection whose answer has ended, unless the pool is full or closed.
    pub(super) fn put(&self, connection: Connection) {
        let mut state = self.lock();
        if !state.closed && state.idle.len() < MAX_IDLE && !connection.sender.is_closed() {
            state.idle.push((Instant::now(), connection));
        }
    }

    /// Closes what has been idle for `max_idle`.
    pub(super) fn sweep(&self, max_idle: Duration) {
        self.lock()
            .idle
            .retain(|(since, connection)| since.elapsed() < max_idle && !connection.sender.is_closed());
    }

    /// Closes every idle connection, and each that comes back later.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.idle.clear();
    }

    pub(super) fn open(&self) {
        self.lock().closed = false;
    }

    /// A panic elsewhere leaves at worst a connection too many in the list.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection within `timeout`.
pub(super) async fn connect(host: &Host<String>, port: u16, timeout: Duration) -> io::Result<Connection> {
    let connecting = async {
        match host {
            Host::Ipv4(ip) => TcpStream::connect((*ip, port)).await,
            Host::Ipv6(ip) => TcpStream::connect((*ip, port)).await,
            Host::Domain(name) => TcpStream::connect((name.as_str(), port)).await,
        }
    };
    let stream = tokio::time::timeout(timeout, connecting).await.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {} ms", timeout.as_millis()))
    })??;
    stream.set_nodelay(true)?;
    let stream = UpstreamStream::new(stream);
    let (sender, driver) = Builder::new()
        .max_header_size(MAX_HEADER_BYTES)
        .handshake(TokioIo::new(stream.clone()))
        .await
        .map_err(io::Error::other)?;
    // Its errors reach whoever waits for the answer.
    tokio::spawn(driver);
    Ok(Connection { sender, reused: false, stream })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};

    const LONG: Duration = Duration::from_mins(1);

    /// A connection that has carried a request, and the container's end of it. The runtime is not
    /// entered again after this returns, so only the kernel knows what the container does next.
    async fn used(listener: &TcpListener) -> (Connection, std::net::TcpStream) {
        let port = listener.local_addr().unwrap().port();
        let mut connection = connect(&Host::Ipv4(Ipv4Addr::LOCALHOST), port, LONG).await.unwrap();
        let (mut container, _) = listener.accept().unwrap();
        container.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        let request = http::Request::new(RequestBody::empty());
        drop(connection.sender.send_request(request).await.unwrap());
        connection.sender.ready().await.unwrap();
        assert!(container.read(&mut [0; 512]).unwrap() > 0);
        (connection, container)
    }

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[tokio::test]
    async fn an_idle_connection_is_used_again_until_it_is_too_old() {
        let listener = listener();
        let pool = Pool::default();
        let (connection, _container) = used(&listener).await;
        pool.put(connection);
        let again = pool.take(LONG).expect("a live connection");
        assert!(again.reused);
        pool.put(again);
        assert!(pool.take(Duration::ZERO).is_none());
        assert!(pool.take(LONG).is_none(), "the old one is gone");
    }

    #[tokio::test]
    async fn a_connection_that_the_container_closed_or_wrote_to_is_not_used() {
        let listener = listener();
        let pool = Pool::default();
        let (connection, container) = used(&listener).await;
        pool.put(connection);
        drop(container);
        assert!(pool.take(LONG).is_none(), "closed");

        let (connection, mut container) = used(&listener).await;
        pool.put(connection);
        container.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
        assert!(pool.take(LONG).is_none(), "spoke unasked");
    }

    #[tokio::test]
    async fn a_closed_pool_ends_its_connections_and_those_that_come_back() {
        let listener = listener();
        let pool = Pool::default();
        let (first, mut first_end) = used(&listener).await;
        let (second, mut second_end) = used(&listener).await;
        pool.put(first);
        pool.close();
        pool.put(second);
        assert!(pool.take(LONG).is_none());
        for end in [&mut first_end, &mut second_end] {
            end.set_nonblocking(false).unwrap();
            tokio::task::yield_now().await;
            assert_eq!(end.read(&mut [0; 1]).unwrap(), 0, "the container sees the end");
        }
        pool.open();
        let (third, _end) = used(&listener).await;
        pool.put(third);
        assert!(pool.take(LONG).is_some());
    }

    #[tokio::test]
    async fn sweeping_takes_the_old_and_leaves_the_young() {
        let listener = listener();
        let pool = Pool::default();
        let (connection, _end) = used(&listener).await;
        pool.put(connection);
        pool.sweep(LONG);
        assert_eq!(pool.lock().idle.len(), 1);
        pool.sweep(Duration::ZERO);
        assert_eq!(pool.lock().idle.len(), 0);
    }
}
