//! What can go wrong with content, paths and uploads.

use crate::{
    db::DbError,
    error::{Failure, Kind},
};
use waybill_proof::Digest;

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error(transparent)]
    Db(#[from] DbError),
    /// A path that escapes, is absolute or cannot be read one way only. MLflow's own words: its
    /// clients and tests compare them.
    #[error("Invalid path")]
    UnsafePath,
    #[error("the path is {actual} {what} long, at most {max} are taken")]
    PathTooLong { what: &'static str, actual: usize, max: usize },
    #[error("no artifact at {path:?}")]
    NotFound { path: String },
    #[error("{path:?} is a directory, not a file")]
    IsDirectory { path: String },
    /// A path is a file or a directory, never both.
    #[error("cannot write {path:?}: {existing:?} is already a {what}")]
    Occupied { path: String, existing: String, what: &'static str },
    #[error(
        "{path:?} is part of a frozen model version and read-only; log to a run and register a new version instead"
    )]
    ReadOnly { path: String },
    #[error("the artifacts lie at {uri:?}, which this server does not read; read them from there")]
    Elsewhere { uri: String },
    #[error("no blob {digest}")]
    NoBlob { digest: Digest },
    #[error("blob {digest} has {size_bytes} bytes, more than the {max_bytes} that are read at once")]
    TooLarge { digest: Digest, size_bytes: u64, max_bytes: u64 },
    #[error("the body's digest is {actual}, expected {expected}; nothing was stored")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error("the body has {actual} bytes, expected {expected}; nothing was stored")]
    SizeMismatch { expected: u64, actual: u64 },
    #[error("the body ended early or was malformed ({0}); nothing was stored")]
    Body(Source),
    #[error("the range is outside the {size_bytes} bytes of the file")]
    Range { size_bytes: u64 },
    #[error("the content store is full: {0}")]
    Full(Source),
    #[error("the content store failed at {key}: {source}")]
    Store { key: String, source: Source },
    /// The stored bytes are not those that were uploaded. Never sent to their end.
    #[error("blob {digest} is damaged: {key}: {detail}")]
    Damaged { digest: Digest, key: String, detail: String },
    #[error("no upload session {upload_id:?}; it was never opened, has been used, or has expired")]
    NoUpload { upload_id: String },
    #[error("digest {digest} is not among the files that upload session {upload_id:?} named")]
    NotInUpload { upload_id: String, digest: Digest },
    #[error("upload session {upload_id:?} still misses {missing} of its files, first {first}")]
    Incomplete { upload_id: String, missing: usize, first: Digest },
    /// Bytes that were sent are gone or damaged before the file was put together.
    #[error("part {number} of the upload was lost in the store; send it again")]
    PartLost { number: i64 },
    #[error("the URL's signature does not fit what it asks for, or the URL has expired")]
    Signature,
    #[error("{field}: {detail}")]
    Invalid { field: &'static str, detail: String },
}

impl ArtifactError {
    /// An I/O failure at `key`; a full disk is told apart.
    pub(super) fn io(key: impl Into<String>, source: std::io::Error) -> Self {
        use std::io::ErrorKind;
        if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            return Self::Full(source.into());
        }
        Self::Store { key: key.into(), source: source.into() }
    }

    /// A failure of the object store at `key`; a store that takes no more is told apart.
    pub(super) fn object(key: impl Into<String>, source: object_store::Error) -> Self {
        if takes_no_more(&source) {
            return Self::Full(source.into());
        }
        Self::Store { key: key.into(), source: source.into() }
    }
}

/// Whether a store says that a quota or its disks are full. S3 has no code for it: these are Ceph's,
/// MinIO's and `OpenStack`'s, which stand in the answer that the error repeats.
fn takes_no_more(error: &object_store::Error) -> bool {
    const CODES: [&str; 4] =
        ["QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507 Insufficient Storage"];
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.any(|cause| {
        let text = cause.to_string();
        CODES.iter().any(|code| text.contains(code))
    })
}

