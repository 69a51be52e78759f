//! Who may ask: paths, hosts and origins as they come over the wire.

use crate::support::*;

async fn status_line(site: &Site, request: &str) -> String {
    let answer = raw(site.gateway.local_addr(), request).await;
    let code = answer.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    format!("{} {code}", answer.split(' ').nth(1).unwrap_or_default()).trim_end().to_owned()
}

#[tokio::test]
async fn a_path_cannot_leave_its_deployment() {
    let site = Site::start().await;
    let container = Container::named("reached").await;
    site.route(1, vec![backend("rev", container.address)]).await;
    for path in [
        "/production/iris/../../staging/x",
        "/production/iris/%2e%2e/%2e%2e/staging/x",
        "/production/iris/%252e%252e/x",
        "/production/iris/..%2f..%2fx",
        "/production/iris/..\\x",
        "/staging/../production/iris/x",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let line = status_line(&site, &request).await;
        // hyper itself refuses a backslash.
        assert!(line == "400 INVALID_PATH" || line == "400", "{path}: {line}");
    }
    assert_eq!(container.requests(), 0);
}

#[tokio::test]
async fn a_page_in_a_browser_cannot_drive_the_gateway() {
    let site = Site::with(|config| config.allowed_hosts = vec!["models.example".into()]).await;
    let container = Container::named("reached").await;
    site.route(1, vec![backend("rev", container.address)]).await;
    for (method, fields, expected) in [
        ("GET", "Host: localhost", "200"),
        ("GET", "Host: models.example:8443", "200"),
        ("GET", "Host: evil.example", "403 HOST_NOT_ALLOWED"),
        ("GET", "X-No-Host: 1", "400 INVALID_HOST"),
        ("GET", "Host: localhost\r\nHost: localhost", "400 INVALID_HOST"),
        ("GET", "Host: localhost\r\nOrigin: http://evil.example", "200"),
        ("POST", "Host: localhost\r\nOrigin: http://evil.example", "403 ORIGIN_NOT_ALLOWED"),
        ("POST", "Host: localhost\r\nOrigin: null", "403 ORIGIN_NOT_ALLOWED"),
        (
            "OPTIONS",
            "Host: localhost\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST",
            "403 ORIGIN_NOT_ALLOWED",
        ),
        ("POST", "Host: localhost\r\nOrigin: http://127.0.0.1:5000", "403 ORIGIN_NOT_ALLOWED"),
        ("POST", "Host: localhost\r\nOrigin: http://localhost", "200"),
        ("POST", "Host: localhost", "200"),
    ] {
        for path in ["/production/iris/x", "/.waybill/health"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\n{fields}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            let line = status_line(&site, &request).await;
            let own_page_write = method == "POST" && path.starts_with("/.waybill") && expected == "200";
            let expected = if own_page_write { "405 METHOD_NOT_ALLOWED" } else { expected };
            assert_eq!(line, expected, "{method} {path} {fields}");
        }
    }
    assert_eq!(container.requests(), 5);
}
