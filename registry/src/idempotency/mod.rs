//! Writes that a client may send again without knowing whether the first one arrived.
//!
//! A key is claimed in the write's own transaction, together with the id of what the write makes,
//! so that there is no moment in which one exists without the other.

mod store;

use crate::{
    db::{Conn, DbError},
    error::{Failure, Kind},
};
use serde::Serialize;
use waybill_proof::Digest;

/// How long a key is remembered.
pub const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
const KEY_MAX_CHARS: usize = 255;

/// A write that is to happen once.
#[derive(Debug, Clone)]
pub struct Once {
    pub actor: String,
    /// What is written, with its subject, e.g. `promote iris@3`.
    pub operation: String,
    pub key: String,
    pub body: Digest,
}

/// What a claim found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The write happens now.
    New,
    /// It has happened, and made this.
    Done(String),
}

#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error("Idempotency-Key has {0} characters; expected 1 to 255 visible ASCII characters")]
    Key(usize),
    #[error("Idempotency-Key {key:?} was used for another body before; use a new key for a new request")]
    Reused { key: String },
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Failure for ClaimError {
    fn kind(&self) -> Kind {
        match self {
            Self::Key(_) => Kind::Invalid,
            Self::Reused { .. } => Kind::Conflict,
            Self::Db(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Key(_) => "IDEMPOTENCY_KEY_INVALID",
            Self::Reused { .. } => "IDEMPOTENCY_KEY_REUSED",
            Self::Db(error) => error.code(),
        }
    }
}

impl Once {
    /// The write that `key`, if the caller sent one, makes happen once.
    pub fn new(
        key: Option<String>,
        actor: String,
        operation: String,
        body: &impl Serialize,
    ) -> Result<Option<Self>, ClaimError> {
        let Some(key) = key else {
            return Ok(None);
        };
        let plain = key.bytes().all(|b| b.is_ascii_graphic());
        if key.is_empty() || key.len() > KEY_MAX_CHARS || !plain {
            return Err(ClaimError::Key(key.len()));
        }
        // Wire types have no maps with keys other than text, so this cannot fail.
        let body = Digest::of(&serde_json::to_vec(body).unwrap_or_default());
        Ok(Some(Self { actor, operation, key, body }))
    }
}

/// Claims `once` for what `result` names. Call it first in the transaction: a second writer waits
/// here until the first has committed.
pub async fn claim(
    tx: &mut Conn,
    once: Option<&Once>,
    result: &str,
    now_ms: i64,
) -> Result<Claim, ClaimError> {
    let Some(once) = once else {
        return Ok(Claim::New);
    };
    store::forget_before(tx, now_ms - KEPT_MS).await?;
    if store::insert(tx, once, result, now_ms).await? {
        return Ok(Claim::New);
    }
    peek(tx, once).await
}

/// What an earlier write under `once` made, without claiming anything.
pub async fn peek(conn: &mut Conn, once: &Once) -> Result<Claim, ClaimError> {
    match store::find(conn, once).await? {
        Some((body, _)) if body != once.body.to_string() => Err(ClaimError::Reused { key: once.key.clone() }),
        Some((_, result)) => Ok(Claim::Done(result)),
        None => Ok(Claim::New),
    }
}
