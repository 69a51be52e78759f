use crate::{
    db::{
        Conn, DbError,
        sql::{KEYS_PER_STATEMENT, Sql, Value},
    },
    traces::assessments::{Assessment, AssessmentError, Kind, SourceType},
};
use serde_json::Value as Json;

const COLUMNS: &str = "a.tid, t.trace_id, a.assessment_id, a.kind, a.name, a.value_json, a.error_json, \
     a.source_type, a.source_id, a.span_id, a.rationale, a.metadata_json, a.overrides, a.valid, \
     a.created_at_ms, a.updated_at_ms";

#[derive(sqlx::FromRow)]
struct Row {
    tid: i64,
    trace_id: String,
    assessment_id: String,
    kind: String,
    name: String,
    value_json: String,
    error_json: Option<String>,
    source_type: String,
    source_id: Option<String>,
    span_id: Option<String>,
    rationale: Option<String>,
    metadata_json: Option<String>,
    overrides: Option<String>,
    valid: bool,
    created_at_ms: i64,
    updated_at_ms: i64,
}

impl TryFrom<Row> for Assessment {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let corrupt = |detail: &str| DbError::Corrupt { what: "assessment", detail: detail.to_owned() };
        let error: Option<AssessmentError> = json(row.error_json.as_deref())?;
        Ok(Self {
            assessment_id: row.assessment_id,
            trace_id: row.trace_id,
            kind: Kind::parse(&row.kind).ok_or_else(|| corrupt(&row.kind))?,
            name: row.name,
            value: json::<Json>(Some(&row.value_json))?.unwrap_or_default(),
            error,
            source_type: SourceType::parse(&row.source_type).ok_or_else(|| corrupt(&row.source_type))?,
            source_id: row.source_id,
            span_id: row.span_id,
            rationale: row.rationale,
            metadata: json(row.metadata_json.as_deref())?.unwrap_or_default(),
            overrides: row.overrides,
            valid: row.valid,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
        })
    }
}

fn json<T: serde::de::DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, DbError> {
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|e| DbError::Corrupt { what: "assessment", detail: e.to_string() })
}

/// The assessments of these traces, the oldest first.
pub(super) async fn of(conn: &mut Conn, tids: &[i64]) -> Result<Vec<(i64, Assessment)>, DbError> {
    if tids.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(conn.engine(), "SELECT ");
    sql.push(COLUMNS).push(" FROM trace_assessments a JOIN traces t ON t.tid = a.tid WHERE a.tid IN (");
    sql.bind_list(tids.iter().map(|tid| Value::from(*tid)));
    sql.push(") ORDER BY a.tid, a.created_at_ms, a.aid");
    let rows: Vec<Row> = conn.generated(sql).all().await?;
    rows.into_iter().map(|row| Ok((row.tid, row.try_into()?))).collect()
}

pub async fn assessment(
    conn: &mut Conn,
    trace_id: &str,
    assessment_id: &str,
) -> Result<Option<Assessment>, DbError> {
    let mut sql = Sql::new(conn.engine(), "SELECT ");
    sql.push(COLUMNS)
        .push(" FROM trace_assessments a JOIN traces t ON t.tid = a.tid WHERE a.assessment_id = ");
    sql.bind(assessment_id).push(" AND t.trace_id = ").bind(trace_id);
    let row: Option<Row> = conn.generated(sql).optional().await?;
    row.map(Assessment::try_from).transpose()
}

