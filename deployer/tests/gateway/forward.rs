//! What passes, both ways, and what does not.

use crate::support::*;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use waybill_deployer::gateway::Backend;

/// A container that answers with the head it was sent, and headers of its own.
async fn mirror() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                while let Some(head) = read_head(&mut stream).await {
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
                         Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nAccess-Control-Allow-Origin: *\r\n\
                         X-Kept: yes\r\n\r\n{head}",
                        head.len()
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    address
}

/// Lines of a head, lower case, sorted, after the request or status line.
fn fields(head: &str) -> Vec<String> {
    let mut fields: Vec<_> =
        head.lines().skip(1).take_while(|line| !line.is_empty()).map(str::to_ascii_lowercase).collect();
    fields.sort();
    fields
}

#[tokio::test]
async fn hop_fields_end_here_and_the_prefix_is_taken_off() {
    let site = Site::start().await;
    let upstream = mirror().await;
    site.route(1, vec![backend("rev", upstream)]).await;
    let answer = raw(
        site.gateway.local_addr(),
        "GET /production/iris/v2/a%2Fb?q=%2e%2e/&r HTTP/1.1\r\nHost: localhost:1\r\n\
         Connection: close, X-Secret, X-Forwarded-For\r\nX-Secret: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\n\
         Upgrade: h2c\r\nProxy-Authorization: Basic eA==\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\
         X-Real-IP: 1.2.3.4\r\nX-Request-Id: req-7\r\nAccept: text/plain\r\n\r\n",
    )
    .await;
    let (head, seen) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(seen.lines().next().unwrap(), "GET /v2/a%2Fb?q=%2e%2e/&r HTTP/1.1");
    assert_eq!(
        fields(seen),
        [
            "accept: text/plain",
            &format!("host: {upstream}"),
            "via: 1.1 waybill",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: localhost:1",
            "x-forwarded-prefix: /production/iris",
            "x-forwarded-proto: http",
            "x-request-id: req-7",
        ]
    );
    assert!(head.starts_with("HTTP/1.1 200 OK"));
    let mut names: Vec<_> =
        fields(head).iter().map(|field| field.split(':').next().unwrap().to_owned()).collect();
    names.sort();
    // `connection: close` is the gateway's own, as the client asked; so are the fields that keep a
    // model's page from acting as the gateway's.
    assert_eq!(
        names,
        [
            "connection",
            "content-length",
            "content-security-policy",
            "date",
            "x-content-type-options",
            "x-kept",
            "x-request-id"
        ]
    );
}

#[tokio::test]
async fn a_path_without_a_rest_is_the_root() {
    let site = Site::start().await;
    site.route(1, vec![backend("rev", mirror().await)]).await;
    for (path, seen) in [
        ("/production/iris", "GET / HTTP/1.1"),
        ("/production/iris/", "GET / HTTP/1.1"),
        ("/production/iris?a=1", "GET /?a=1 HTTP/1.1"),
        ("/production/iris//ping", "GET //ping HTTP/1.1"),
        ("/%70roduction/%69ris/ping", "GET /ping HTTP/1.1"),
    ] {
        let body = get(&site.url(path)).await.1;
        assert!(body.starts_with(seen.as_bytes()), "{path}: {body:?}");
    }
}

#[tokio::test]
async fn a_body_streams_both_ways_at_once() {
    let site = Site::start().await;
    let echo = Container::start(|request| async {
        let body = request.into_body().map_err(std::io::Error::other);
        Response::new(BodyExt::boxed(body))
    })
    .await;
    site.route(1, vec![backend("rev", echo.address)]).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let request = Request::post(site.url("/production/iris/echo")).body(stream_of(receiver)).unwrap();
    sender.send("first").await.unwrap();
    let mut answer = client().request(request).await.unwrap().into_body();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    // The second piece is sent only now: nothing waits for the end of the body.
    sender.send("second").await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "second");
    drop(sender);
    assert!(answer.frame().await.is_none());
    site.until_idle().await;
}

