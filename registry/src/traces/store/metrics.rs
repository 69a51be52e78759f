use crate::{
    db::{
        Conn, DbError,
        sql::{Sql, Value},
    },
    search::SOURCE_RUN,
    traces::{
        metadata_key,
        metrics::{Aggregation, Filter, Question, SESSION_COUNT, SpanColumn, TRACE_NAME, View},
        tag_key,
    },
};

/// Percentiles of one question.
pub const PERCENTILES_MAX: usize = 8;
const DIMENSIONS: [&str; 5] = [" AS d0", " AS d1", " AS d2", " AS d3", " AS d4"];
const GROUP: &str = "q.bucket, q.d0, q.d1, q.d2, q.d3, q.d4";
const PERCENTILES: [&str; PERCENTILES_MAX] =
    [" AS p0", " AS p1", " AS p2", " AS p3", " AS p4", " AS p5", " AS p6", " AS p7"];

/// Figures of one group; those that were not asked for may be there too.
#[derive(Debug, sqlx::FromRow)]
pub struct Row {
    pub bucket: Option<i64>,
    d0: Option<String>,
    d1: Option<String>,
    d2: Option<String>,
    d3: Option<String>,
    d4: Option<String>,
    pub number: i64,
    pub total: Option<f64>,
    pub mean: Option<f64>,
    pub smallest: Option<f64>,
    pub largest: Option<f64>,
    p0: Option<f64>,
    p1: Option<f64>,
    p2: Option<f64>,
    p3: Option<f64>,
    p4: Option<f64>,
    p5: Option<f64>,
    p6: Option<f64>,
    p7: Option<f64>,
}

impl Row {
    pub fn dimensions(&self) -> [Option<String>; 5] {
        [&self.d0, &self.d1, &self.d2, &self.d3, &self.d4].map(Clone::clone)
    }

    /// In the order in which percentiles were asked for.
    pub fn percentiles(&self) -> [Option<f64>; PERCENTILES_MAX] {
        [self.p0, self.p1, self.p2, self.p3, self.p4, self.p5, self.p6, self.p7]
    }
}

pub async fn metrics(conn: &mut Conn, question: &Question) -> Result<Vec<Row>, DbError> {
    let mut sql = Sql::new(conn.engine(), "SELECT ");
    sql.push(GROUP).push(
        ", COUNT(q.v) AS number, CAST(SUM(q.v) AS DOUBLE PRECISION) AS total,
         CAST(AVG(q.v) AS DOUBLE PRECISION) AS mean, MIN(q.v) AS smallest, MAX(q.v) AS largest",
    );
    let wanted: Vec<f64> = question
        .aggregations
        .iter()
        .filter_map(|aggregation| match aggregation {
            Aggregation::Percentile(value) => Some(value / 100.0),
            _ => None,
        })
        .collect();
    for (i, name) in PERCENTILES.into_iter().enumerate() {
        sql.push(", ");
        match wanted.get(i) {
            Some(fraction) => percentile(&mut sql, *fraction),
            None => {
                sql.push("CAST(NULL AS DOUBLE PRECISION)");
            }
        }
        sql.push(name);
    }
    sql.push(" FROM (SELECT r.*");
    if !wanted.is_empty() {
        let partition = "PARTITION BY r.bucket, r.d0, r.d1, r.d2, r.d3, r.d4";
        sql.push(", ROW_NUMBER() OVER (").push(partition).push(" ORDER BY r.v) AS rank");
        sql.push(", COUNT(*) OVER (").push(partition).push(") AS size");
    }
    sql.push(" FROM (");
    rows(&mut sql, question);
    sql.push(") r) q GROUP BY ").push(GROUP).push(" ORDER BY ").push(GROUP);
    sql.push(" LIMIT ").bind(question.limit);
    conn.generated(sql).all().await
}

/// Appends the value at `fraction` of the sorted values, between two of them in proportion.
fn percentile(sql: &mut Sql, fraction: f64) {
    let at = |sql: &mut Sql| {
        sql.push("(").bind(fraction).push(" * (q.size - 1))");
    };
    sql.push("SUM(CASE WHEN q.rank - 1 <= ");
    at(sql);
    sql.push(" AND q.rank > ");
    at(sql);
    sql.push(" THEN q.v * (q.rank - ");
    at(sql);
    sql.push(") WHEN q.rank - 2 < ");
    at(sql);
    sql.push(" AND q.rank - 1 > ");
    at(sql);
    sql.push(" THEN q.v * (");
    at(sql);
    sql.push(" - (q.rank - 2)) ELSE 0 END)");
}

