//! Every object key of the content store.

use crate::db::DbError;
use waybill_proof::Digest;

/// The whole layout, in a folder and in a bucket alike:
///
/// ```text
/// blobs/sha256/<first two hex digits>/<digest>/<generation>   a blob's bytes
/// arrivals/<generation>                                       the same, where a bucket took a
///                                                             large body before its digest was known
/// incoming/<holder>/<generation>                              a body on its way in; swept at start
/// probe/<generation>                                          written and removed at start
/// registry-id                                                 whose artifacts these are
/// ```
///
/// The database says which blobs exist and under which generation; parts of an upload that is still
/// open lie like blobs and have their own rows (`multipart_parts`). An object without a row is
/// an orphan, and no row ever names a key again that was removed.
///
/// A bucket cannot rename: moving a large arrival to `blobs/` would copy all of it on the server,
/// and `CopyObject` stops at 5 GiB. So it stays where it arrived and its row says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Blob { digest: Digest, generation: String },
    Arrival { generation: String },
    Incoming { holder: String, generation: String },
    Probe { generation: String },
    RegistryId,
}

const BLOB: &str = "blob";
const ARRIVAL: &str = "arrival";

impl Key {
    /// Which key of the layout a row names, in the row's word.
    pub fn layout(&self) -> &'static str {
        match self {
            Self::Arrival { .. } => ARRIVAL,
            Self::Blob { .. } | Self::Incoming { .. } | Self::Probe { .. } | Self::RegistryId => BLOB,
        }
    }

    /// The key that a row names.
    pub fn stored(layout: &str, digest: Digest, generation: String) -> Result<Self, DbError> {
        match layout {
            BLOB => Ok(Self::Blob { digest, generation }),
            ARRIVAL => Ok(Self::Arrival { generation }),
            other => Err(DbError::Corrupt { what: "layout of an object", detail: other.to_owned() }),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blob { digest, generation } => {
                let hex = digest.hex();
                write!(f, "blobs/sha256/{}/{hex}/{generation}", &hex[..2])
            }
            Self::Arrival { generation } => write!(f, "arrivals/{generation}"),
            Self::Incoming { holder, generation } => write!(f, "incoming/{holder}/{generation}"),
            Self::Probe { generation } => write!(f, "probe/{generation}"),
            Self::RegistryId => f.write_str("registry-id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        let (digest, generation) = (Digest::of(b""), "g1".to_owned());
        let hex = digest.hex();
        for (key, expected) in [
            (Key::Blob { digest, generation: generation.clone() }, format!("blobs/sha256/e3/{hex}/g1")),
            (Key::Arrival { generation: generation.clone() }, "arrivals/g1".into()),
            (Key::Incoming { holder: "h".into(), generation: generation.clone() }, "incoming/h/g1".into()),
            (Key::Probe { generation }, "probe/g1".into()),
            (Key::RegistryId, "registry-id".into()),
        ] {
            assert_eq!(key.to_string(), expected);
        }
    }
}
