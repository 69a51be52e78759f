//! A registry that desires nothing: enough for a deployer to find out that it has orphans.

use http::{Method, Request, Response};
use tower::{service_fn, util::BoxCloneSyncService};
use waybill_client::{
    Client,
    api::{DesiredState, Lease, PublicKeyInfo, ServerInfo},
    transport::{Body, full},
};

/// The id that it bears.
pub const ID: &str = "empty";

pub fn client() -> Client {
    Client::in_memory(BoxCloneSyncService::new(service_fn(|request: Request<Body>| async move {
        // The long poll: an answer at once would make the deployer ask without end.
        if request.uri().query().is_some_and(|query| !query.contains("wait_ms=0")) {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        Ok(answer(request.method(), request.uri().path()))
    })))
}

fn answer(method: &Method, path: &str) -> Response<Body> {
    let environment = path.split('/').nth(4).unwrap_or_default().to_owned();
    let json = match (method, path.rsplit('/').next()) {
        (&Method::POST, Some("lease")) => serde_json::to_vec(&Lease {
            environment,
            holder: "test".to_owned(),
            fence: 1,
            expires_at_ms: i64::MAX,
        }),
        (&Method::GET, Some("info")) => serde_json::to_vec(&ServerInfo {
            registry_id: ID.to_owned(),
            version: "1".to_owned(),
            database: "sqlite".to_owned(),
            artifacts: "file".to_owned(),
            deployer: "embedded".to_owned(),
            gateway_url: None,
        }),
        (&Method::GET, Some("desired")) => {
            serde_json::to_vec(&DesiredState { environment, revision: 1, deployments: Vec::new() })
        }
        (&Method::POST, Some("keys")) => serde_json::to_vec(&PublicKeyInfo {
            hint: String::new(),
            role: "deployer".to_owned(),
            algorithm: "ecdsa-p256-sha256".to_owned(),
            public_key_pem: String::new(),
        }),
        other => panic!("not expected here: {other:?}"),
    };
    let mut response = Response::new(full(json.unwrap()));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
