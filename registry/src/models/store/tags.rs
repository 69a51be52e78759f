//! Tags of models and of versions: two tables of the same shape.

use crate::{
    db::{
        Conn, DbError,
        sql::{ROWS_PER_STATEMENT, Sql, Value},
    },
    models::{IS_PROMPT_TAG, Tags},
};
use std::collections::HashMap;

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Model,
    Version,
}

/// Sets tags; the last value of a key wins.
pub async fn set(tx: &mut Conn, owner: Owner, id: i64, tags: &Tags) -> Result<(), DbError> {
    let rows: Vec<_> = tags.iter().collect();
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        let mut sql = match owner {
            Owner::Model => {
                Sql::new(tx.engine(), "INSERT INTO registered_model_tags (model_id, key, value) VALUES ")
            }
            Owner::Version => {
                Sql::new(tx.engine(), "INSERT INTO model_version_tags (version_id, key, value) VALUES ")
            }
        };
        sql.bind_rows(
            chunk.iter().map(|(key, value)| [Value::from(id), key.as_str().into(), value.as_str().into()]),
        );
        sql.push(match owner {
            Owner::Model => " ON CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
            Owner::Version => " ON CONFLICT (version_id, key) DO UPDATE SET value = excluded.value",
        });
        tx.generated(sql).execute().await?;
    }
    if tags.contains_key(IS_PROMPT_TAG) {
        super::prompts::mark(tx, owner, id).await?;
    }
    Ok(())
}

/// Removes a tag; 0 when there was none.
pub async fn delete(tx: &mut Conn, owner: Owner, id: i64, key: &str) -> Result<u64, DbError> {
    let removed = tx
        .query(match owner {
            Owner::Model => "DELETE FROM registered_model_tags WHERE model_id = $1 AND key = $2",
            Owner::Version => "DELETE FROM model_version_tags WHERE version_id = $1 AND key = $2",
        })
        .bind(id)
        .bind(key.to_owned())
        .execute()
        .await?;
    if key == IS_PROMPT_TAG {
        super::prompts::mark(tx, owner, id).await?;
    }
    Ok(removed)
}

pub async fn count(conn: &mut Conn, owner: Owner, id: i64) -> Result<i64, DbError> {
    let count = conn
        .query(match owner {
            Owner::Model => "SELECT COUNT(*) FROM registered_model_tags WHERE model_id = $1",
            Owner::Version => "SELECT COUNT(*) FROM model_version_tags WHERE version_id = $1",
        })
        .bind(id)
        .scalar()
        .await?;
    Ok(count.unwrap_or_default())
}

/// The tags of each of `ids` that has any.
pub async fn of(conn: &mut Conn, owner: Owner, ids: &[i64]) -> Result<HashMap<i64, Tags>, DbError> {
    let mut found: HashMap<i64, Tags> = HashMap::new();
    for chunk in ids.chunks(super::CHUNK) {
        let mut sql = match owner {
            Owner::Model => Sql::new(
                conn.engine(),
                "SELECT model_id, key, value FROM registered_model_tags WHERE model_id IN (",
            ),
            Owner::Version => Sql::new(
                conn.engine(),
                "SELECT version_id, key, value FROM model_version_tags WHERE version_id IN (",
            ),
        };
        sql.bind_list(chunk.iter().map(|id| (*id).into())).push(")");
        let rows: Vec<(i64, String, String)> = conn.generated(sql).all().await?;
        for (id, key, value) in rows {
            found.entry(id).or_default().insert(key, value);
        }
    }
    Ok(found)
}
