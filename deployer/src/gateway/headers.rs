//! Header fields that end at the gateway, and those that it adds.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// RFC 9110 7.6.1, and the proxy's own authentication.
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a client could forge and a container might believe.
const FORGEABLE: [HeaderName; 4] = [
    header::FORWARDED,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-server"),
];

/// Answers that would let a page of another site read what it is told.
const CORS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// Where a request came from, for the container.
pub(super) struct Forwarded<'a> {
    pub peer: &'a HeaderValue,
    pub host: &'a str,
    /// `/{environment}/{model}`.
    pub prefix: &'a str,
    pub request_id: &'a HeaderValue,
}

/// Makes a client's header fields those of the request to the container. The body's length is not
/// set here.
pub(super) fn prepare_request(headers: &mut HeaderMap, from: &Forwarded<'_>) {
    strip_hop_by_hop(headers);
    for name in &FORGEABLE {
        headers.remove(name);
    }
    // The gateway itself answers 100 Continue, when the container takes the first byte.
    headers.remove(header::EXPECT);
    headers.remove(header::CONTENT_LENGTH);
    headers.append(header::VIA, HeaderValue::from_static("1.1 waybill"));
    headers.insert(X_FORWARDED_FOR, from.peer.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    insert_text(headers, X_FORWARDED_HOST, from.host);
    insert_text(headers, X_FORWARDED_PREFIX, from.prefix);
    // Each attempt sets its own.
    headers.remove(header::HOST);
    headers.insert(X_REQUEST_ID, from.request_id.clone());
}

/// Makes a container's header fields those of the answer to the client.
pub(super) fn prepare_response(headers: &mut HeaderMap, request_id: &HeaderValue) {
    strip_hop_by_hop(headers);
    for name in &CORS {
        headers.remove(name);
    }
    headers.insert(X_REQUEST_ID, request_id.clone());
    // A page that a model serves would be a page of the gateway, and might call the other models.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
}

/// The request's id, when it is one to 128 visible ASCII characters, or a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let acceptable =
        |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    if let Some(id) = headers.get(X_REQUEST_ID).filter(acceptable) {
        return id.clone();
    }
    let mut text = [0; uuid::fmt::Simple::LENGTH];
    let id = uuid::Uuid::now_v7().simple().encode_lower(&mut text);
    HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    match HeaderValue::from_str(text) {
        Ok(value) => headers.insert(name, value),
        Err(_) => headers.remove(name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn prepared(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = map(fields);
        let value = HeaderValue::from_static;
        prepare_request(
            &mut headers,
            &Forwarded {
                peer: &value("192.0.2.1"),
                host: "localhost:8080",
                prefix: "/production/iris",
                request_id: &value("id-1"),
            },
        );
        headers
    }

    #[test]
    fn a_request_loses_what_belongs_to_the_hop_and_what_could_be_forged() {
        let headers = prepared(&[
            ("connection", "close, X-Private"),
            ("connection", "x-second,host"),
            ("x-private", "1"),
            ("x-second", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("content-length", "5"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("accept", "*/*"),
            ("authorization", "Bearer t"),
            ("host", "localhost:8080"),
        ]);
        assert_eq!(
            names(&headers),
            [
                "accept",
                "authorization",
                "via",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-prefix",
                "x-forwarded-proto",
                "x-request-id"
            ]
        );
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(headers["x-forwarded-host"], "localhost:8080");
        assert_eq!(headers["x-forwarded-prefix"], "/production/iris");
    }

    #[test]
    fn connection_cannot_take_away_what_the_gateway_adds() {
        let headers = prepared(&[("connection", "x-forwarded-for, x-request-id, host, via")]);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(headers["x-request-id"], "id-1");
        assert_eq!(headers["via"], "1.1 waybill");
    }

    #[test]
    fn an_answer_keeps_its_length_and_loses_hop_fields_and_cors() {
        let mut headers = map(&[
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("access-control-allow-origin", "*"),
            ("x-request-id", "theirs"),
            ("content-type", "application/json"),
        ]);
        prepare_response(&mut headers, &HeaderValue::from_static("ours"));
        assert_eq!(
            names(&headers),
            [
                "content-length",
                "content-security-policy",
                "content-type",
                "x-content-type-options",
                "x-request-id"
            ]
        );
        assert_eq!(headers["content-security-policy"], "sandbox");
        assert_eq!(headers["x-request-id"], "ours");
    }

    #[test]
    fn a_request_id_is_kept_when_it_is_plain_and_made_when_not() {
        assert_eq!(request_id(&map(&[("x-request-id", "abc-123")])), "abc-123");
        for bad in ["", "a b", "ä"] {
            let id = request_id(&map(&[("x-request-id", bad)]));
            assert_eq!(id.len(), 32, "{bad:?} gave {id:?}");
        }
        let long = "x".repeat(129);
        assert_ne!(request_id(&map(&[("x-request-id", &long)])), long);
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn nothing_named_by_connection_survives(names in proptest::collection::vec("x-[a-z]{1,8}", 1..6)) {
            let mut headers = HeaderMap::new();
            for name in &names {
                headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("1"));
            }
            headers.insert(header::CONNECTION, names.join(" ,\t").parse().unwrap());
            strip_hop_by_hop(&mut headers);
            prop_assert!(headers.is_empty(), "{headers:?}");
        }
    }
}
