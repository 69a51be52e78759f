//! A page in the user's browser must not be able to drive the gateway: the Host allow-list stops DNS
//! rebinding, the Origin check stops writes from other sites. Clients that are not browsers send no
//! Origin.

use super::error::{GatewayError, shown};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Uri};
use std::net::IpAddr;

/// The hosts under which the gateway may be addressed.
#[derive(Debug, Clone)]
pub(super) struct AllowedHosts {
    /// Loopback names, at any port.
    loopback: Vec<Entry>,
    /// What the operator added.
    further: Vec<Entry>,
}

/// A name, and the one port that goes with it; `None`: any.
type Entry = (HostName, Option<u16>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostName {
    Ip(IpAddr),
    /// Lower case, no dot at the end.
    Name(String),
}

impl AllowedHosts {
    /// Loopback names at any port and `further` entries, `host` (any port) or `host:port`. The first
    /// entry that is neither is the error.
    pub(super) fn new(further: &[String]) -> Result<Self, String> {
        let entry = |text: &String| {
            let (host, port) = parse(text).ok_or_else(|| text.clone())?;
            Ok((HostName::new(host), port))
        };
        Ok(Self {
            loopback: ["localhost", "127.0.0.1", "[::1]"].map(|name| (HostName::new(name), None)).into(),
            further: further.iter().map(entry).collect::<Result<_, String>>()?,
        })
    }

    /// Checks one request that came in on the address `local` and returns its host.
    pub(super) fn check<'a>(
        &self,
        method: &Method,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        local: IpAddr,
    ) -> Result<&'a str, GatewayError> {
        let host = self.check_host(uri, headers, local)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            self.check_origin(headers, host)?;
        }
        Ok(host)
    }

    fn check_host<'a>(
        &self,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        local: IpAddr,
    ) -> Result<&'a str, GatewayError> {
        let mut values = headers.get_all(HOST).iter();
        let header = values.next().ok_or(GatewayError::InvalidHost { found: "no Host header" })?;
        if values.next().is_some() {
            return Err(GatewayError::InvalidHost { found: "several Host headers" });
        }
        let header =
            text(header).ok_or(GatewayError::InvalidHost { found: "a Host header that is not ASCII" })?;
        // The target's own authority goes before the header (RFC 9112 3.2.2); both must be ours.
        for authority in
            [Some(header), uri.authority().map(http::uri::Authority::as_str)].into_iter().flatten()
        {
            if !self.allows(authority, local) {
                return Err(GatewayError::HostNotAllowed { host: shown(authority) });
            }
        }
        Ok(header)
    }

    /// A page may write to the origin that it came from. Another port of the same machine is another
    /// origin, and whoever serves it another program: it needs an entry of its own.
    fn check_origin(&self, headers: &HeaderMap, host: &str) -> Result<(), GatewayError> {
        let site = headers.get("sec-fetch-site").and_then(text).unwrap_or_default();
        // Where the browser hides the origin, this tells.
        if site == "cross-site" || (site == "same-site" && !headers.contains_key(ORIGIN)) {
            return Err(GatewayError::OriginNotAllowed { origin: site.to_owned() });
        }
        for origin in headers.get_all(ORIGIN) {
            let origin = text(origin).unwrap_or("?");
            let allowed = origin.split_once("://").is_some_and(|(scheme, authority)| {
                matches!(scheme, "http" | "https")
                    && (authority.eq_ignore_ascii_case(host) || lists(&self.further, authority))
            });
            if !allowed {
                return Err(GatewayError::OriginNotAllowed { origin: shown(origin) });
            }
        }
        Ok(())
    }

    /// The address that the client reached is always ours: a rebinding page bears a name.
    fn allows(&self, authority: &str, local: IpAddr) -> bool {
        let reached = || parse(authority).map(|(host, _)| HostName::new(host));
        lists(&self.loopback, authority)
            || lists(&self.further, authority)
            || reached() == Some(HostName::Ip(local.to_canonical()))
    }
}

fn lists(entries: &[Entry], authority: &str) -> bool {
    let Some((host, port)) = parse(authority) else {
        return false;
    };
    let host = HostName::new(host);
    entries.iter().any(|(allowed, allowed_port)| {
        *allowed == host && allowed_port.is_none_or(|allowed_port| port == Some(allowed_port))
    })
}

