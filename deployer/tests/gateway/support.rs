//! A gateway on its route file, containers that are hyper servers, and clients.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waybill_deployer::gateway::{
    Backend, BackendStatus, Gateway, GatewayConfig, GatewayStatus, Route, RouteTable,
};

pub type AnyBody = BoxBody<Bytes, std::io::Error>;

pub fn full(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub struct Site {
    pub gateway: Gateway,
    folder: tempfile::TempDir,
}

impl Site {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config =
            GatewayConfig::new("127.0.0.1:0".parse().unwrap(), folder.path().join("routes.json"));
        change(&mut config);
        Self { gateway: Gateway::start(config).await.unwrap(), folder }
    }

    pub fn routes_path(&self) -> PathBuf {
        self.folder.path().join("routes.json")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.local_addr())
    }

    /// Writes a table with one route, production/iris, and serves it at once.
    pub async fn route(&self, generation: u64, backends: Vec<Backend>) {
        table(generation, backends).write_atomic(&self.routes_path()).unwrap();
        assert_eq!(self.gateway.reload().await.unwrap(), generation);
    }

    /// The status, as another process sees it.
    pub async fn status(&self) -> GatewayStatus {
        let response = get(&self.url("/.waybill/status")).await;
        assert_eq!(response.0, StatusCode::OK);
        serde_json::from_slice(&response.1).unwrap()
    }

    /// Waits until the status is as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&GatewayStatus) -> bool) -> GatewayStatus {
        for _ in 0..2_000 {
            let status = self.status().await;
            if wanted(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} did not come: {:?}", self.status().await);
    }

    /// Waits until no request is at any container.
    pub async fn until_idle(&self) {
        self.until("an idle gateway", |status| in_flight(&status.backends) == 0).await;
    }
}

pub fn in_flight(backends: &[BackendStatus]) -> u64 {
    backends.iter().map(|backend| backend.in_flight).sum()
}

pub fn table(generation: u64, backends: Vec<Backend>) -> RouteTable {
    let route = Route { environment: "production".into(), model: "iris".into(), backends };
    RouteTable { generation, routes: vec![route], ..RouteTable::default() }
}

pub fn backend(revision_id: &str, address: SocketAddr) -> Backend {
    Backend {
        revision_id: revision_id.into(),
        upstream: format!("http://{address}"),
        weight: 100,
        max_concurrent: 64,
        tells_revision: false,
    }
}

/// A container: a hyper server that can stop like one.
pub struct Container {
    pub address: SocketAddr,
    pub requests: Arc<AtomicUsize>,
    stop: CancellationToken,
    kill: CancellationToken,
    tasks: TaskTracker,
}

impl Container {
    /// Answers every request with what `handler` makes of it.
    pub async fn start<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<AnyBody>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let container = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (stop, kill, tasks) = (container.stop.clone(), container.kill.clone(), container.tasks.clone());
        let requests = Arc::clone(&container.requests);
        container.tasks.spawn(async move {
            loop {
                let stream = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                let connection = serve(stream, handler.clone(), Arc::clone(&requests), stop.clone());
                let kill = kill.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = connection => {}
                        () = kill.cancelled() => {}
                    }
                });
            }
        });
        container
    }

    /// Answers each POST with `name`, after it has read the body.
    pub async fn named(name: &'static str) -> Self {
        Self::start(move |request| async move {
            request.into_body().collect().await.unwrap();
            Response::new(full(name))
        })
        .await
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Like SIGTERM: no new connection, idle ones closed, requests ended.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Like SIGKILL.
    pub async fn kill(self) {
        self.kill.cancel();
        self.stop().await;
    }
}

async fn serve<F, R>(stream: TcpStream, handler: F, requests: Arc<AtomicUsize>, stop: CancellationToken)
where
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response<AnyBody>>,
{
    let service = service_fn(|request| {
        requests.fetch_add(1, Ordering::SeqCst);
        let answering = handler(request);
        async { Ok::<_, Infallible>(answering.await) }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    // A client that leaves is an error here, and none of the test's business.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

pub type HttpClient = Client<HttpConnector, AnyBody>;

/// A client with keep-alive that hides no failure behind a retry.
pub fn client() -> HttpClient {
    Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http()
}

pub async fn send(request: Request<AnyBody>) -> (StatusCode, Bytes, http::HeaderMap) {
    let response = client().request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, body.collect().await.unwrap().to_bytes(), parts.headers)
}

pub async fn get(url: &str) -> (StatusCode, Bytes, http::HeaderMap) {
    send(Request::get(url).body(full("")).unwrap()).await
}

pub async fn post(url: &str, body: impl Into<Bytes>) -> (StatusCode, Bytes, http::HeaderMap) {
    send(Request::post(url).body(full(body)).unwrap()).await
}

/// Status and code of a problem, after a check of what every problem has.
pub fn problem((status, body, headers): &(StatusCode, Bytes, http::HeaderMap)) -> (u16, String, String) {
    assert_eq!(headers["content-type"], "application/problem+json", "{body:?}");
    let problem: waybill_client::api::Problem = serde_json::from_slice(body).unwrap();
    assert_eq!(problem.status, status.as_u16());
    let request_id = headers.get("x-request-id").map(HeaderValue::to_str);
    assert_eq!(problem.request_id.as_deref(), request_id.map(Result::unwrap));
    (problem.status, problem.code, problem.detail)
}

/// Sends bytes as they are and returns all that comes back until the end.
pub async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // An end by reset is an end as well.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one request's head.
pub async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// A body of the pieces that a channel brings.
pub fn stream_of(frames: tokio::sync::mpsc::Receiver<&'static str>) -> AnyBody {
    use tokio_stream::StreamExt;
    let frames = tokio_stream::wrappers::ReceiverStream::new(frames);
    let frames = frames.map(|text| Ok(http_body::Frame::data(Bytes::from_static(text.as_bytes()))));
    BodyExt::boxed(http_body_util::StreamBody::new(frames))
}
