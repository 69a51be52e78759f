//! Who asks. Every handler receives a [`Principal`], and every audit event names one.
//!
//! Until access control is configured there is one: the local administrator, reachable on
//! loopback only. A caller may say which person it acts for; that name is recorded as claimed.

use axum::{extract::FromRequestParts, http::request::Parts};
use base64::Engine as _;
use std::convert::Infallible;

/// Header by which the CLI tells which person is at the keyboard.
pub const USER_HEADER: &str = "waybill-user";
/// Longest claimed name that is recorded; longer ones are cut.
const CLAIMED_MAX_CHARS: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    claimed: Option<String>,
}

impl Principal {
    pub fn local(claimed: Option<&str>) -> Self {
        let clean =
            |name: &str| name.chars().filter(|c| !c.is_control()).take(CLAIMED_MAX_CHARS).collect::<String>();
        Self { claimed: claimed.map(clean).filter(|name| !name.is_empty()) }
    }

    /// What audit events and history record: `local` or `local:<claimed name>`.
    pub fn actor(&self) -> String {
        self.claimed.as_ref().map_or_else(|| "local".to_owned(), |name| format!("local:{name}"))
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
        let claimed = header(USER_HEADER).map(str::to_owned).or_else(|| basic_user(header("authorization")?));
        Ok(Self::local(claimed.as_deref()))
    }
}

/// The user of `Authorization: Basic …`, which MLflow's client sends when it has a user name.
fn basic_user(authorization: &str) -> Option<String> {
    let encoded = authorization.strip_prefix("Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(user, _)| user.to_owned())
}
