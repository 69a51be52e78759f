//! The one row that names this registry.

use crate::db::{Conn, DbError};

pub struct Identity {
    pub registry_id: String,
    pub store_marked: bool,
}

pub async fn get(conn: &mut Conn) -> Result<Identity, DbError> {
    let (registry_id, store_marked) =
        conn.query("SELECT registry_id, store_marked FROM registry_identity").one().await?;
    Ok(Identity { registry_id, store_marked })
}

pub async fn set_marked(tx: &mut Conn) -> Result<(), DbError> {
    tx.query("UPDATE registry_identity SET store_marked = TRUE").execute().await?;
    Ok(())
}

/// Whether a key of the registry has signed here before.
pub async fn knows_registry_key(conn: &mut Conn) -> Result<bool, DbError> {
    let found =
        conn.query("SELECT 1 FROM signing_keys WHERE role = 'registry' LIMIT 1").scalar::<i32>().await?;
    Ok(found.is_some())
}
