//! The HTTP server: accepts, serves, drains.

use axum::{
    Router, body::Body, extract::State, http::header, middleware::map_response_with_state, response::Response,
};
use futures::StreamExt;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower_http::timeout::RequestBodyTimeoutLayer;
use waybill_deployer::gateway::ClientStream;

/// Time for a request's head, and for an idle client to send its next one. MLflow's own server
/// closes after 5 s; longer spares clients their reconnects.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// A request's body, or the reader of an answer, may pause this long: then the connection, and the disk
/// space that an upload reserved, go back.
const SILENCE_TIMEOUT: Duration = Duration::from_mins(2);
/// Further connections wait in the listener's backlog. Below the usual limit of 1,024 open files.
const MAX_CONNECTIONS: usize = 800;
/// After an accept that failed, e.g. for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `ending`, then lets running requests end, for at most `drain`.
pub async fn serve(listener: TcpListener, router: Router, ending: CancellationToken, drain: Duration) {
    serve_patiently(listener, router, ending, drain, SILENCE_TIMEOUT).await;
}

async fn serve_patiently(
    listener: TcpListener,
    router: Router,
    ending: CancellationToken,
    drain: Duration,
    silence: Duration,
) {
    let router = router
        .layer(map_response_with_state(ending.clone(), end_streams))
        .layer(RequestBodyTimeoutLayer::new(silence));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = ending.cancelled() => break,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let stream = ClientStream::new(stream, silence);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // Clients that go away are no event for the log.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(drain_ms = drain.as_millis(), "requests that still ran were cut off");
    }
}

/// Event streams have no end of their own; whoever reads one comes back after the restart.
async fn end_streams(State(ending): State<CancellationToken>, response: Response) -> Response {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    if !content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    response.map(|body| {
        Body::from_stream(body.into_data_stream().take_until(async move { ending.cancelled().await }))
    })
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::oneshot,
    };

    #[tokio::test]
    async fn a_running_request_ends_well_and_new_ones_are_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, has_begun) = oneshot::channel();
        let (release, released) = oneshot::channel::<()>();
        let once = Arc::new(std::sync::Mutex::new(Some((begun, released))));
        let router = Router::new().route(
            "/slow",
            get(move || async move {
                let (begun, released) = once.lock().unwrap().take().unwrap();
                begun.send(()).unwrap();
                released.await.unwrap();
                "done"
            }),
        );
        let ending = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, ending.clone(), Duration::from_secs(20)));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        has_begun.await.unwrap();
        ending.cancel();
        // The listener goes first: wait until nobody answers there.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("done"), "{answer}");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_and_a_reader_that_stops_reading_are_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
        let upload = move |body: Body| async move {
            seen.send(axum::body::to_bytes(body, 1 << 20).await.is_ok()).unwrap();
        };
        let (held, dropped) = oneshot::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(Some(held)));
        let endless = move || async move {
            let held = held.lock().unwrap().take();
            Body::from_stream(futures::stream::repeat_with(move || {
                let _until_the_end = &held;
                Ok::<_, std::io::Error>(vec![0_u8; 1 << 16])
            }))
        };
        let router = Router::new().route("/up", axum::routing::put(upload)).route("/down", get(endless));
        let silence = Duration::from_millis(200);
        let drain = Duration::from_secs(1);
        tokio::spawn(serve_patiently(listener, router, CancellationToken::new(), drain, silence));
        let mut writer = TcpStream::connect(address).await.unwrap();
        writer.write_all(b"PUT /up HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
        let mut reader = TcpStream::connect(address).await.unwrap();
        reader.write_all(b"GET /down HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert_eq!(outcomes.recv().await, Some(false), "the body ended with an error");
        assert!(dropped.await.is_err(), "the answer's body was dropped");
    }

    #[tokio::test]
    async fn event_streams_end_when_the_server_does() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route(
            "/events",
            get(|| async {
                let first = futures::stream::iter([Ok::<_, std::io::Error>("data: first\n\n")]);
                let body = Body::from_stream(first.chain(futures::stream::pending()));
                ([(header::CONTENT_TYPE, "text/event-stream")], body)
            }),
        );
        let ending = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, ending.clone(), Duration::from_secs(20)));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut seen = String::new();
        let mut buffer = [0; 1024];
        while !seen.contains("first") {
            let count = client.read(&mut buffer).await.unwrap();
            seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        ending.cancel();
        client.read_to_string(&mut seen).await.unwrap();
        assert!(seen.ends_with("0\r\n\r\n"), "the body ends in good order: {seen}");
        server.await.unwrap();
    }
}