/// Which traces the assessments of these ids, where there are such, belong to.
pub async fn traces_of_assessments(conn: &mut Conn, ids: &[&str]) -> Result<Vec<(String, String)>, DbError> {
    let mut found = Vec::new();
    for some in ids.chunks(KEYS_PER_STATEMENT) {
        let mut sql = Sql::new(
            conn.engine(),
            "SELECT a.assessment_id, t.trace_id FROM trace_assessments a JOIN traces t ON t.tid = a.tid
             WHERE a.assessment_id IN (",
        );
        sql.bind_list(some.iter().map(|id| Value::from(*id))).push(")");
        found.extend(conn.generated(sql).all::<(String, String)>().await?);
    }
    Ok(found)
}

/// False where the id is taken.
pub async fn insert_assessment(
    tx: &mut Conn,
    tid: i64,
    experiment_id: i64,
    assessment: &Assessment,
) -> Result<bool, DbError> {
    let (number, is_number) = assessment.number();
    let inserted = tx
        .query(
            "INSERT INTO trace_assessments
                 (assessment_id, tid, experiment_id, kind, name, value_json, number, is_number, error_json,
                  source_type, source_id, span_id, rationale, metadata_json, overrides, valid, of_session,
                  created_at_ms, updated_at_ms, source_run_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
             ON CONFLICT DO NOTHING",
        )
        .bind(assessment.assessment_id.clone())
        .bind(tid)
        .bind(experiment_id)
        .bind(assessment.kind.as_str())
        .bind(assessment.name.clone())
        .bind(assessment.value_json())
        .bind(number)
        .bind(is_number)
        .bind(assessment.error_json())
        .bind(assessment.source_type.as_str())
        .bind(assessment.source_id.clone())
        .bind(assessment.span_id.clone())
        .bind(assessment.rationale.clone())
        .bind(assessment.metadata_json())
        .bind(assessment.overrides.clone())
        .bind(assessment.valid)
        .bind(assessment.is_of_session())
        .bind(assessment.created_at_ms)
        .bind(assessment.updated_at_ms)
        .bind(assessment.source_run_id().map(str::to_owned))
        .execute()
        .await?;
    Ok(inserted > 0)
}

/// Writes what may change of an assessment.
pub async fn update_assessment(tx: &mut Conn, assessment: &Assessment) -> Result<(), DbError> {
    let (number, is_number) = assessment.number();
    tx.query(
        "UPDATE trace_assessments SET name = $1, value_json = $2, number = $3, is_number = $4, error_json = $5,
             rationale = $6, metadata_json = $7, of_session = $8, valid = $9, updated_at_ms = $10,
             source_run_id = $11
         WHERE assessment_id = $12",
    )
    .bind(assessment.name.clone())
    .bind(assessment.value_json())
    .bind(number)
    .bind(is_number)
    .bind(assessment.error_json())
    .bind(assessment.rationale.clone())
    .bind(assessment.metadata_json())
    .bind(assessment.is_of_session())
    .bind(assessment.valid)
    .bind(assessment.updated_at_ms)
    .bind(assessment.source_run_id().map(str::to_owned))
    .bind(assessment.assessment_id.clone())
    .execute()
    .await?;
    Ok(())
}

/// Whether the trace has that assessment.
pub async fn set_valid(tx: &mut Conn, tid: i64, assessment_id: &str, valid: bool) -> Result<bool, DbError> {
    let changed = tx
        .query("UPDATE trace_assessments SET valid = $1 WHERE tid = $2 AND assessment_id = $3")
        .bind(valid)
        .bind(tid)
        .bind(assessment_id.to_owned())
        .execute()
        .await?;
    Ok(changed > 0)
}

pub async fn delete_assessment(tx: &mut Conn, assessment_id: &str) -> Result<(), DbError> {
    tx.query("DELETE FROM trace_assessments WHERE assessment_id = $1")
        .bind(assessment_id.to_owned())
        .execute()
        .await?;
    Ok(())
}

/// Deletes what a run said about traces.
pub async fn delete_assessments_of_run(tx: &mut Conn, run_id: &str) -> Result<(), DbError> {
    tx.query("DELETE FROM trace_assessments WHERE source_run_id = $1")
        .bind(run_id.to_owned())
        .execute()
        .await?;
    Ok(())
}

/// Deletes what the runs of an experiment said about traces.
pub async fn delete_assessments_of_runs_in(tx: &mut Conn, experiment_id: i64) -> Result<(), DbError> {
    tx.query(
        "DELETE FROM trace_assessments WHERE source_run_id IN
             (SELECT run_id FROM runs WHERE experiment_id = $1)",
    )
    .bind(experiment_id)
    .execute()
    .await?;
    Ok(())
}
