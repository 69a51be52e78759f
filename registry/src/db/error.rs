//! What can go wrong between a store and its engine.

/// A statement, connection or commit that failed. The text is for the log; callers outside see
/// a general sentence and the request id.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("database: {0}")]
    Sqlx(sqlx::Error),
    /// The engine found its own files damaged.
    #[error("the database is damaged: {0}. `waybill restore` brings a backup back")]
    Damaged(sqlx::Error),
    /// The disk that holds the database is full; nothing was changed.
    #[error("the database's disk is full: {0}")]
    Full(sqlx::Error),
    #[error("the database is closing")]
    Closing,
    #[error("a change panicked; it was rolled back")]
    Panicked,
    #[error("expected {expected} rows to be affected by {what}, but {actual} were")]
    RowCount { what: &'static str, expected: u64, actual: u64 },
    /// A stored value that this version cannot read back.
    #[error("stored {what} cannot be read: {detail}")]
    Corrupt { what: &'static str, detail: String },
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        if is_damaged(&error) { Self::Damaged(error) } else { Self::Sqlx(error) }
    }
}

impl DbError {
    pub(super) fn from_commit(error: sqlx::Error) -> Self {
        if is_full(&error) { Self::Full(error) } else { error.into() }
    }

    /// Whether the disk is full, whichever statement met it first.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Sqlx(error) => is_full(error),
            _ => false,
        }
    }

    /// Whether the database could not be reached, or went away: later it may be back.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Sqlx(error) if is_unreachable(error))
    }

    /// Whether a row that this one refers to is not there, or went away meanwhile.
    pub fn is_missing_reference(&self) -> bool {
        matches!(self, Self::Sqlx(error) if error.as_database_error().is_some_and(|e| e.is_foreign_key_violation()))
    }

    /// Whether a column that always has a value would have had none.
    pub fn is_missing_value(&self) -> bool {
        matches!(self, Self::Sqlx(sqlx::Error::Database(error)) if error.kind() == sqlx::error::ErrorKind::NotNullViolation)
    }

    /// Why the engine refuses a regular expression (PostgreSQL 2201B), where that is what failed.
    pub fn invalid_pattern(&self) -> Option<String> {
        let Self::Sqlx(sqlx::Error::Database(error)) = self else {
            return None;
        };
        (error.code().as_deref() == Some("2201B")).then(|| error.message().to_owned())
    }

    /// Whether running the same transaction again can succeed (PostgreSQL's serialisation
    /// failure 40001 and deadlock 40P01).
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Sqlx(error) if is_transient(error))
    }
}

pub(super) fn is_transient(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    matches!(error.code().as_deref(), Some("40001" | "40P01"))
}

/// A broken or refused connection, none free in time, or PostgreSQL shutting down or starting (class
/// 57P) or out of connections (53300).
fn is_unreachable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            matches!(code.as_ref(), "57P01" | "57P02" | "57P03" | "53300") || code.starts_with("08")
        }
        _ => false,
    }
}

/// SQLite: SQLITE_CORRUPT (11) with its extended codes, SQLITE_NOTADB (26); PostgreSQL: class XX00x,
/// data_corrupted and index_corrupted.
pub(super) fn is_damaged(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let code = error.code().unwrap_or_default();
    let primary = code.parse().map(|code: u32| code & 0xff);
    matches!(primary, Ok(11 | 26)) || matches!(code.as_ref(), "XX001" | "XX002")
}

/// SQLite: SQLITE_FULL (13), to which it turns the file system's ENOSPC; PostgreSQL: 53100 disk_full.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    matches!(error.code().as_deref(), Some("13" | "53100"))
}

#[cfg(test)]
mod tests {
    use super::DbError;
    use crate::error::{Failure as _, Kind, public_message};

    #[test]
    fn a_database_that_is_away_is_a_reason_to_try_again() {
        let reset = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        for error in [sqlx::Error::Io(reset()), sqlx::Error::PoolTimedOut] {
            let error = DbError::from(error);
            assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "DATABASE_UNREACHABLE"));
            assert!(public_message(&error).ends_with("try again"));
        }
        assert_eq!(DbError::from(sqlx::Error::RowNotFound).kind(), Kind::Internal);
    }
}
