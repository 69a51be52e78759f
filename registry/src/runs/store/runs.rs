use super::{batch, lifecycle, logged::set_tags, status};
use crate::{
    db::{
        Conn, DbError, Engine,
        rows::{Together, rows_together},
        sql::Sql,
    },
    runs::types::{KeyValue, Lifecycle, Run, RunStatus},
};

/// The columns of a run, in the order of [`Row`].
pub(super) const COLUMNS: &str = "r.rid, r.run_id, r.experiment_id, r.name, r.user_id, r.status, \
     r.start_time_ms, r.end_time_ms, r.lifecycle_stage, r.artifact_uri";

/// A row of [`COLUMNS`].
pub(super) type Row = (i64, String, i64, String, String, String, i64, Option<i64>, String, String);

impl TryFrom<Row> for Run {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let (
            rid,
            run_id,
            experiment_id,
            name,
            user_id,
            state,
            start_time_ms,
            end_time_ms,
            stage,
            artifact_uri,
        ) = row;
        Ok(Self {
            rid,
            run_id,
            experiment_id,
            name,
            user_id,
            status: status(&state)?,
            start_time_ms,
            end_time_ms,
            lifecycle: lifecycle(&stage)?,
            artifact_uri,
        })
    }
}

/// A run that starts now.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub run_id: String,
    pub experiment_id: i64,
    pub name: String,
    pub user_id: String,
    pub start_time_ms: i64,
    pub artifact_uri: String,
}

impl NewRun {
    /// The run that was made of it.
    pub fn into_run(self, rid: i64) -> Run {
        Run {
            rid,
            run_id: self.run_id,
            experiment_id: self.experiment_id,
            name: self.name,
            user_id: self.user_id,
            status: RunStatus::Running,
            start_time_ms: self.start_time_ms,
            end_time_ms: None,
            lifecycle: Lifecycle::Active,
            artifact_uri: self.artifact_uri,
        }
    }
}

/// A new run, `RUNNING`, with its tags, in one statement, which answers with the run's `rid`. With `at`: or with
/// nothing, where the experiment is not active or has its artifacts elsewhere. Keep to [`rows_together`] tags.
pub fn insertion(engine: Engine, new: &NewRun, at: Option<&str>, tags: &[KeyValue]) -> Sql {
    let make = |sql: &mut Sql| {
        sql.push("INSERT INTO runs AS r (run_id, experiment_id, name, user_id, status, start_time_ms,");
        sql.push(" lifecycle_stage, artifact_uri) SELECT ").bind(new.run_id.as_str());
        sql.push(", e.experiment_id, ").bind(new.name.as_str()).push(", ").bind(new.user_id.as_str());
        sql.push(", 'RUNNING', ").bind(new.start_time_ms).push(", 'active', ");
        sql.bind(new.artifact_uri.as_str()).push(" FROM experiments e WHERE e.experiment_id = ");
        sql.bind(new.experiment_id);
        if let Some(location) = at {
            sql.push(" AND e.lifecycle_stage = 'active' AND e.artifact_location = ").bind(location);
        }
    };
    let find = |sql: &mut Sql| {
        sql.push(" FROM runs r WHERE r.run_id = ").bind(new.run_id.as_str());
    };
    let write = |sql: &mut Sql| batch::set_tags(sql, tags);
    let writes: &[&dyn Fn(&mut Sql)] = if tags.is_empty() { &[] } else { &[&write] };
    Together { make: Some(&make), columns: "r.rid, r.experiment_id", find: &find, writes }.sql(engine)
}

/// [`insertion`] of any number of tags, within a transaction that has found the experiment active.
pub async fn insert(tx: &mut Conn, new: &NewRun, tags: &[KeyValue]) -> Result<Run, DbError> {
    let at_once = tags.len() <= rows_together(tx.engine());
    let sql = insertion(tx.engine(), new, None, if at_once { tags } else { &[] });
    let (rid, _): (i64, i64) = tx.generated(sql).one().await?;
    let run = new.clone().into_run(rid);
    if !at_once {
        set_tags(tx, &run, tags).await?;
    }
    Ok(run)
}

/// A run of any lifecycle stage.
pub async fn get(conn: &mut Conn, run_id: &str) -> Result<Option<Run>, DbError> {
    let row: Option<Row> = conn
        .query(
            "SELECT rid, run_id, experiment_id, name, user_id, status, start_time_ms, end_time_ms,
                 lifecycle_stage, artifact_uri
             FROM runs WHERE run_id = $1",
        )
        .bind(run_id.to_owned())
        .optional()
        .await?;
    row.map(Run::try_from).transpose()
}

/// Sets what is given.
pub async fn update(
    tx: &mut Conn,
    rid: i64,
    status: Option<RunStatus>,
    end_time_ms: Option<i64>,
) -> Result<(), DbError> {
    let mut sql = setting(tx.engine(), status, end_time_ms);
    sql.push("rid = ").bind(rid);
    tx.generated(sql).execute().await?;
    Ok(())
}

/// [`update`] of a run that is active, as one statement, which answers with its `rid`.
pub fn updating(engine: Engine, run_id: &str, status: Option<RunStatus>, end_time_ms: Option<i64>) -> Sql {
    let mut sql = setting(engine, status, end_time_ms);
    sql.push("lifecycle_stage = 'active' AND run_id = ").bind(run_id).push(" RETURNING rid");
    sql
}

fn setting(engine: Engine, status: Option<RunStatus>, end_time_ms: Option<i64>) -> Sql {
    let mut sql = Sql::new(engine, "UPDATE runs SET status = COALESCE(");
    sql.bind(status.map(|status| status.as_str().to_owned())).push(", status), end_time_ms = COALESCE(");
    sql.bind(end_time_ms).push(", end_time_ms) WHERE ");
    sql
}

pub async fn rename(tx: &mut Conn, rid: i64, name: &str) -> Result<(), DbError> {
    tx.query("UPDATE runs SET name = $1 WHERE rid = $2").bind(name.to_owned()).bind(rid).execute().await?;
    Ok(())
}

/// Deletes or restores a run.
pub async fn set_lifecycle(tx: &mut Conn, rid: i64, stage: Lifecycle, now_ms: i64) -> Result<(), DbError> {
    tx.query("UPDATE runs SET lifecycle_stage = $1, deleted_time_ms = $2 WHERE rid = $3")
        .bind(stage.as_str())
        .bind((stage == Lifecycle::Deleted).then_some(now_ms))
        .bind(rid)
        .execute()
        .await?;
    Ok(())
}

/// Holds the run until the transaction ends, for changes that depend on what it holds.
pub async fn lock(tx: &mut Conn, run_id: &str) -> Result<(), DbError> {
    tx.query("UPDATE runs SET name = name WHERE run_id = $1").bind(run_id.to_owned()).execute().await?;
    Ok(())
}

/// The value of one tag of a run.
pub async fn tag_value(conn: &mut Conn, rid: i64, key: &str) -> Result<Option<String>, DbError> {
    conn.query("SELECT value FROM tags WHERE rid = $1 AND key = $2")
        .bind(rid)
        .bind(key.to_owned())
        .scalar()
        .await
}

/// False when there was no such tag.
pub async fn delete_tag(tx: &mut Conn, rid: i64, key: &str) -> Result<bool, DbError> {
    let removed = tx
        .query("DELETE FROM tags WHERE rid = $1 AND key = $2")
        .bind(rid)
        .bind(key.to_owned())
        .execute()
        .await?;
    Ok(removed > 0)
}
