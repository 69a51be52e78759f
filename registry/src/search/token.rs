//! Page tokens: the position after which the next page begins, bound to the query that it came
//! from. A position is a sort key, not an offset: rows that are added meanwhile shift nothing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use waybill_proof::Digest;

/// Longest token that is read; sort keys hold parameter values of 6,000 characters.
const TOKEN_MAX_BYTES: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageTokenError {
    #[error("Invalid page token, could not base64-decode")]
    Encoding,
    #[error("Invalid page token, it is not one that this server gave")]
    Content,
    #[error("Invalid page token, it belongs to another query; send the query that it came with")]
    OtherQuery,
}

/// What a token is bound to: everything that decides which rows come in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryId(u64);

#[derive(Serialize, Deserialize)]
struct Token<T> {
    q: u64,
    p: T,
}

impl QueryId {
    /// `parts` tell the query; where one ends and the next begins matters too.
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p str>) -> Self {
        let mut text = Vec::new();
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        let digest = Digest::of(&text);
        let first: [u8; 8] = std::array::from_fn(|i| digest.as_bytes()[i]);
        Self(u64::from_be_bytes(first))
    }

    pub fn token<T: Serialize>(self, position: &T) -> String {
        // Positions are plain data: writing them cannot fail.
        let json = serde_json::to_vec(&Token { q: self.0, p: position }).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(json)
    }

    pub fn position<T: DeserializeOwned>(self, token: &str) -> Result<T, PageTokenError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(PageTokenError::Content);
        }
        let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| PageTokenError::Encoding)?;
        let token: Token<T> = match serde_json::from_slice(&json) {
            Ok(token) => token,
            // A token of another kind of object has another position.
            Err(_) if serde_json::from_slice::<Token<serde_json::Value>>(&json).is_ok() => {
                return Err(PageTokenError::OtherQuery);
            }
            Err(_) => return Err(PageTokenError::Content),
        };
        if token.q == self.0 { Ok(token.p) } else { Err(PageTokenError::OtherQuery) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_serve_their_own_query_only() {
        let query = QueryId::of(["runs", "a = 1"]);
        let token = query.token(&(7_i64, "x".to_owned()));
        assert_eq!(query.position::<(i64, String)>(&token), Ok((7, "x".to_owned())));
        for other in [QueryId::of(["runs", "a = 2"]), QueryId::of(["runsa", " = 1"])] {
            assert_eq!(other.position::<(i64, String)>(&token), Err(PageTokenError::OtherQuery));
        }
        assert_eq!(query.position::<i64>(&token), Err(PageTokenError::OtherQuery));
        assert_eq!(query.position::<i64>("not base64!"), Err(PageTokenError::Encoding));
        assert_eq!(query.position::<i64>("bm90IGpzb24"), Err(PageTokenError::Content));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = QueryId::of(["runs"]).position::<i64>(&text);
        }
    }
}
