//! The registry as the in-process deployer reaches it: its router, called without a socket.

use axum::Router;
use http::{Request, Response};
use tower::{ServiceExt, util::BoxCloneSyncService};
use waybill_client::{
    Client,
    transport::{Body, body},
};

/// A client whose requests go straight into `router`.
pub fn client(router: Router) -> Client {
    let service = router
        .map_request(|request: Request<Body>| request.map(axum::body::Body::new))
        .map_response(|response: Response<axum::body::Body>| response.map(body));
    Client::in_memory(BoxCloneSyncService::new(service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, routing::get};
    use waybill_client::api::KeyList;

    #[tokio::test]
    async fn calls_reach_the_router() {
        let keys = || async { Json(KeyList { keys: vec![] }) };
        let client = client(Router::new().route("/api/v1/keys", get(keys)));
        assert!(client.keys().await.unwrap().keys.is_empty());
        assert!(client.info().await.unwrap_err().is_not_found());
    }
}
