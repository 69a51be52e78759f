//! Clients that go, and clients that stand still.

use crate::support::*;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Opens its gate when dropped: tells that the container was let go.
struct Released(Arc<Semaphore>);

impl Drop for Released {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

const POST: &str =
    "POST /production/iris/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_frees_its_place_and_the_container() {
    let site = Site::start().await;
    let released = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&released);
    let container = Container::start(move |_| {
        let released = Released(Arc::clone(&gate));
        async move {
            let _released = released;
            std::future::pending().await
        }
    })
    .await;
    site.route(1, vec![backend("rev", container.address)]).await;
    let mut stream = TcpStream::connect(site.gateway.local_addr()).await.unwrap();
    stream.write_all(POST.as_bytes()).await.unwrap();
    site.until("a request under way", |status| in_flight(&status.backends) == 1).await;
    drop(stream);
    site.until_idle().await;
    let _ = released.acquire().await.unwrap();
    let metrics = String::from_utf8(get(&site.url("/.waybill/metrics")).await.1.to_vec()).unwrap();
    let aborted = r#"waybill_gateway_requests_total{environment="production",model="iris",code="aborted"} 1"#;
    assert!(metrics.contains(aborted), "{metrics}");
}

/// A container whose answer never ends.
async fn endless() -> Container {
    Container::start(|_| async {
        let pieces = tokio_stream::iter(std::iter::repeat_with(|| {
            Ok(http_body::Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))
        }));
        Response::new(BodyExt::boxed(StreamBody::new(pieces)))
    })
    .await
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_answer_frees_its_place() {
    let site = Site::start().await;
    let container = endless().await;
    site.route(1, vec![backend("rev", container.address)]).await;
    let mut stream = TcpStream::connect(site.gateway.local_addr()).await.unwrap();
    stream.write_all(POST.as_bytes()).await.unwrap();
    stream.read_exact(&mut vec![0; 64 * 1024]).await.unwrap();
    assert_eq!(in_flight(&site.status().await.backends), 1);
    drop(stream);
    site.until_idle().await;
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let site = Site::with(|config| config.write_timeout_ms = 200).await;
    let container = endless().await;
    site.route(1, vec![backend("rev", container.address)]).await;
    let mut stream = TcpStream::connect(site.gateway.local_addr()).await.unwrap();
    stream.write_all(POST.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 1024]).await.unwrap();
    site.until_idle().await;
    drop(stream);
}

#[tokio::test]
async fn a_container_that_breaks_off_is_seen_as_a_broken_answer() {
    let site = Site::start().await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let container = Container::start(move |_| {
        let frames = receiver.lock().unwrap().take().unwrap();
        async { Response::new(stream_of(frames)) }
    })
    .await;
    site.route(1, vec![backend("rev", container.address)]).await;
    sender.send("begun").await.unwrap();
    let request = Request::get(site.url("/production/iris/x")).body(full("")).unwrap();
    let mut answer = client().request(request).await.unwrap().into_body();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "begun");
    container.kill().await;
    answer.collect().await.expect_err("a cut answer must not look whole");
    site.until_idle().await;
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_is_cut() {
    let site = Site::with(|config| config.response_timeout_ms = 200).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let container = Container::start(move |_| {
        let frames = receiver.lock().unwrap().take().unwrap();
        async { Response::new(stream_of(frames)) }
    })
    .await;
    site.route(1, vec![backend("rev", container.address)]).await;
    sender.send("begun").await.unwrap();
    let request = Request::get(site.url("/production/iris/x")).body(full("")).unwrap();
    let response = client().request(request).await.unwrap();
    response.into_body().collect().await.expect_err("the container never ended it");
    site.until_idle().await;
}
