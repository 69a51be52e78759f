use crate::{
    db::{Conn, DbError, sql::Sql},
    models::Model,
};

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    model_id: i64,
    name: String,
    description: Option<String>,
    last_version: i64,
    created_at_ms: i64,
    updated_at_ms: i64,
}

impl From<Row> for Model {
    fn from(row: Row) -> Self {
        Self {
            model_id: row.model_id,
            name: row.name,
            description: row.description,
            last_version: row.last_version,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
        }
    }
}

/// The live model of that name; deleted ones are not found.
pub async fn find(conn: &mut Conn, name: &str) -> Result<Option<Model>, DbError> {
    let row: Option<Row> = conn
        .query(
            "SELECT model_id, name, description, last_version, created_at_ms, updated_at_ms
             FROM registered_models WHERE name = $1 AND deleted_at_ms IS NULL",
        )
        .bind(name.to_owned())
        .optional()
        .await?;
    Ok(row.map(Model::from))
}

/// Adds a model; `None` when the name is taken.
pub async fn insert(
    tx: &mut Conn,
    name: &str,
    description: Option<String>,
    now_ms: i64,
) -> Result<Option<i64>, DbError> {
    tx.query(
        "INSERT INTO registered_models (name, description, created_at_ms, updated_at_ms)
         VALUES ($1, $2, $3, $3)
         ON CONFLICT (name) WHERE deleted_at_ms IS NULL DO NOTHING RETURNING model_id",
    )
    .bind(name.to_owned())
    .bind(description)
    .bind(now_ms)
    .scalar()
    .await
}

/// Hands out the next version number of a live model, and its id; `None` when there is no such
/// model. Numbers are never given twice, not even after a deletion.
pub async fn next_version(tx: &mut Conn, name: &str, now_ms: i64) -> Result<Option<(i64, i64)>, DbError> {
    tx.query(
        "UPDATE registered_models SET last_version = last_version + 1, updated_at_ms = $2
         WHERE name = $1 AND deleted_at_ms IS NULL RETURNING model_id, last_version",
    )
    .bind(name.to_owned())
    .bind(now_ms)
    .optional()
    .await
}

/// Notes that version `number` of a live model is given out, and gives the model's id; `None` when
/// there is no such model. Holds the model until the transaction ends.
pub async fn take_version(tx: &mut Conn, name: &str, number: i64) -> Result<Option<i64>, DbError> {
    tx.query(
        "UPDATE registered_models SET last_version = CASE WHEN last_version < $2 THEN $2 ELSE last_version END
         WHERE name = $1 AND deleted_at_ms IS NULL RETURNING model_id",
    )
    .bind(name.to_owned())
    .bind(number)
    .scalar()
    .await
}

pub async fn set_description(
    tx: &mut Conn,
    model_id: i64,
    description: Option<String>,
    now_ms: i64,
) -> Result<(), DbError> {
    tx.query("UPDATE registered_models SET description = $2, updated_at_ms = $3 WHERE model_id = $1")
        .bind(model_id)
        .bind(description)
        .bind(now_ms)
        .execute()
        .await?;
    Ok(())
}

/// Gives a model a name that the caller knows to be free.
pub async fn rename(tx: &mut Conn, model_id: i64, new_name: &str, now_ms: i64) -> Result<(), DbError> {
    tx.query("UPDATE registered_models SET name = $2, updated_at_ms = $3 WHERE model_id = $1")
        .bind(model_id)
        .bind(new_name.to_owned())
        .bind(now_ms)
        .execute()
        .await?;
    tx.query("UPDATE model_versions SET updated_at_ms = $2 WHERE model_id = $1 AND deleted_at_ms IS NULL")
        .bind(model_id)
        .bind(now_ms)
        .execute()
        .await?;
    Ok(())
}

/// Marks the model and all its versions deleted; the name becomes free.
pub async fn delete(tx: &mut Conn, model_id: i64, now_ms: i64) -> Result<(), DbError> {
    for statement in [
        "UPDATE model_versions SET deleted_at_ms = $2 WHERE model_id = $1 AND deleted_at_ms IS NULL",
        "UPDATE registered_models SET deleted_at_ms = $2 WHERE model_id = $1",
    ] {
        tx.query(statement).bind(model_id).bind(now_ms).execute().await?;
    }
    tx.query("DELETE FROM registered_model_aliases WHERE model_id = $1").bind(model_id).execute().await?;
    Ok(())
}

/// Notes that something about the model or its versions changed.
pub async fn touch(tx: &mut Conn, model_id: i64, now_ms: i64) -> Result<(), DbError> {
    tx.query("UPDATE registered_models SET updated_at_ms = $2 WHERE model_id = $1")
        .bind(model_id)
        .bind(now_ms)
        .execute()
        .await?;
    Ok(())
}

/// Live models by name, after `after_name`; only those whose name contains `contains`, in any case.
pub async fn page(
    conn: &mut Conn,
    contains: Option<&str>,
    after_name: &str,
    limit: i64,
) -> Result<Vec<Model>, DbError> {
    let mut sql = Sql::new(
        conn.engine(),
        "SELECT model_id, name, description, last_version, created_at_ms, updated_at_ms
         FROM registered_models WHERE deleted_at_ms IS NULL AND name > ",
    );
    sql.bind(after_name);
    if let Some(text) = contains {
        let escaped: String = text
            .chars()
            .flat_map(|c| ['%', '_', '\\'].contains(&c).then_some('\\').into_iter().chain([c]))
            .collect();
        sql.push(" AND LOWER(name) LIKE LOWER(").bind(format!("%{escaped}%")).push(") ESCAPE '\\'");
    }
    sql.push(" ORDER BY name LIMIT ").bind(limit);
    let rows: Vec<Row> = conn.generated(sql).all().await?;
    Ok(rows.into_iter().map(Model::from).collect())
}

/// Models by id, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[i64]) -> Result<Vec<Model>, DbError> {
    let mut models = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(super::CHUNK) {
        let mut sql = Sql::new(
            conn.engine(),
            "SELECT model_id, name, description, last_version, created_at_ms, updated_at_ms
             FROM registered_models WHERE model_id IN (",
        );
        sql.bind_list(chunk.iter().map(|id| (*id).into())).push(")");
        let rows: Vec<Row> = conn.generated(sql).all().await?;
        models.extend(rows.into_iter().map(Model::from));
    }
    Ok(models)
}
