//! Accepts clients, as many as there are slots, and serves each until it leaves or must.

use super::proxy::{ClientConnection, Proxy};
use super::stream::ClientStream;
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Largest header block of a request, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Pause after the system refused to accept, e.g. because no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Server {
    pub proxy: Arc<Proxy>,
    pub slots: Arc<Semaphore>,
    pub header_timeout: Duration,
    pub write_timeout: Duration,
    /// No new connections, no new requests on old ones.
    pub stop: CancellationToken,
    /// Cut what is left.
    pub kill: CancellationToken,
    pub tasks: TaskTracker,
}

impl Server {
    /// Accepts until told to stop. With all slots taken, clients wait in the listener's backlog; each
    /// answer then ends its connection, so that they, and who asks for the status, get their turn.
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener) {
        loop {
            let slot = tokio::select! {
                () = self.stop.cancelled() => return,
                slot = Arc::clone(&self.slots).acquire_owned() => slot,
            };
            let Ok(slot) = slot else { return };
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = accept(&listener) => accepted,
            };
            let server = Arc::clone(&self);
            self.tasks.spawn(async move { server.serve(accepted.0, accepted.1, slot).await });
        }
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        let client = match client(&stream, peer) {
            Ok(client) => client,
            Err(error) => {
                tracing::debug!(%peer, %error, "client left at once");
                return;
            }
        };
        let connections = self.proxy.switchboard.metrics.connections.clone();
        connections.inc();
        let service = service_fn(|request| async {
            let mut response = self.proxy.handle(request, &client).await;
            if self.slots.available_permits() == 0 {
                // Others wait: let connections change hands between requests.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        });
        let stream = ClientStream::new(stream, self.write_timeout);
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.header_timeout)
                .max_header_size(MAX_HEADER_BYTES)
                .serve_connection(TokioIo::new(stream), service)
        );
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    served = connection.as_mut() => served,
                    () = self.kill.cancelled() => Ok(()),
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!(%peer, %error, "client's connection ended");
        }
        connections.dec();
        drop(slot);
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                if !failing {
                    tracing::error!(%error, "gateway cannot accept connections");
                }
                failing = true;
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn client(stream: &TcpStream, peer: SocketAddr) -> io::Result<ClientConnection> {
    stream.set_nodelay(true)?;
    let ip = peer.ip().to_canonical().to_string();
    Ok(ClientConnection {
        peer: HeaderValue::try_from(ip).map_err(io::Error::other)?,
        local: stream.local_addr()?.ip(),
    })
}