#[tokio::test]
async fn methods_lengths_and_statuses_pass() {
    let site = Site::start().await;
    let container = Container::start(|request| async {
        let told = format!(
            "{} length={:?} coding={:?}",
            request.method(),
            request.headers().get("content-length"),
            request.headers().get("transfer-encoding"),
        );
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::builder().status(StatusCode::IM_A_TEAPOT).header("x-told", told).body(full(body)).unwrap()
    })
    .await;
    site.route(1, vec![backend("rev", container.address)]).await;
    let address = site.gateway.local_addr();
    for (method, framing, told) in [
        ("GET", "\r\n", "GET length=None coding=None"),
        ("POST", "Content-Length: 0\r\n\r\n", "POST length=Some(\"0\") coding=None"),
        ("POST", "Content-Length: 3\r\n\r\nabc", "POST length=Some(\"3\") coding=None"),
        ("DELETE", "Content-Length: 3\r\n\r\nabc", "DELETE length=Some(\"3\") coding=None"),
        (
            "PUT",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "PUT length=None coding=Some(\"chunked\")",
        ),
        (
            "GET",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "GET length=None coding=Some(\"chunked\")",
        ),
        (
            "POST",
            "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
            "POST length=Some(\"3\") coding=None",
        ),
    ] {
        let request = format!(
            "{method} /production/iris/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{framing}"
        );
        let answer = raw(address, &request).await;
        assert!(answer.contains("HTTP/1.1 418 I'm a teapot"), "{request}{answer}");
        assert!(answer.contains(&format!("x-told: {told}\r\n")), "{request}{answer}");
        assert_eq!(answer.ends_with("abc"), framing.contains("abc"), "{request}{answer}");
    }
    let head =
        raw(address, "HEAD /production/iris/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await;
    assert!(head.contains("x-told: HEAD") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn the_gateways_own_pages() {
    let site = Site::start().await;
    let container = Container::named("one").await;
    site.route(3, vec![backend("rev_1", container.address)]).await;
    assert_eq!(get(&site.url("/.waybill/health")).await.1, "OK");
    post(&site.url("/production/iris/x"), "x").await;
    get(&site.url("/production/unknown/x")).await;
    let (status, body, headers) = get(&site.url("/.waybill/metrics")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = String::from_utf8(body.to_vec()).unwrap();
    for line in [
        r#"waybill_gateway_requests_total{environment="production",model="iris",code="2xx"} 1"#,
        r#"waybill_gateway_requests_total{environment="",model="",code="4xx"} 1"#,
        r#"waybill_gateway_request_duration_seconds_count{environment="production",model="iris"} 1"#,
        r#"waybill_gateway_in_flight{environment="production",model="iris",revision_id="rev_1"} 0"#,
        "waybill_gateway_route_generation 3",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let posted = post(&site.url("/.waybill/status"), "x").await;
    assert_eq!(problem(&posted).1, "METHOD_NOT_ALLOWED");
    assert_eq!(posted.2["allow"], "GET, HEAD");
    for path in ["/.waybill", "/.waybill/", "/.waybill/other", "/", "/production", "/production/"] {
        assert_eq!(problem(&get(&site.url(path)).await).1, "NO_SUCH_PATH", "{path}");
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let site = Site::start().await;
    site.route(1, vec![]).await;
    let none = get(&site.url("/production/iris/x")).await;
    let (status, code, detail) = problem(&none);
    assert_eq!((status, code.as_str()), (503, "NO_READY_REVISION"));
    assert!(detail.contains("iris") && detail.contains("production"), "{detail}");
    assert_eq!(none.2["retry-after"], "5");

    let unknown = get(&site.url("/staging/iris/x")).await;
    let (status, code, detail) = problem(&unknown);
    assert_eq!((status, code.as_str()), (404, "ROUTE_NOT_FOUND"));
    assert!(detail.contains("iris") && detail.contains("staging"), "{detail}");

    let gone = Container::named("gone").await;
    let address = gone.address;
    gone.stop().await;
    site.route(2, vec![backend("rev_9", address)]).await;
    let refused = post(&site.url("/production/iris/x"), "x").await;
    let (status, code, detail) = problem(&refused);
    assert_eq!((status, code.as_str()), (502, "UPSTREAM_UNREACHABLE"));
    assert!(detail.contains("rev_9") && detail.contains("refused"), "{detail}");
    assert!(!detail.contains(&address.to_string()), "{detail} tells an inner address");
    site.until_idle().await;
}

#[tokio::test]
async fn an_answer_that_does_not_name_the_revision_is_somebody_elses() {
    let site = Site::start().await;
    for (named, expected) in [
        (Some("rev"), StatusCode::OK),
        (Some("another"), StatusCode::BAD_GATEWAY),
        (None, StatusCode::BAD_GATEWAY),
    ] {
        let container = Container::start(move |_| async move {
            let mut response = Response::new(full("an answer"));
            if let Some(named) = named {
                response.headers_mut().insert("waybill-revision", named.parse().unwrap());
            }
            response
        })
        .await;
        let told = Backend { tells_revision: true, ..backend("rev", container.address) };
        let generation = site.status().await.generation + 1;
        site.route(generation, vec![told]).await;
        let (status, body, _) = get(&site.url("/production/iris/ping")).await;
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(status, expected, "{named:?}: {body}");
        assert_eq!(body.contains("UPSTREAM_STRANGER"), expected != StatusCode::OK, "{body}");
        assert_eq!(body == "an answer", expected == StatusCode::OK);
    }
}