/// Appends the rows whose value `v` is aggregated.
fn rows(sql: &mut Sql, question: &Question) {
    let sessions = question.metric.name == SESSION_COUNT;
    sql.push(if sessions { "SELECT DISTINCT m.value AS session, " } else { "SELECT " });
    match question.interval_ms {
        Some(interval) => bucket(sql, question.view, interval),
        None => {
            sql.push("CAST(NULL AS BIGINT)");
        }
    }
    sql.push(" AS bucket");
    for (i, name) in DIMENSIONS.into_iter().enumerate() {
        let column = question.dimensions.get(i).map_or("CAST(NULL AS TEXT)", |dimension| dimension.column);
        sql.push(", ").push(column).push(name);
    }
    sql.push(", CAST(").push(question.metric.column).push(" AS DOUBLE PRECISION) AS v FROM traces t");
    match question.view {
        View::Traces => {}
        View::Spans => {
            sql.push(" JOIN spans s ON s.tid = t.tid");
        }
        View::Assessments => {
            sql.push(" JOIN trace_assessments a ON a.tid = t.tid AND a.valid = TRUE");
        }
    }
    if question.dimensions.contains(&TRACE_NAME) {
        sql.push(" JOIN trace_tags n ON n.tid = t.tid AND n.key = ").bind(tag_key::NAME);
    }
    if sessions {
        sql.push(" JOIN trace_metadata m ON m.tid = t.tid AND m.key = ").bind(metadata_key::SESSION);
    }
    sql.push(" WHERE t.experiment_id IN (");
    sql.bind_list(question.experiment_ids.iter().map(|id| Value::from(*id))).push(")");
    times(sql, question);
    sql.push(" AND ").push(question.metric.column).push(" IS NOT NULL");
    for dimension in &question.dimensions {
        sql.push(" AND ").push(dimension.column).push(" IS NOT NULL");
    }
    for filter in &question.filters {
        sql.push(" AND ");
        self::filter(sql, filter);
    }
}

const SPAN_MS: &str = "(s.start_time_ns / 1000000)";

/// Appends when the interval of a row begins.
fn bucket(sql: &mut Sql, view: View, interval_ms: i64) {
    let time = if view == View::Spans { SPAN_MS } else { "t.timestamp_ms" };
    sql.push(time).push(" - ((").push(time).push(" % ").bind(interval_ms).push(") + ");
    sql.bind(interval_ms).push(") % ").bind(interval_ms);
}

fn times(sql: &mut Sql, question: &Question) {
    // A span's cost is of its own time, all else of its trace's.
    let cost = question.view == View::Spans && question.metric.name.ends_with("_cost");
    let time = if cost { SPAN_MS } else { "t.timestamp_ms" };
    if let Some(start) = question.start_ms {
        sql.push(" AND ").push(time).push(" >= ").bind(start);
    }
    if let Some(end) = question.end_ms {
        sql.push(" AND ").push(time).push(" <= ").bind(end);
    }
}

fn filter(sql: &mut Sql, filter: &Filter) {
    match filter {
        Filter::Status(status) => {
            sql.push("t.state = ").bind(status.as_str());
        }
        Filter::Tag { key, value } => {
            sql.push("EXISTS (SELECT 1 FROM trace_tags g WHERE g.tid = t.tid AND g.key = ")
                .bind(key.as_str());
            sql.push(" AND g.value = ").bind(value.as_str()).push(")");
        }
        Filter::Metadata { key, value } => {
            sql.push("(EXISTS (SELECT 1 FROM trace_metadata g WHERE g.tid = t.tid AND g.key = ");
            sql.bind(key.as_str()).push(" AND g.value = ").bind(value.as_str()).push(")");
            if key == SOURCE_RUN {
                sql.push(
                    " OR EXISTS (SELECT 1 FROM trace_runs l WHERE l.trace_id = t.trace_id AND l.run_id = ",
                );
                sql.bind(value.as_str()).push(")");
            }
            sql.push(")");
        }
        Filter::Span { column, value } => {
            sql.push(match column {
                SpanColumn::Name => "s.name = ",
                SpanColumn::Type => "s.type = ",
                SpanColumn::Status => "s.status = ",
            });
            sql.bind(value.as_str());
        }
        Filter::AssessmentName(name) => {
            sql.push("a.name = ").bind(name.as_str());
        }
        Filter::AssessmentKind(kind) => {
            sql.push("a.kind = ").bind(kind.as_str());
        }
    }
}
