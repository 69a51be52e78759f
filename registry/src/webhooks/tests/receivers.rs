//! Receivers on loopback, good and bad.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: String,
    /// By lower-case name.
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Seen {
    pub fn delivery_id(&self) -> &str {
        &self.headers["x-mlflow-delivery-id"]
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What a receiver answers.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16),
    /// The head's lines and the body, as they are.
    Raw(String),
    /// A status, once it is let through.
    After(Arc<Notify>, u16),
    /// Takes the request and says nothing.
    Hang,
    /// 200 and a body without end.
    Endless,
}

pub struct Receiver {
    pub url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    arrived: Notify,
}

impl Receiver {
    /// Answers the nth request, counted from 0, as `script` says.
    pub async fn start(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?token=1", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let (shared, script) = (Arc::clone(&state), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared), Arc::clone(&script)));
            }
        });
        Self { url, state }
    }

    pub async fn good() -> Self {
        Self::start(|_| Reply::Status(200)).await
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The requests, once there are `count`.
    pub async fn wait(&self, count: usize) -> Vec<Seen> {
        let arrived = async {
            loop {
                let notified = self.state.arrived.notified();
                let seen = self.seen();
                if seen.len() >= count {
                    return seen;
                }
                notified.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), arrived)
            .await
            .unwrap_or_else(|_| panic!("{} of {count} requests came: {:?}", self.seen().len(), self.seen()))
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>, script: Arc<impl Fn(usize) -> Reply>) {
    let Some(seen) = read(&mut stream).await else {
        return;
    };
    let number = {
        let mut all = state.seen.lock().unwrap();
        all.push(seen);
        all.len() - 1
    };
    state.arrived.notify_waiters();
    match script(number) {
        Reply::After(gate, status) => {
            gate.notified().await;
            let _ = stream
                .write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").as_bytes())
                .await;
        }
        Reply::Status(status) => {
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 4\r\n\r\nsaid");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Reply::Raw(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Reply::Hang => std::future::pending().await,
        Reply::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let headers: HashMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen { head, headers, body: String::from_utf8(body).unwrap() })
}
