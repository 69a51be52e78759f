use crate::{
    db::{
        Conn, DbError,
        sql::{KEYS_PER_STATEMENT, Sql, Value},
    },
    models::{Version, stage},
};
use std::collections::HashSet;
use waybill_client::api::{Custody, FrozenContent, Stage};
use waybill_proof::Digest;

macro_rules! columns {
    () => {
        "v.version_id, v.model_id, v.uid, m.name, v.version, v.custody, v.stage, v.source, v.location,
         v.description, v.run_id, v.run_link, v.logged_model_id, v.created_by, v.created_at_ms,
         v.updated_at_ms, v.deleted_at_ms, v.manifest_digest, v.oms_root, v.file_count, v.size_bytes,
         v.requirements_digest, v.experiment_config_digest, v.snapshot_digest"
    };
}

/// Of a row in `model_versions v` and its model in `registered_models m`.
pub(super) const COLUMNS: &str = columns!();

/// Completes `SELECT … FROM model_versions v JOIN registered_models m …`.
macro_rules! select_versions {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM model_versions v JOIN registered_models m ON m.model_id = v.model_id ",
            $rest
        )
    };
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    version_id: i64,
    model_id: i64,
    uid: String,
    name: String,
    version: i64,
    custody: String,
    stage: String,
    source: String,
    location: String,
    description: Option<String>,
    run_id: Option<String>,
    run_link: Option<String>,
    logged_model_id: Option<String>,
    created_by: String,
    created_at_ms: i64,
    updated_at_ms: i64,
    deleted_at_ms: Option<i64>,
    manifest_digest: Option<String>,
    oms_root: Option<String>,
    file_count: Option<i64>,
    size_bytes: Option<i64>,
    requirements_digest: Option<String>,
    experiment_config_digest: Option<String>,
    snapshot_digest: Option<String>,
}

impl Row {
    pub(super) fn read(self) -> Result<Version, DbError> {
        let corrupt = |what, text: &str| DbError::Corrupt { what, detail: format!("{text:?}") };
        let custody = stage::parse_custody(&self.custody).ok_or_else(|| corrupt("custody", &self.custody))?;
        let stage = stage::parse(&self.stage).ok_or_else(|| corrupt("stage", &self.stage))?;
        let content = self.content(custody)?;
        Ok(Version {
            version_id: self.version_id,
            model_id: self.model_id,
            uid: self.uid,
            name: self.name,
            version: self.version,
            custody,
            stage,
            source: self.source,
            location: self.location,
            description: self.description,
            run_id: self.run_id,
            run_link: self.run_link,
            logged_model_id: self.logged_model_id,
            created_by: self.created_by,
            created_at_ms: self.created_at_ms,
            updated_at_ms: self.updated_at_ms,
            deleted: self.deleted_at_ms.is_some(),
            content,
        })
    }

    fn content(&self, custody: Custody) -> Result<Option<FrozenContent>, DbError> {
        if custody != Custody::Frozen {
            return Ok(None);
        }
        let missing =
            || DbError::Corrupt { what: "frozen version", detail: format!("{} lacks a digest", self.uid) };
        Ok(Some(FrozenContent {
            manifest_digest: digest(self.manifest_digest.as_deref())?.ok_or_else(missing)?,
            oms_root: digest(self.oms_root.as_deref())?.ok_or_else(missing)?,
            file_count: self.file_count.ok_or_else(missing)? as u64,
            size_bytes: self.size_bytes.ok_or_else(missing)? as u64,
            requirements_digest: digest(self.requirements_digest.as_deref())?,
            experiment_config_digest: digest(self.experiment_config_digest.as_deref())?,
            registration_snapshot_digest: digest(self.snapshot_digest.as_deref())?.ok_or_else(missing)?,
        }))
    }
}

fn digest(text: Option<&str>) -> Result<Option<Digest>, DbError> {
    text.map(|text| {
        text.parse().map_err(|_| DbError::Corrupt { what: "digest", detail: format!("{text:?}") })
    })
    .transpose()
}

pub(super) fn read_all(rows: Vec<Row>) -> Result<Vec<Version>, DbError> {
    rows.into_iter().map(Row::read).collect()
}

/// A version about to be inserted.
#[derive(Debug, Clone)]
pub struct NewVersion {
    pub uid: String,
    pub custody: Custody,
    pub source: String,
    pub location: String,
    pub description: Option<String>,
    pub run_id: Option<String>,
    pub run_link: Option<String>,
    pub logged_model_id: Option<String>,
    pub created_by: String,
    pub created_at_ms: i64,
    pub content: Option<FrozenContent>,
}

