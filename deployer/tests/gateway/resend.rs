//! What is sent twice, and what never is.

use crate::support::*;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Reads a request with a body of one byte or none, and returns its head.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let head = read_head(stream).await?;
    if head.to_ascii_lowercase().contains("content-length: 1\r\n") {
        stream.read_u8().await.ok()?;
    }
    Some(head)
}

/// A container that answers `answers` requests per connection, reads one more, and breaks off.
async fn breaks_after(answers: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                for _ in 0..answers {
                    if read_request(&mut stream).await.is_none() {
                        return;
                    }
                    seen.fetch_add(1, Ordering::SeqCst);
                    stream.write_all(ANSWER).await.unwrap();
                }
                if read_request(&mut stream).await.is_some() {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (address, requests)
}

/// Sends requests one after the other, so that each may find the connection of the one before.
async fn statuses(site: &Site, method: &str, body: &'static str, count: usize) -> Vec<StatusCode> {
    let (client, mut statuses) = (client(), Vec::new());
    for _ in 0..count {
        let request = Request::builder().method(method).uri(site.url("/production/iris/x"));
        let request = request.body(full(body)).unwrap();
        let response = client.request(request).await.unwrap();
        statuses.push(response.status());
        response.into_body().collect().await.unwrap();
    }
    statuses
}

#[tokio::test]
async fn a_post_that_was_sent_is_not_sent_again() {
    let site = Site::start().await;
    // The connection breaks at its first request, and at its second, which found it idle.
    for (generation, answers, body) in [(1, 0, "x"), (2, 1, "x"), (3, 1, "")] {
        let (address, requests) = breaks_after(answers).await;
        site.route(generation, vec![backend("rev", address)]).await;
        let statuses = statuses(&site, "POST", body, answers + 1).await;
        assert_eq!(statuses.last(), Some(&StatusCode::BAD_GATEWAY));
        assert_eq!(requests.load(Ordering::SeqCst), answers + 1);
    }
}

#[tokio::test]
async fn a_get_that_broke_on_an_idle_connection_is_sent_on_a_new_one() {
    let site = Site::start().await;
    let (address, requests) = breaks_after(1).await;
    site.route(1, vec![backend("rev", address)]).await;
    assert_eq!(statuses(&site, "GET", "", 3).await, [StatusCode::OK; 3]);
    // The second and the third each met the break once.
    assert_eq!(requests.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_get_that_breaks_on_a_new_connection_is_an_error() {
    let site = Site::start().await;
    let (address, requests) = breaks_after(0).await;
    site.route(1, vec![backend("rev", address)]).await;
    assert_eq!(statuses(&site, "GET", "", 1).await, [StatusCode::BAD_GATEWAY]);
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

/// A container that closes each connection after one answer without announcing it, and says when.
async fn closes_unannounced() -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (closed, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if read_request(&mut stream).await.is_some() {
                stream.write_all(ANSWER).await.unwrap();
                drop(stream);
                closed.send(()).unwrap();
            }
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn a_post_never_meets_a_connection_that_the_container_has_closed() {
    let site = Site::start().await;
    let (address, mut closed) = closes_unannounced().await;
    site.route(1, vec![backend("rev", address)]).await;
    for _ in 0..300 {
        assert_eq!(statuses(&site, "POST", "x", 1).await, [StatusCode::OK]);
        closed.recv().await.unwrap();
    }
}

/// A container that tells, at the end of each connection, how many requests came on it. One to
/// `/long` is answered when the gate opens.
async fn counts_per_connection(gate: Arc<Semaphore>) -> (SocketAddr, mpsc::UnboundedReceiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ended, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (ended, gate) = (ended.clone(), Arc::clone(&gate));
            tokio::spawn(async move {
                let mut served = 0;
                while let Some(head) = read_request(&mut stream).await {
                    if head.contains("/long") {
                        gate.acquire().await.unwrap().forget();
                    }
                    stream.write_all(ANSWER).await.unwrap();
                    served += 1;
                }
                // The test may have ended.
                let _ = ended.send(served);
            });
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn a_connection_is_reused_and_closed_when_its_container_leaves_the_table() {
    let site = Site::with(|config| config.upstream_idle_ms = 600_000).await;
    let gate = Arc::new(Semaphore::new(0));
    let (address, mut ends) = counts_per_connection(Arc::clone(&gate)).await;
    site.route(1, vec![backend("rev", address)]).await;
    let long = Request::get(site.url("/production/iris/long")).body(full("")).unwrap();
    let long = tokio::spawn(async move { client().request(long).await.unwrap().status() });
    site.until("a long request", |status| in_flight(&status.backends) == 1).await;
    assert_eq!(statuses(&site, "POST", "x", 20).await, [StatusCode::OK; 20]);
    site.route(2, vec![]).await;
    assert_eq!(ends.recv().await.unwrap(), 20, "the idle connection ends while the other one goes on");
    gate.add_permits(1);
    assert_eq!(long.await.unwrap(), StatusCode::OK);
    assert_eq!(ends.recv().await.unwrap(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_any_traffic() {
    let site = Site::with(|config| config.upstream_idle_ms = 50).await;
    let (address, mut ends) = counts_per_connection(Arc::new(Semaphore::new(0))).await;
    site.route(1, vec![backend("rev", address)]).await;
    assert_eq!(statuses(&site, "POST", "x", 1).await, [StatusCode::OK]);
    assert_eq!(ends.recv().await.unwrap(), 1);
}
