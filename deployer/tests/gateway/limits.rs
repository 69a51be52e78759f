//! Every bound, met.

use crate::support::*;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let site = Site::with(|config| config.max_body_bytes = 1_000).await;
    let container = Container::named("took it").await;
    site.route(1, vec![backend("rev", container.address)]).await;
    let url = site.url("/production/iris/x");
    assert_eq!(post(&url, vec![b'x'; 1_000]).await.1, "took it");
    let announced = post(&url, vec![b'x'; 1_001]).await;
    assert_eq!(problem(&announced).0, 413);
    assert!(!announced.2.contains_key("connection"), "the body was read, the connection can go on");
    assert_eq!(container.requests(), 1, "an announced length is refused before the container");

    let (sender, receiver) = tokio::sync::mpsc::channel(3);
    for _ in 0..3 {
        sender.send(Box::leak("x".repeat(400).into_boxed_str()) as &'static str).await.unwrap();
    }
    drop(sender);
    let streamed = send(Request::post(&url).body(stream_of(receiver)).unwrap()).await;
    assert_eq!(problem(&streamed).1, "BODY_TOO_LARGE");
    assert_eq!(streamed.2["connection"], "close");
    site.until_idle().await;
    assert_eq!(post(&url, "x").await.1, "took it");
}

#[tokio::test]
async fn a_container_gets_no_more_at_a_time_than_it_may() {
    let site = Site::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let container = Container::start(move |_| {
        let gate = Arc::clone(&held);
        async move {
            gate.acquire().await.unwrap().forget();
            Response::new(full("done"))
        }
    })
    .await;
    let mut limited = backend("rev_1", container.address);
    limited.max_concurrent = 2;
    site.route(1, vec![limited]).await;
    let url = site.url("/production/iris/x");
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { post(&url, "x").await })
        })
        .collect();
    site.until("two requests", |status| in_flight(&status.backends) == 2).await;
    let third = post(&url, "x").await;
    let (status, code, detail) = problem(&third);
    assert_eq!((status, code.as_str()), (503, "CONCURRENCY_LIMIT"));
    assert!(detail.contains("rev_1"), "{detail}");
    assert_eq!(third.2["retry-after"], "1");
    gate.add_permits(3);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().1, "done");
    }
    site.until_idle().await;
    assert_eq!(post(&url, "x").await.1, "done");
    assert_eq!(container.requests(), 3);
}

#[tokio::test]
async fn a_container_that_does_not_answer_is_given_up() {
    let site = Site::with(|config| config.response_timeout_ms = 100).await;
    let container = Container::start(|_| std::future::pending()).await;
    site.route(1, vec![backend("rev_1", container.address)]).await;
    let (status, code, detail) = problem(&post(&site.url("/production/iris/x"), "x").await);
    assert_eq!((status, code.as_str()), (504, "UPSTREAM_TIMEOUT"));
    assert!(detail.contains("rev_1") && detail.contains("100 ms"), "{detail}");
    assert_eq!(container.requests(), 1, "a timed-out POST is not sent again");
    site.until_idle().await;
}

#[tokio::test]
async fn a_slow_head_is_cut() {
    let site = Site::with(|config| config.header_timeout_ms = 200).await;
    for sent in ["", "GET /production/iris/x HT", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "] {
        let answer = raw(site.gateway.local_addr(), sent).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
}

#[tokio::test]
async fn a_slow_body_is_cut() {
    let site = Site::with(|config| config.body_timeout_ms = 200).await;
    let container = Container::start(|request| async {
        // Its end is the test's matter.
        let _ = request.into_body().collect().await;
        Response::new(full("done"))
    })
    .await;
    site.route(1, vec![backend("rev", container.address)]).await;
    let answer = raw(
        site.gateway.local_addr(),
        "POST /production/iris/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("BODY_TIMEOUT"), "{answer}");
    site.until_idle().await;
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let site = Site::start().await;
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: {}\r\n\r\n", "x".repeat(70_000));
    let answer = raw(site.gateway.local_addr(), &request).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_slot() {
    let site = Site::with(|config| config.max_connections = 2).await;
    let address = site.gateway.local_addr();
    let ask = b"GET /.waybill/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&ask[..20]).await.unwrap();
        slow.push(stream);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(ask).await.unwrap();
    slow[1].write_all(&ask[20..]).await.unwrap();
    let mut answer = String::new();
    slow[1].read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("OK"), "{answer}");
    assert!(answer.contains("connection: close"), "the last slot is not kept: {answer}");
    assert!(third.read(&mut [0; 512]).await.unwrap() > 0, "the third has the slot of the second");
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let site = Site::with(|config| config.max_body_bytes = 5_000_000).await;
    site.route(1, vec![]).await;
    let address = site.gateway.local_addr();
    for (path, status) in [("/staging/x/y", 404), ("/production/iris/x", 503), ("/production/iris/../x", 400)]
    {
        for length in [4_000_000, 8_000_000] {
            let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
            let next = "GET /.waybill/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let answers = raw(address, &format!("{head}{}{next}", "x".repeat(length))).await;
            let status = if length > 5_000_000 && status == 503 { 413 } else { status };
            assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {length}: {answers}");
            assert!(answers.ends_with("OK"), "the connection goes on: {answers}");
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_refused_before_it_sends() {
    let site = Site::start().await;
    site.route(1, vec![]).await;
    let answer = raw(
        site.gateway.local_addr(),
        "POST /production/iris/x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("connection: close"), "{answer}");
}
