use crate::{
    db::{Conn, DbError, sql::Sql},
    runs::types::Metric,
};

/// The value after which a page of a metric's history begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HistoryPosition {
    pub timestamp_ms: i64,
    pub step: i64,
    pub value: f64,
    pub is_nan: bool,
}

impl HistoryPosition {
    /// Before every value: the least of all, which no value equals.
    pub const START: Self =
        Self { timestamp_ms: i64::MIN, step: i64::MIN, value: f64::NEG_INFINITY, is_nan: false };

    pub fn after(metric: &Metric) -> Self {
        let is_nan = metric.value.is_nan();
        Self {
            timestamp_ms: metric.timestamp_ms,
            step: metric.step,
            value: if is_nan { 0.0 } else { metric.value },
            is_nan,
        }
    }
}

/// Values of one metric after `position`, by timestamp, step and value: the primary key's order.
pub async fn history(
    conn: &mut Conn,
    rid: i64,
    key: &str,
    position: HistoryPosition,
    limit: i64,
) -> Result<Vec<Metric>, DbError> {
    let mut sql = Sql::new(
        conn.engine(),
        "SELECT timestamp_ms, step, value, is_nan FROM metrics
         WHERE (timestamp_ms, step, value, is_nan) > (",
    );
    let HistoryPosition { timestamp_ms, step, value, is_nan } = position;
    sql.bind_list([timestamp_ms.into(), step.into(), value.into(), is_nan.into()]);
    sql.push(") AND rid = ").bind(rid).push(" AND key = ").bind(key);
    sql.push(" ORDER BY timestamp_ms, step, value, is_nan LIMIT ").bind(limit);
    let rows: Vec<(i64, i64, f64, bool)> = conn.all_of(sql, limit as usize).await?;
    Ok(rows.into_iter().map(|row| metric(key, row)).collect())
}

/// The steps at which a run has values of one metric, ascending. They come as one text: a row for
/// each of a million costs more than all the rest.
pub async fn steps(conn: &mut Conn, rid: i64, key: &str) -> Result<Vec<i64>, DbError> {
    let mut sql = Sql::new(conn.engine(), "SELECT ");
    sql.gathered("step").push(" FROM metrics WHERE rid = ").bind(rid).push(" AND key = ").bind(key);
    let (text,): (Option<String>,) = conn.generated(sql).one().await?;
    let text = text.unwrap_or_default();
    let steps: Result<Vec<i64>, _> = text.split_terminator(',').map(str::parse).collect();
    let mut steps =
        steps.map_err(|error| DbError::Corrupt { what: "step of a metric", detail: error.to_string() })?;
    steps.sort_unstable();
    steps.dedup();
    Ok(steps)
}

/// Values of one metric at `steps`, by step, timestamp and value; of more than `most` one more, spread
/// evenly, the first and the last among them. All steps in one statement: each reads the whole history.
pub async fn at_steps(
    conn: &mut Conn,
    rid: i64,
    key: &str,
    steps: &[i64],
    most: i64,
) -> Result<Vec<Metric>, DbError> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(
        conn.engine(),
        "SELECT timestamp_ms, step, value, is_nan FROM (
             SELECT timestamp_ms, step, value, is_nan, COUNT(*) OVER () AS total,
                    ROW_NUMBER() OVER (ORDER BY step, timestamp_ms, value, is_nan) AS number
             FROM metrics WHERE rid = ",
    );
    sql.bind(rid).push(" AND key = ").bind(key).push(" AND step IN (").bind_keys(steps);
    // The last row of each of `most` parts, and the first of all.
    sql.push(")) AS found WHERE number = 1 OR number * ").bind(most);
    sql.push(" / total <> (number - 1) * ").bind(most).push(" / total OR total <= ").bind(most);
    sql.push(" ORDER BY number");
    let rows: Vec<(i64, i64, f64, bool)> = conn.all_of(sql, most as usize).await?;
    Ok(rows.into_iter().map(|row| metric(key, row)).collect())
}

fn metric(key: &str, (timestamp_ms, step, value, is_nan): (i64, i64, f64, bool)) -> Metric {
    Metric { key: key.to_owned(), value: if is_nan { f64::NAN } else { value }, timestamp_ms, step }
}
