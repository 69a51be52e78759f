//! What can go wrong on the way to the registry and back.

use crate::{api::Problem, transport::chain};
use http::StatusCode;
use url::Url;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The registry understood the request and refused it.
    #[error("{}{}", .0.detail, in_parentheses(.0.request_id.as_deref()))]
    Problem(Box<Problem>),
    /// No connection. Nothing was sent.
    #[error(
        "cannot reach {url}: {message}. Is it running? `waybill serve` starts a server; --server URL or WAYBILL_URL name another"
    )]
    Unreachable { url: String, message: String },
    /// The connection broke after the request was sent: it may have been carried out.
    #[error("the connection to {url} broke: {message}. Try again; what was done already is kept")]
    Broken { url: String, message: String },
    #[error("{url} did not answer within {waited_ms} ms. Try again, or look at the server's log")]
    TimedOut { url: String, waited_ms: u128 },
    /// Something answered that does not speak this API.
    #[error("{url} answered {status} with something other than Waybill's API: {message}. Does the address name a Waybill server of version {}?", env!("CARGO_PKG_VERSION"))]
    NotWaybill { url: String, status: StatusCode, message: String },
    /// More bytes than the caller accepts in memory.
    #[error("{url} answered with more than {limit_bytes} bytes")]
    TooLarge { url: String, limit_bytes: u64 },
    /// An argument that no registry could accept.
    #[error("{field} is {value:?}; expected {expected}")]
    InvalidArgument { field: &'static str, value: String, expected: &'static str },
    #[error("the HTTP client could not be set up: {message}")]
    Setup { message: String },
}

impl ClientError {
    /// The problem's stable code, where the registry gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.code),
            _ => None,
        }
    }

    /// The status of an answer.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Problem(problem) => StatusCode::from_u16(problem.status).ok(),
            Self::NotWaybill { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The id under which the server logged the request.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => problem.request_id.as_deref(),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// No answer came: the server is not there, or went away.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. } | Self::TimedOut { .. })
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        self.is_unreachable() || matches!(self.status().map(|s| s.as_u16()), Some(429 | 502 | 503 | 504))
    }

    pub(crate) fn from_reqwest(url: &Url, error: &reqwest::Error) -> Self {
        let url = shown(url);
        let message = std::error::Error::source(error).map_or_else(|| error.to_string(), chain);
        if error.is_connect() || error.is_builder() {
            Self::Unreachable { url, message }
        } else {
            Self::Broken { url, message }
        }
    }
}

fn in_parentheses(request_id: Option<&str>) -> String {
    request_id.map(|id| format!(" (request {id})")).unwrap_or_default()
}

/// A URL as it may stand in a message: without user name and password.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