/// Adds `new` under a number from [`super::models::next_version`]; its row id.
pub async fn insert(tx: &mut Conn, model_id: i64, version: i64, new: &NewVersion) -> Result<i64, DbError> {
    let content = new.content.as_ref();
    let text = |digest: Option<Digest>| digest.map(|d| d.to_string());
    let (version_id,) = tx
        .query(
            "INSERT INTO model_versions (uid, model_id, version, custody, stage, source, location,
                 description, run_id, run_link, logged_model_id, created_by, created_at_ms, updated_at_ms,
                 manifest_digest, oms_root, file_count, size_bytes, requirements_digest,
                 experiment_config_digest, snapshot_digest, is_prompt)
             VALUES ($1, $2, $3, $4, 'none', $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $15, $16,
                 $17, $18, $19, (SELECT has_prompts FROM registered_models WHERE model_id = $2))
             RETURNING version_id",
        )
        .bind(new.uid.clone())
        .bind(model_id)
        .bind(version)
        .bind(stage::custody_text(new.custody))
        .bind(new.source.clone())
        .bind(new.location.clone())
        .bind(new.description.clone())
        .bind(new.run_id.clone())
        .bind(new.run_link.clone())
        .bind(new.logged_model_id.clone())
        .bind(new.created_by.clone())
        .bind(new.created_at_ms)
        .bind(text(content.map(|c| c.manifest_digest)))
        .bind(text(content.map(|c| c.oms_root)))
        .bind(content.map(|c| c.file_count as i64))
        .bind(content.map(|c| c.size_bytes as i64))
        .bind(text(content.and_then(|c| c.requirements_digest)))
        .bind(text(content.and_then(|c| c.experiment_config_digest)))
        .bind(text(content.map(|c| c.registration_snapshot_digest)))
        .one()
        .await?;
    Ok(version_id)
}

/// Gives a live pointer of the model the files of `new`; false where there is none, or it is frozen by now.
pub async fn freeze(
    tx: &mut Conn,
    (model_id, version_id): (i64, i64),
    new: &NewVersion,
    now_ms: i64,
) -> Result<bool, DbError> {
    let Some(content) = &new.content else {
        return Ok(false);
    };
    let text = |digest: Option<Digest>| digest.map(|d| d.to_string());
    let changed = tx
        .query(
            "UPDATE model_versions SET custody = 'frozen', source = $3, location = $4, run_id = $5, logged_model_id = $6,
                 manifest_digest = $7, oms_root = $8, file_count = $9, size_bytes = $10, requirements_digest = $11,
                 experiment_config_digest = $12, snapshot_digest = $13, updated_at_ms = $14
             WHERE version_id = $1 AND model_id = $2 AND custody = 'pointer' AND deleted_at_ms IS NULL",
        )
        .bind(version_id)
        .bind(model_id)
        .bind(new.source.clone())
        .bind(new.location.clone())
        .bind(new.run_id.clone())
        .bind(new.logged_model_id.clone())
        .bind(content.manifest_digest.to_string())
        .bind(content.oms_root.to_string())
        .bind(content.file_count as i64)
        .bind(content.size_bytes as i64)
        .bind(text(content.requirements_digest))
        .bind(text(content.experiment_config_digest))
        .bind(content.registration_snapshot_digest.to_string())
        .bind(now_ms)
        .execute()
        .await?;
    Ok(changed > 0)
}

/// Which of the versions of these uids are live pointers.
pub async fn pointers(conn: &mut Conn, uids: impl Iterator<Item = &str>) -> Result<HashSet<String>, DbError> {
    let uids: Vec<&str> = uids.collect();
    let mut found = HashSet::new();
    for some in uids.chunks(KEYS_PER_STATEMENT) {
        let mut sql = Sql::new(conn.engine(), "SELECT uid FROM model_versions WHERE uid IN (");
        sql.bind_list(some.iter().map(|uid| (*uid).into()));
        sql.push(") AND custody = 'pointer' AND deleted_at_ms IS NULL");
        found.extend(conn.generated(sql).all::<(String,)>().await?.into_iter().map(|(uid,)| uid));
    }
    Ok(found)
}

/// The live version of that number.
pub async fn find(conn: &mut Conn, name: &str, version: i64) -> Result<Option<Version>, DbError> {
    let row: Option<Row> = conn
        .query(select_versions!(
            "WHERE m.name = $1 AND m.deleted_at_ms IS NULL AND v.version = $2 AND v.deleted_at_ms IS NULL"
        ))
        .bind(name.to_owned())
        .bind(version)
        .optional()
        .await?;
    row.map(Row::read).transpose()
}

/// Whether a version of that number is there or ever was.
pub async fn number_is_taken(conn: &mut Conn, model_id: i64, version: i64) -> Result<bool, DbError> {
    let found: Option<i64> = conn
        .query("SELECT version FROM model_versions WHERE model_id = $1 AND version = $2")
        .bind(model_id)
        .bind(version)
        .scalar()
        .await?;
    Ok(found.is_some())
}

/// The version of that uid, deleted or not.
pub async fn find_by_uid(conn: &mut Conn, uid: &str) -> Result<Option<Version>, DbError> {
    let row: Option<Row> =
        conn.query(select_versions!("WHERE v.uid = $1")).bind(uid.to_owned()).optional().await?;
    row.map(Row::read).transpose()
}

