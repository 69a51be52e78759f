//! A real server on a real socket, and requests written byte by byte.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use waybill_registry::{Config, Registry};

pub const BASE: &str = "/api/2.0/mlflow-artifacts/artifacts";

pub struct Server {
    pub address: SocketAddr,
    pub artifacts: PathBuf,
    registry: Registry,
    _dir: tempfile::TempDir,
}

impl Server {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = dir.path().join("artifacts");
        Self::start_in(dir, artifacts).await
    }

    /// With a local folder as the operator's default artifact root.
    pub async fn start_with_root(root: &std::path::Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = dir.path().join("artifacts");
        Self::open(dir, artifacts, Some(format!("file://{}", root.display()))).await
    }

    pub async fn start_in(dir: tempfile::TempDir, artifacts: PathBuf) -> Self {
        Self::open(dir, artifacts, None).await
    }

    async fn open(dir: tempfile::TempDir, artifacts: PathBuf, default_artifact_root: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            data_dir: dir.path().to_owned(),
            artifacts_url: Some(format!("file://{}", artifacts.display())),
            default_artifact_root,
            ..config(address)
        };
        let registry = Registry::open(config).await.unwrap();
        let router = registry.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, artifacts, registry, _dir: dir }
    }

    pub async fn stop(self) {
        self.registry.close().await;
    }

    /// Sends `head` (request line and headers, each line ended) and `body`, and reads to the end.
    pub async fn raw(&self, head: &str, body: &[u8], then: After) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = head.replace('\n', "\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let mut answer = Vec::new();
        let send = async {
            // The server may answer before it has read all; what it says is what counts.
            let _ = writing.write_all(body).await;
            if then == After::HalfClose {
                let _ = writing.shutdown().await;
            }
        };
        // A reset after the answer takes nothing from it.
        let _ = tokio::join!(send, reading.read_to_end(&mut answer));
        Answer::parse(&answer)
    }

    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\nHost: {}\nConnection: close\n", self.address);
        for (name, value) in headers {
            writeln!(head, "{name}: {value}").unwrap();
        }
        writeln!(head, "Content-Length: {}\n", body.len()).unwrap();
        self.raw(&head, body, After::Wait).await
    }

    /// A JSON call; the status and what came back.
    pub async fn json(
        &self,
        method: &str,
        target: &str,
        body: &serde_json::Value,
    ) -> (u16, serde_json::Value) {
        let headers = [("Content-Type", "application/json")];
        let answer = self.send(method, target, &headers, body.to_string().as_bytes()).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    pub async fn put(&self, path: &str, body: &[u8]) -> Answer {
        self.send("PUT", &format!("{BASE}/{path}"), &[], body).await
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", &format!("{BASE}/{path}"), headers, b"").await
    }

    /// Files in the artifacts folder, beside locks and the registry's id.
    pub fn objects(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.artifacts.clone()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let ours = path.file_name().is_some_and(|name| name == "lock" || name == "registry-id");
                match path.is_dir() {
                    true => open.push(path),
                    false if !ours => found.push(path),
                    false => {}
                }
            }
        }
        found
    }

    pub async fn wait_for_objects(&self, count: usize) {
        for _ in 0..1000 {
            if self.objects().len() == count {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("expected {count} objects: {:?}", self.objects());
    }
}

pub fn config(listen: SocketAddr) -> Config {
    Config {
        data_dir: PathBuf::new(),
        database_url: None,
        artifacts_url: None,
        default_artifact_root: None,
        listen,
        allowed_hosts: Vec::new(),
        deployer_mode: "off".into(),
        gateway_url: None,
        mlflow_ui: waybill_registry::ui::Source::Off,
        webhooks: waybill_registry::webhooks::Settings::default(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Wait,
    /// Ends the sending side and goes on reading.
    HalfClose,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let split = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_default();
        Self { status, head, body: bytes.get(split + 4..).unwrap_or_default().to_vec() }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}
