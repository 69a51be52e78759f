use crate::support::{Server, each_server};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, Method, Request, header},
};
use http_body_util::BodyExt as _;
use std::{fs, os::unix::fs::symlink};
use waybill_registry::ui::Source;

async fn ask(
    server: &Server,
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
) -> (u16, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:5000");
    for (name, value) in headers {
        request.headers_mut().unwrap().insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    let response = server.answer(request.body(Body::empty()).unwrap()).await;
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (parts.status.as_u16(), parts.headers, text)
}

async fn get(server: &Server, path: &str) -> (u16, HeaderMap, String) {
    ask(server, Method::GET, path, &[]).await
}

/// A package as pip installs it, beside what must not be read.
fn package() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let build = dir.path().join("mlflow/server/js/build");
    fs::create_dir_all(build.join("static/js")).unwrap();
    fs::create_dir_all(build.join("lib/notebook-trace-renderer")).unwrap();
    fs::write(dir.path().join("mlflow/server/secret.html"), "secret").unwrap();
    fs::write(build.join("index.html"), "<html>the page").unwrap();
    fs::write(build.join("lib/notebook-trace-renderer/index.html"), "<html>a trace").unwrap();
    fs::write(build.join("static/js/main.c2f5f8d4.js"), "run()").unwrap();
    symlink(dir.path().join("mlflow/server/secret.html"), build.join("link.html")).unwrap();
    symlink(dir.path().join("mlflow/server"), build.join("away")).unwrap();
    dir
}

async fn serving(package: &tempfile::TempDir) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", dir.path().join("waybill.db").display());
    (Server::open_with(database, Source::Folder(package.path().to_owned())).await, dir)
}

#[tokio::test]
async fn without_the_ui_the_first_page_says_how_to_turn_it_on() {
    each_server(|server| async move {
        let (status, headers, text) = get(&server, "/").await;
        assert_eq!(status, 200);
        assert!(headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/plain"), "{headers:?}");
        assert!(text.contains("--mlflow-ui auto"), "{text}");
        assert_eq!(get(&server, "/static-files/index.html").await.0, 404);
        server
    })
    .await;
}

#[tokio::test]
async fn pages_and_their_headers() {
    let package = package();
    let (server, _data) = serving(&package).await;
    let (status, headers, text) = get(&server, "/").await;
    assert_eq!((status, text.as_str()), (200, "<html>the page"));
    let header = |headers: &HeaderMap, name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    assert_eq!(header(&headers, "content-type").unwrap(), "text/html; charset=utf-8");
    assert_eq!(header(&headers, "cache-control").unwrap(), "no-cache");
    assert_eq!(header(&headers, "x-content-type-options").unwrap(), "nosniff");
    assert_eq!(header(&headers, "x-frame-options").unwrap(), "SAMEORIGIN");
    let policy = header(&headers, "content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("object-src 'none'"), "{policy}");

    let (status, headers, text) = get(&server, "/static-files/static/js/main.c2f5f8d4.js").await;
    assert_eq!((status, text.as_str()), (200, "run()"));
    assert_eq!(header(&headers, "content-type").unwrap(), "text/javascript; charset=utf-8");
    assert_eq!(header(&headers, "cache-control").unwrap(), "public, max-age=31536000, immutable");

    // Notebooks frame it from another origin.
    let (status, headers, _) = get(&server, "/static-files/lib/notebook-trace-renderer/index.html").await;
    assert_eq!((status, header(&headers, "x-frame-options")), (200, None));
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let package = package();
    let (server, _data) = serving(&package).await;
    let (_, headers, _) = get(&server, "/").await;
    let etag = headers[header::ETAG].to_str().unwrap().to_owned();
    for (tags, status) in
        [(etag.as_str(), 304), (&format!("W/{etag}, \"x\""), 304), ("*", 304), ("\"x\"", 200)]
    {
        let (got, headers, text) = ask(&server, Method::GET, "/", &[("if-none-match", tags)]).await;
        assert_eq!((got, text.is_empty()), (status, status == 304), "{tags}");
        assert_eq!(headers[header::ETAG], etag);
    }
    let (status, headers, text) = ask(&server, Method::HEAD, "/", &[]).await;
    assert_eq!((status, text.as_str(), headers[header::ETAG].to_str().unwrap()), (200, "", etag.as_str()));
    fs::write(package.path().join("mlflow/server/js/build/index.html"), "<html>a newer page").unwrap();
    let (status, _, text) = ask(&server, Method::GET, "/", &[("if-none-match", &etag)]).await;
    assert_eq!((status, text.as_str()), (200, "<html>a newer page"));
}

#[tokio::test]
async fn no_path_leaves_the_folder() {
    let package = package();
    let (server, _data) = serving(&package).await;
    for path in [
        "/static-files/",
        "/static-files//etc/passwd",
        "/static-files/../secret.html",
        "/static-files/../../secret.html",
        "/static-files/static/../../../secret.html",
        "/static-files/%2e%2e/%2e%2e/secret.html",
        "/static-files/..%2f..%2fsecret.html",
        "/static-files/%252e%252e/%252e%252e/secret.html",
        "/static-files/..%5c..%5csecret.html",
        "/static-files/%2fetc%2fpasswd",
        "/static-files/index.html%00",
        "/static-files/static/js",
        "/static-files/link.html",
        "/static-files/away/secret.html",
        "/static-files/away/js/build/index.html",
        "/static-files/missing.js",
    ] {
        let (status, _, text) = get(&server, path).await;
        assert_eq!(status, 404, "{path}: {text}");
        assert!(!text.contains("secret"), "{path}: {text}");
    }
    let refused = ask(&server, Method::POST, "/static-files/index.html", &[]).await;
    assert_eq!(refused.0, 405);
    let foreign = ask(&server, Method::GET, "/", &[("host", "evil.example")]).await;
    assert_eq!(foreign.0, 403, "{}", foreign.2);
}
