//! Over real sockets.

use std::net::TcpListener as StdListener;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use waybill_client::{Client, transport};
use waybill_proof::Digest;

#[tokio::test]
async fn nobody_listening_names_the_address_and_the_way_out() {
    let free = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Client::http(&format!("http://me:secret@{free}")).unwrap().info().await.unwrap_err();
    assert!(error.is_unreachable());
    let message = error.to_string();
    assert!(message.contains(&format!("http://{free}/api/v1/info")), "{message}");
    assert!(message.contains("waybill serve"), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

/// Answers one connection and returns what arrived up to the end of `until`.
async fn answer_once(listener: TcpListener, until: &'static str, answer: &'static str) -> String {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(until) {
        let mut buffer = [0; 4096];
        let count = socket.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
    socket.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(seen).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn a_streamed_body_has_its_length_not_chunks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served =
        tokio::spawn(answer_once(listener, "hello", "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"));
    let client = Client::http(&format!("http://{address}")).unwrap();
    client.put_blob("u", &Digest::of(b"hello"), transport::full("hello"), 5).await.unwrap();
    let seen = served.await.unwrap();
    assert!(seen.contains("content-length: 5\r\n"), "{seen}");
    assert!(!seen.contains("transfer-encoding"), "{seen}");
    assert!(seen.contains(&format!("host: {address}\r\n")), "{seen}");
}

#[tokio::test]
async fn an_answer_cut_short_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(answer_once(listener, "\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"));
    let client = Client::http(&format!("http://{address}/")).unwrap();
    let error = client.blob(&Digest::of(b"")).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
}