impl Failure for ArtifactError {
    fn kind(&self) -> Kind {
        match self {
            Self::Db(error) => error.kind(),
            Self::NotFound { .. } | Self::NoBlob { .. } | Self::NoUpload { .. } => Kind::NotFound,
            Self::ReadOnly { .. } | Self::Signature => Kind::Forbidden,
            Self::Elsewhere { .. } => Kind::Unsupported,
            Self::Range { .. } => Kind::RangeNotSatisfiable,
            Self::Full(_) => Kind::InsufficientStorage,
            Self::Store { .. } | Self::Damaged { .. } => Kind::Internal,
            Self::Incomplete { .. } | Self::PartLost { .. } => Kind::Conflict,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::UnsafePath
            | Self::PathTooLong { .. }
            | Self::IsDirectory { .. }
            | Self::Occupied { .. }
            | Self::DigestMismatch { .. }
            | Self::SizeMismatch { .. }
            | Self::Body(_)
            | Self::NotInUpload { .. }
            | Self::Invalid { .. } => Kind::Invalid,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Db(error) => error.code(),
            Self::UnsafePath => "PATH_INVALID",
            Self::PathTooLong { .. } => "PATH_TOO_LONG",
            Self::NotFound { .. } => "ARTIFACT_NOT_FOUND",
            Self::IsDirectory { .. } => "PATH_IS_DIRECTORY",
            Self::Occupied { .. } => "PATH_OCCUPIED",
            Self::ReadOnly { .. } => "PATH_READ_ONLY",
            Self::Elsewhere { .. } => "ARTIFACTS_ELSEWHERE",
            Self::NoBlob { .. } => "BLOB_NOT_FOUND",
            Self::TooLarge { .. } => "BLOB_TOO_LARGE",
            Self::DigestMismatch { .. } => "DIGEST_MISMATCH",
            Self::SizeMismatch { .. } => "SIZE_MISMATCH",
            Self::Body(_) => "BODY_TRUNCATED",
            Self::Range { .. } => "RANGE_NOT_SATISFIABLE",
            Self::Full(_) => "CONTENT_STORE_FULL",
            Self::Store { .. } => "CONTENT_STORE_FAILED",
            Self::Damaged { .. } => "BLOB_DAMAGED",
            Self::NoUpload { .. } => "UPLOAD_NOT_FOUND",
            Self::NotInUpload { .. } => "DIGEST_NOT_IN_UPLOAD",
            Self::Incomplete { .. } => "UPLOAD_INCOMPLETE",
            Self::PartLost { .. } => "PART_LOST",
            Self::Signature => "SIGNATURE_INVALID",
            Self::Invalid { .. } => "FIELD_INVALID",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_kind_and_code() {
        use ArtifactError as E;
        let digest = Digest::of(b"");
        let (path, upload_id) = (String::new(), String::new());
        let io = |kind: std::io::ErrorKind| E::io("k", kind.into());
        let denied = |answer: &str| {
            let source = format!("Server returned non-2xx status code: {answer}").into();
            E::object("k", object_store::Error::PermissionDenied { path: "k".into(), source })
        };
        for (error, kind, code) in [
            (E::UnsafePath, Kind::Invalid, "PATH_INVALID"),
            (E::PathTooLong { what: "bytes", actual: 2, max: 1 }, Kind::Invalid, "PATH_TOO_LONG"),
            (E::NotFound { path: path.clone() }, Kind::NotFound, "ARTIFACT_NOT_FOUND"),
            (E::IsDirectory { path: path.clone() }, Kind::Invalid, "PATH_IS_DIRECTORY"),
            (
                E::Occupied { path: path.clone(), existing: path.clone(), what: "file" },
                Kind::Invalid,
                "PATH_OCCUPIED",
            ),
            (E::ReadOnly { path }, Kind::Forbidden, "PATH_READ_ONLY"),
            (E::Elsewhere { uri: "s3://b".into() }, Kind::Unsupported, "ARTIFACTS_ELSEWHERE"),
            (E::NoBlob { digest }, Kind::NotFound, "BLOB_NOT_FOUND"),
            (E::TooLarge { digest, size_bytes: 2, max_bytes: 1 }, Kind::TooLarge, "BLOB_TOO_LARGE"),
            (E::DigestMismatch { expected: digest, actual: digest }, Kind::Invalid, "DIGEST_MISMATCH"),
            (E::SizeMismatch { expected: 2, actual: 1 }, Kind::Invalid, "SIZE_MISMATCH"),
            (E::Body("x".into()), Kind::Invalid, "BODY_TRUNCATED"),
            (E::Range { size_bytes: 1 }, Kind::RangeNotSatisfiable, "RANGE_NOT_SATISFIABLE"),
            (io(std::io::ErrorKind::StorageFull), Kind::InsufficientStorage, "CONTENT_STORE_FULL"),
            (io(std::io::ErrorKind::QuotaExceeded), Kind::InsufficientStorage, "CONTENT_STORE_FULL"),
            (
                denied("403 Forbidden: <Error><Code>QuotaExceeded</Code></Error>"),
                Kind::InsufficientStorage,
                "CONTENT_STORE_FULL",
            ),
            (
                denied("403 Forbidden: <Error><Code>AccessDenied</Code></Error>"),
                Kind::Internal,
                "CONTENT_STORE_FAILED",
            ),
            (io(std::io::ErrorKind::PermissionDenied), Kind::Internal, "CONTENT_STORE_FAILED"),
            (E::Damaged { digest, key: "k".into(), detail: "d".into() }, Kind::Internal, "BLOB_DAMAGED"),
            (E::NoUpload { upload_id: upload_id.clone() }, Kind::NotFound, "UPLOAD_NOT_FOUND"),
            (E::NotInUpload { upload_id: upload_id.clone(), digest }, Kind::Invalid, "DIGEST_NOT_IN_UPLOAD"),
            (E::Incomplete { upload_id, missing: 1, first: digest }, Kind::Conflict, "UPLOAD_INCOMPLETE"),
            (E::PartLost { number: 1 }, Kind::Conflict, "PART_LOST"),
            (E::Signature, Kind::Forbidden, "SIGNATURE_INVALID"),
            (E::Invalid { field: "f", detail: "d".into() }, Kind::Invalid, "FIELD_INVALID"),
            (E::Db(DbError::Closing), Kind::Unavailable, "SHUTTING_DOWN"),
        ] {
            assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
        }
    }
}
