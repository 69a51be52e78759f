//! A webhook's URL: what it may be, and where it leads.

use super::WebhooksError;
use std::net::IpAddr;
use url::{Host, Url};

/// MLflow's column holds fewer, its SQLite store takes any number; so does no proxy on the way.
const URL_MAX_CHARS: usize = 2_048;
/// Characters of a wrong value that a message shows.
const SHOWN_CHARS: usize = 300;

/// Where a request goes. Made from a URL by the same parser for the check and for the connection,
/// so that the two cannot read it differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    pub encrypted: bool,
    pub host: Name,
    pub port: u16,
    /// `Host` header.
    pub authority: String,
    /// Path and query.
    pub target: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    Address(IpAddr),
    /// To be resolved.
    Domain(String),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Domain(name) => f.write_str(name),
        }
    }
}

impl Receiver {
    /// Reads a webhook's URL. `http` is offered where the operator opened networks for it.
    pub fn parse(text: &str, offers_http: bool) -> Result<Self, WebhooksError> {
        let invalid = |message: String| Err(WebhooksError::invalid("WEBHOOK_URL_INVALID", message));
        if text.trim().is_empty() {
            return invalid(format!("Webhook URL cannot be empty or just whitespace: {}", quoted(text)));
        }
        if text.chars().count() > URL_MAX_CHARS {
            return invalid(format!("'url' exceeds the maximum length of {URL_MAX_CHARS} characters"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return invalid(format!("Invalid webhook URL {}: it contains white space.", quoted(text)));
        }
        let schemes = if offers_http { "http, https" } else { "https" };
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let scheme = if is_scheme(scheme) { scheme.to_ascii_lowercase() } else { String::new() };
        if !schemes.split(", ").any(|known| known == scheme) {
            return invalid(format!(
                "Invalid webhook URL scheme: {}. Allowed schemes are: {schemes}.",
                quoted(&scheme)
            ));
        }
        let rest = &text[scheme.len() + 1..];
        // WHATWG's parser looks for a host further on; nobody means that.
        if !rest.starts_with("//") || rest[2..].starts_with(['/', '\\', '?', '#']) || rest.len() == 2 {
            return invalid(format!("Webhook URL must include a hostname: {}", quoted(text)));
        }
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return invalid(format!("Invalid webhook URL {}: {error}", quoted(text))),
        };
        if !url.username().is_empty() || url.password().is_some() || authority(rest).contains('@') {
            return invalid(
                "Webhook URL must not include embedded credentials; give a secret instead".into(),
            );
        }
        Self::of(&url).ok_or_else(|| {
            let message = format!("Webhook URL must include a hostname: {}", quoted(text));
            WebhooksError::invalid("WEBHOOK_URL_INVALID", message)
        })
    }

    fn of(url: &Url) -> Option<Self> {
        let host = match url.host()? {
            Host::Domain(name) => Name::Domain(name.to_owned()),
            Host::Ipv4(ip) => Name::Address(ip.into()),
            Host::Ipv6(ip) => Name::Address(ip.into()),
        };
        let mut target = url.path().to_owned();
        if let Some(query) = url.query() {
            target.push('?');
            target.push_str(query);
        }
        let shown = url.host_str()?;
        Some(Self {
            encrypted: url.scheme() == "https",
            host,
            port: url.port_or_known_default()?,
            authority: url.port().map_or_else(|| shown.to_owned(), |port| format!("{shown}:{port}")),
            target,
        })
    }
}

/// What stands between `//` and the path.
fn authority(rest: &str) -> &str {
    rest[2..].split(['/', '\\', '?', '#']).next().unwrap_or_default()
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// The text as Python shows it, cut where a caller sent megabytes.
pub fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_CHARS).collect();
    let shown = shown.escape_debug().to_string().replace("\\\"", "\"");
    format!("'{shown}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn where_a_url_leads() {
        let receiver = Receiver::parse("HTTPS://Hooks.Example/a%20b?c=d#e", false).unwrap();
        assert_eq!(
            receiver,
            Receiver {
                encrypted: true,
                host: Name::Domain("hooks.example".to_owned()),
                port: 443,
                authority: "hooks.example".to_owned(),
                target: "/a%20b?c=d".to_owned(),
            }
        );
        let receiver = Receiver::parse("http://[::1]:8080", true).unwrap();
        assert_eq!((receiver.authority.as_str(), receiver.target.as_str()), ("[::1]:8080", "/"));
    }

    /// Spellings of an address that other parsers read as names.
    #[test]
    fn numbers_are_addresses() {
        for text in
            ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "%31%32%37.0.0.1", "１２７.0.0.1"]
        {
            let receiver = Receiver::parse(&format!("https://{text}/"), false).unwrap();
            assert_eq!(receiver.host, Name::Address([127, 0, 0, 1].into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_receiver() {
        for (text, expected) in [
            ("", "Webhook URL cannot be empty or just whitespace: ''"),
            ("   ", "Webhook URL cannot be empty or just whitespace: '   '"),
            ("example.com/x", "Invalid webhook URL scheme: ''. Allowed schemes are: https."),
            ("ftp://example.com", "Invalid webhook URL scheme: 'ftp'. Allowed schemes are: https."),
            ("http://example.com", "Invalid webhook URL scheme: 'http'. Allowed schemes are: https."),
            ("file:///etc/passwd", "Invalid webhook URL scheme: 'file'. Allowed schemes are: https."),
            ("https://", "Webhook URL must include a hostname: 'https://'"),
            ("https:///x", "Webhook URL must include a hostname: 'https:///x'"),
            ("https:example.com", "Webhook URL must include a hostname: 'https:example.com'"),
            (
                "https://u:p@example.com/",
                "Webhook URL must not include embedded credentials; give a secret instead",
            ),
            (
                "https://@example.com/",
                "Webhook URL must not include embedded credentials; give a secret instead",
            ),
            ("https://[bad", "Invalid webhook URL 'https://[bad': invalid IPv6 address"),
            ("https://a b/", "Invalid webhook URL 'https://a b/': it contains white space."),
            ("https://a\n.example/", "Invalid webhook URL 'https://a\\n.example/': it contains white space."),
            (
                "https://a.example:99999/",
                "Invalid webhook URL 'https://a.example:99999/': invalid port number",
            ),
        ] {
            assert_eq!(Receiver::parse(text, false).unwrap_err().to_string(), expected, "{text:?}");
        }
        let long = format!("https://a.example/{}", "x".repeat(URL_MAX_CHARS));
        assert!(Receiver::parse(&long, false).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}", offers_http: bool) {
            let _ = Receiver::parse(&text, offers_http);
            let _ = Receiver::parse(&format!("https://{text}"), offers_http);
        }
    }
}
