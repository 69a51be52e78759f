//! A page in the user's browser must not be able to drive a loopback server.
//!
//! DNS rebinding is stopped by the `Host` allow-list, cross-site writes by the `Origin` check.
//! Clients that are not browsers send no `Origin`.

use super::ApiError;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{collections::HashSet, net::SocketAddr, sync::Arc};

/// The hosts under which this server may be addressed.
#[derive(Clone, Debug)]
pub struct HostGuard {
    hosts: Arc<HashSet<String>>,
    /// Those that the operator named: their pages may write here, wherever the browser got them.
    further: Arc<HashSet<String>>,
}

impl HostGuard {
    /// Loopback names at any port, the address listened on, and `further` names.
    pub fn new(listen: SocketAddr, further: &[String]) -> Self {
        let mut hosts: HashSet<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        hosts.insert(SocketAddr::to_string(&listen));
        if !listen.ip().is_unspecified() {
            hosts.insert(host_of(&listen.to_string()).to_owned());
        }
        let further: HashSet<String> = further.iter().map(|h| h.to_ascii_lowercase()).collect();
        hosts.extend(further.iter().cloned());
        Self { hosts: Arc::new(hosts), further: Arc::new(further) }
    }

    /// Whether `authority` (`host` or `host:port`) is one of ours.
    pub fn allows(&self, authority: &str) -> bool {
        lists(&self.hosts, authority)
    }

    /// Whether a page from `origin` may write to this server, addressed as `host`. Another port of
    /// the same machine is another origin, and whoever serves it another program.
    fn allows_origin(&self, origin: &str, host: &str) -> bool {
        origin.split_once("://").is_some_and(|(scheme, authority)| {
            matches!(scheme, "http" | "https")
                && (authority.eq_ignore_ascii_case(host) || lists(&self.further, authority))
        })
    }
}

fn lists(hosts: &HashSet<String>, authority: &str) -> bool {
    let authority = authority.to_ascii_lowercase();
    hosts.contains(&authority) || hosts.contains(host_of(&authority))
}

/// `authority` without its port; IPv6 literals keep their brackets.
fn host_of(authority: &str) -> &str {
    match authority.rfind(']') {
        Some(end) => &authority[..=end],
        None => authority.split(':').next().unwrap_or_default(),
    }
}

pub async fn check(State(guard): State<HostGuard>, request: Request, next: Next) -> Response {
    match refuse(&guard, request.method(), request.uri().authority().map(|a| a.as_str()), request.headers()) {
        None => next.run(request).await,
        Some(refusal) => refusal.into_response(),
    }
}

fn refuse(
    guard: &HostGuard,
    method: &Method,
    authority: Option<&str>,
    headers: &HeaderMap,
) -> Option<ApiError> {
    let host = authority.or_else(|| headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
    if !guard.allows(host) {
        let shown: String = host.chars().take(100).collect();
        return Some(ApiError::forbidden(
            "HOST_NOT_ALLOWED",
            format!("Host {shown:?} is not served here; add it with --allowed-host if it is yours"),
        ));
    }
    if method.is_safe() {
        return None;
    }
    // Browsers send Origin with every cross-site write, and Sec-Fetch-Site where they hide it.
    let site = headers.get("sec-fetch-site").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let origin = headers.get(header::ORIGIN).map(|v| v.to_str().unwrap_or("?").to_owned());
    let foreign = match &origin {
        Some(origin) => site == "cross-site" || !guard.allows_origin(origin, host),
        None => matches!(site, "cross-site" | "same-site"),
    };
    foreign.then(|| {
        let shown: String = origin.unwrap_or_else(|| site.to_owned()).chars().take(100).collect();
        ApiError::forbidden("ORIGIN_NOT_ALLOWED", format!("a page from {shown:?} may not write here"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> HostGuard {
        HostGuard::new("127.0.0.1:5000".parse().unwrap(), &["models.example:8443".into()])
    }

    #[test]
    fn hosts() {
        for (host, allowed) in [
            ("127.0.0.1:5000", true),
            ("localhost:9", true),
            ("LOCALHOST", true),
            ("[::1]:5000", true),
            ("models.example:8443", true),
            ("models.example", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:5000", false),
            ("", false),
        ] {
            assert_eq!(guard().allows(host), allowed, "{host}");
        }
    }

    #[test]
    fn origins_matter_for_writes_only() {
        for (method, origin, refused) in [
            (Method::POST, Some("http://localhost:5000"), false),
            (Method::POST, Some("https://models.example:8443"), false),
            // Another program on this machine, e.g. a notebook server that shows a stranger's page.
            (Method::POST, Some("http://localhost:8888"), true),
            (Method::POST, Some("http://127.0.0.1:5000"), true),
            (Method::POST, Some("ftp://localhost:5000"), true),
            (Method::POST, Some("http://evil.example"), true),
            (Method::POST, Some("null"), true),
            (Method::DELETE, Some("https://evil.example"), true),
            (Method::GET, Some("http://evil.example"), false),
            (Method::POST, None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:5000".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(refuse(&guard(), &method, None, &headers).is_some(), refused, "{method} {origin:?}");
        }
    }
}