impl HostName {
    fn new(host: &str) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bare.unwrap_or(host).parse::<IpAddr>() {
            Ok(ip) => Self::Ip(ip.to_canonical()),
            Err(_) => Self::Name(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()),
        }
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// `host` and `port` of `host`, `host:port`, `[v6]` or `[v6]:port`; `None` for anything else.
fn parse(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_host = match authority.strip_prefix('[') {
        Some(inner) => inner.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(after_host);
    let name_ok = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._[]:%".contains(&byte));
    let port = match rest.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        None if rest.is_empty() => None,
        _ => return None,
    };
    name_ok.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    fn hosts() -> AllowedHosts {
        AllowedHosts::new(&["models.example:8443".into(), "Gateway.Example".into()]).unwrap()
    }

    fn check(method: &Method, uri: &str, headers: &[(&str, &str)]) -> &'static str {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        match hosts().check(method, &uri.parse().unwrap(), &map, LOCAL) {
            Ok(_) => "ok",
            Err(error) => error.kind().1,
        }
    }

    #[test]
    fn hosts_are_checked_on_every_method() {
        for (host, expected) in [
            ("127.0.0.1:8080", "ok"),
            ("localhost", "ok"),
            ("LOCALHOST:1", "ok"),
            ("localhost.", "ok"),
            ("[::1]:8080", "ok"),
            ("[0:0:0:0:0:0:0:1]", "ok"),
            ("10.0.0.7:8080", "ok"),
            ("[::ffff:10.0.0.7]:8080", "ok"),
            ("models.example:8443", "ok"),
            ("gateway.example:9", "ok"),
            ("models.example", "HOST_NOT_ALLOWED"),
            ("models.example:8444", "HOST_NOT_ALLOWED"),
            ("evil.example", "HOST_NOT_ALLOWED"),
            ("localhost.evil.example", "HOST_NOT_ALLOWED"),
            ("127.0.0.1.evil.example", "HOST_NOT_ALLOWED"),
            ("0.0.0.0:8080", "HOST_NOT_ALLOWED"),
            ("10.0.0.8", "HOST_NOT_ALLOWED"),
            ("user@localhost", "HOST_NOT_ALLOWED"),
            ("localhost:80:80", "HOST_NOT_ALLOWED"),
            ("localhost:+80", "HOST_NOT_ALLOWED"),
            ("localhost/evil", "HOST_NOT_ALLOWED"),
            ("", "HOST_NOT_ALLOWED"),
        ] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(check(&method, "/", &[("host", host)]), expected, "{method} {host:?}");
            }
        }
        assert_eq!(check(&Method::GET, "/", &[]), "INVALID_HOST");
        assert_eq!(check(&Method::GET, "/", &[("host", "localhost"), ("host", "localhost")]), "INVALID_HOST");
        assert_eq!(check(&Method::GET, "http://evil.example/", &[("host", "localhost")]), "HOST_NOT_ALLOWED");
        assert_eq!(check(&Method::GET, "http://localhost/", &[("host", "evil.example")]), "HOST_NOT_ALLOWED");
        assert_eq!(check(&Method::GET, "http://localhost/", &[("host", "localhost")]), "ok");
    }

    #[test]
    fn origins_are_checked_on_writes() {
        for (method, headers, expected) in [
            (Method::POST, &[("origin", "http://localhost:8080")][..], "ok"),
            (Method::POST, &[("origin", "http://LOCALHOST:8080"), ("sec-fetch-site", "same-origin")], "ok"),
            // Another program on this machine, e.g. a notebook server that shows a stranger's page.
            (Method::POST, &[("origin", "http://localhost:8888")], "ORIGIN_NOT_ALLOWED"),
            (Method::POST, &[("origin", "http://127.0.0.1:8080")], "ORIGIN_NOT_ALLOWED"),
            (Method::POST, &[("origin", "http://10.0.0.7:8080")], "ORIGIN_NOT_ALLOWED"),
            (Method::POST, &[("sec-fetch-site", "same-site")], "ORIGIN_NOT_ALLOWED"),
            (
                Method::POST,
                &[("origin", "https://models.example:8443"), ("sec-fetch-site", "same-site")],
                "ok",
            ),
            (Method::POST, &[("origin", "https://models.example:8443")], "ok"),
            (Method::POST, &[], "ok"),
            (Method::POST, &[("sec-fetch-site", "same-origin")], "ok"),
            (Method::GET, &[("origin", "http://evil.example")], "ok"),
            (Method::HEAD, &[("origin", "null")], "ok"),
            (Method::POST, &[("origin", "http://evil.example")], "ORIGIN_NOT_ALLOWED"),
            (Method::POST, &[("origin", "null")], "ORIGIN_NOT_ALLOWED"),
            (Method::POST, &[("origin", "file://")], "ORIGIN_NOT_ALLOWED"),
            (Method::POST, &[("origin", "chrome-extension://localhost")], "ORIGIN_NOT_ALLOWED"),
            (Method::POST, &[("origin", "http://localhost@evil.example")], "ORIGIN_NOT_ALLOWED"),
            (
                Method::POST,
                &[("origin", "http://localhost"), ("origin", "http://evil.example")],
                "ORIGIN_NOT_ALLOWED",
            ),
            (Method::POST, &[("sec-fetch-site", "cross-site")], "ORIGIN_NOT_ALLOWED"),
            (Method::OPTIONS, &[("origin", "http://evil.example")], "ORIGIN_NOT_ALLOWED"),
            (Method::PUT, &[("origin", "http://evil.example")], "ORIGIN_NOT_ALLOWED"),
            (Method::DELETE, &[("origin", "http://evil.example")], "ORIGIN_NOT_ALLOWED"),
        ] {
            let mut all = vec![("host", "localhost:8080")];
            all.extend_from_slice(headers);
            assert_eq!(
                check(&method, "/production/iris/invocations", &all),
                expected,
                "{method} {headers:?}"
            );
        }
    }

    #[test]
    fn an_entry_that_is_no_host_is_named() {
        assert_eq!(AllowedHosts::new(&["https://x".into()]).unwrap_err(), "https://x");
        assert_eq!(AllowedHosts::new(&["a b".into()]).unwrap_err(), "a b");
    }

    proptest! {
        #[test]
        fn no_name_outside_the_list_is_allowed(name in "[a-zA-Z0-9.:@\\[\\]/%-]{0,24}") {
            if hosts().allows(&name, LOCAL) {
                let lower = name.to_ascii_lowercase();
                let ours = ["localhost", "127.0.0.1", "[", "10.0.0.7", "models.example:8443", "gateway.example", "::1"];
                prop_assert!(ours.iter().any(|ours| lower.starts_with(ours)), "{name:?}");
            }
        }

        #[test]
        fn any_port_goes_with_a_bare_entry(port in any::<u16>()) {
            let authority = format!("localhost:{port}");
            prop_assert!(hosts().allows(&authority, LOCAL));
        }
    }
}
