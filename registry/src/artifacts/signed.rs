//! URLs that carry their own permission: who holds one may do that one thing until it expires,
//! without credentials. What MLflow calls presigned.

use super::{ArtifactError, ContentStore};
use crate::db::{Conn, DbError};

/// The secret's name in the database, where every replica finds it.
const SECRET: &str = "signed-urls";

/// What a URL permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission<'a> {
    /// To send part `part_number` of an upload.
    PutPart { upload_id: &'a str, part_number: i64 },
    /// To read the file at a path.
    Get { path: &'a str },
}

impl Permission<'_> {
    /// One text for each permission: no two have the same.
    fn text(self, expires_at_ms: i64) -> String {
        match self {
            Self::PutPart { upload_id, part_number } => {
                format!("put-part\n{expires_at_ms}\n{part_number}\n{upload_id}")
            }
            Self::Get { path } => format!("get\n{expires_at_ms}\n{path}"),
        }
    }
}

/// The key with which this registry signs URLs.
#[derive(Clone, Copy)]
pub struct UrlKey([u8; 32]);

impl UrlKey {
    /// The query that permits it until `expires_at_ms`.
    pub fn query(&self, permission: Permission<'_>, expires_at_ms: i64) -> String {
        format!("expires={expires_at_ms}&signature={}", self.mac(permission, expires_at_ms).to_hex())
    }

    /// Whether a query permits it now. Fails with [`ArtifactError::Signature`] where it does not.
    pub fn check(
        &self,
        permission: Permission<'_>,
        expires: Option<&str>,
        signature: Option<&str>,
        now_ms: i64,
    ) -> Result<(), ArtifactError> {
        let expires_at_ms = expires.and_then(|text| text.parse().ok()).filter(|at| now_ms < *at);
        let signature = signature.and_then(|text| blake3::Hash::from_hex(text).ok());
        // Hashes compare in constant time.
        match (expires_at_ms, signature) {
            (Some(at), Some(signature)) if signature == self.mac(permission, at) => Ok(()),
            _ => Err(ArtifactError::Signature),
        }
    }

    fn mac(&self, permission: Permission<'_>, expires_at_ms: i64) -> blake3::Hash {
        blake3::keyed_hash(&self.0, permission.text(expires_at_ms).as_bytes())
    }
}

/// The key, made where none was.
pub async fn key(content: &ContentStore) -> Result<UrlKey, ArtifactError> {
    if let Some(key) = find(&mut content.db().read().await?).await? {
        return Ok(key);
    }
    let random = [content.ids().random(), content.ids().random()].map(|id| *id.as_bytes()).concat();
    content
        .db()
        .write(random, |tx, random| {
            Box::pin(async move {
                tx.query(
                    "INSERT INTO shared_secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                )
                .bind(SECRET)
                .bind(random.clone())
                .execute()
                .await?;
                let made = find(tx).await?;
                made.ok_or_else(|| {
                    DbError::RowCount { what: "INSERT INTO shared_secrets", expected: 1, actual: 0 }.into()
                })
            })
        })
        .await
}

async fn find(conn: &mut Conn) -> Result<Option<UrlKey>, DbError> {
    let value: Option<Vec<u8>> =
        conn.query("SELECT value FROM shared_secrets WHERE name = $1").bind(SECRET).scalar().await?;
    value
        .map(|value| {
            let length = value.len();
            let corrupt =
                |_| DbError::Corrupt { what: "secret", detail: format!("{SECRET} has {length} bytes") };
            value.try_into().map(UrlKey).map_err(corrupt)
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::testing::each_store;

    #[test]
    fn a_url_permits_one_thing_for_a_while() {
        let key = UrlKey([7; 32]);
        let permission = Permission::PutPart { upload_id: "mpu-1", part_number: 2 };
        let query = key.query(permission, 1_000);
        let signature = query.strip_prefix("expires=1000&signature=").unwrap();
        let check = |permission, expires, signature, now_ms| {
            key.check(permission, expires, signature, now_ms).is_ok()
        };
        assert!(check(permission, Some("1000"), Some(signature), 999));
        assert!(!check(permission, Some("1000"), Some(signature), 1_000));
        assert!(!check(permission, Some("2000"), Some(signature), 999));
        assert!(!check(permission, None, Some(signature), 999));
        assert!(!check(permission, Some("1000"), None, 999));
        assert!(!check(permission, Some("x"), Some("y"), 999));
        for other in [
            Permission::PutPart { upload_id: "mpu-1", part_number: 3 },
            Permission::PutPart { upload_id: "mpu-2", part_number: 2 },
            Permission::Get { path: "mpu-1" },
        ] {
            assert!(!check(other, Some("1000"), Some(signature), 999), "{other:?}");
        }
        let path = Permission::Get { path: "a/b" };
        assert!(UrlKey([8; 32]).query(path, 5) != key.query(path, 5));
    }

    #[tokio::test]
    async fn every_replica_has_the_same_key() {
        each_store(async |store| {
            let (one, two) = (key(&store.content).await.unwrap(), key(&store.content).await.unwrap());
            assert_eq!(one.0, two.0);
        })
        .await;
    }
}