/// Live versions of a model numbered below `before`, newest first.
pub async fn page(conn: &mut Conn, model_id: i64, before: i64, limit: i64) -> Result<Vec<Version>, DbError> {
    let rows = conn
        .query(select_versions!(
            "WHERE v.model_id = $1 AND v.version < $2 AND v.deleted_at_ms IS NULL
             ORDER BY v.version DESC LIMIT $3"
        ))
        .bind(model_id)
        .bind(before)
        .bind(limit)
        .all()
        .await?;
    read_all(rows)
}

/// Live versions of a model in `stage`, highest number first.
pub async fn in_stage(conn: &mut Conn, model_id: i64, in_stage: Stage) -> Result<Vec<Version>, DbError> {
    let rows = conn
        .query(select_versions!(
            "WHERE v.model_id = $1 AND v.stage = $2 AND v.deleted_at_ms IS NULL ORDER BY v.version DESC"
        ))
        .bind(model_id)
        .bind(in_stage.as_str())
        .all()
        .await?;
    read_all(rows)
}

/// Live versions of a model whose manifest is `digest`, highest number first.
pub async fn by_manifest(conn: &mut Conn, model_id: i64, digest: Digest) -> Result<Vec<Version>, DbError> {
    let rows = conn
        .query(select_versions!(
            "WHERE v.model_id = $1 AND v.manifest_digest = $2 AND v.deleted_at_ms IS NULL
             ORDER BY v.version DESC"
        ))
        .bind(model_id)
        .bind(digest.to_string())
        .all()
        .await?;
    read_all(rows)
}

/// The highest live version in each stored stage, of each of `model_ids`. Each is one step into the
/// index of stages, however many versions there are.
pub async fn latest_per_stage(conn: &mut Conn, model_ids: &[i64]) -> Result<Vec<Version>, DbError> {
    let mut found = Vec::new();
    for chunk in model_ids.chunks(super::CHUNK) {
        let mut sql = Sql::new(conn.engine(), "WITH asked (model_id, stage) AS (VALUES ");
        sql.bind_rows(
            chunk
                .iter()
                .flat_map(|id| Stage::ALL.iter().map(|stage| [Value::from(*id), stage.as_str().into()])),
        );
        sql.push(
            "), newest AS MATERIALIZED (SELECT (SELECT n.version_id FROM model_versions n
                 WHERE n.model_id = asked.model_id AND n.stage = asked.stage AND n.deleted_at_ms IS NULL
                 ORDER BY n.version DESC LIMIT 1) AS version_id FROM asked)
             SELECT ",
        );
        sql.push(COLUMNS).push(
            " FROM newest CROSS JOIN model_versions v CROSS JOIN registered_models m
             WHERE v.version_id = newest.version_id AND m.model_id = v.model_id
             ORDER BY v.model_id, v.version",
        );
        found.extend(read_all(conn.generated(sql).all().await?)?);
    }
    Ok(found)
}

/// Live frozen versions of a run.
pub async fn frozen_of_run(conn: &mut Conn, run_id: &str) -> Result<Vec<Version>, DbError> {
    let rows = conn
        .query(select_versions!(
            "WHERE v.run_id = $1 AND v.custody = 'frozen' AND v.deleted_at_ms IS NULL ORDER BY v.version_id"
        ))
        .bind(run_id.to_owned())
        .all()
        .await?;
    read_all(rows)
}

/// Live frozen versions of a model.
pub async fn frozen_of_model(conn: &mut Conn, model_id: i64) -> Result<Vec<Version>, DbError> {
    let rows = conn
        .query(select_versions!(
            "WHERE v.model_id = $1 AND v.custody = 'frozen' AND v.deleted_at_ms IS NULL ORDER BY v.version"
        ))
        .bind(model_id)
        .all()
        .await?;
    read_all(rows)
}

pub async fn set_description(
    tx: &mut Conn,
    version_id: i64,
    description: Option<String>,
    now_ms: i64,
) -> Result<(), DbError> {
    tx.query("UPDATE model_versions SET description = $2, updated_at_ms = $3 WHERE version_id = $1")
        .bind(version_id)
        .bind(description)
        .bind(now_ms)
        .execute()
        .await?;
    Ok(())
}

pub async fn set_stage(tx: &mut Conn, version_id: i64, to: Stage, now_ms: i64) -> Result<(), DbError> {
    tx.query("UPDATE model_versions SET stage = $2, updated_at_ms = $3 WHERE version_id = $1")
        .bind(version_id)
        .bind(to.as_str())
        .bind(now_ms)
        .execute()
        .await?;
    Ok(())
}

/// Marks a version deleted and takes it out of its stage. Its evidence stays: history names it.
pub async fn delete(tx: &mut Conn, version_id: i64, now_ms: i64) -> Result<(), DbError> {
    tx.query(
        "UPDATE model_versions SET deleted_at_ms = $2, updated_at_ms = $2, stage = 'none' WHERE version_id = $1",
    )
    .bind(version_id)
    .bind(now_ms)
    .execute()
    .await?;
    Ok(())
}
