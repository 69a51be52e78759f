//! What belongs to traces, read for a whole page of them at once.

use super::assessments;
use crate::{
    db::{
        Conn, DbError,
        sql::{KEYS_PER_STATEMENT, Sql, Value},
    },
    traces::TraceInfo,
};
use std::collections::HashMap;

/// Which table a row of the page's statement comes from.
const TAG: i64 = 0;
const METADATA: i64 = 1;

/// `traces` with their tags, metadata and assessments.
pub async fn fill(conn: &mut Conn, mut traces: Vec<TraceInfo>) -> Result<Vec<TraceInfo>, DbError> {
    let positions: HashMap<i64, usize> = traces.iter().enumerate().map(|(i, t)| (t.tid, i)).collect();
    let tids: Vec<i64> = traces.iter().map(|trace| trace.tid).collect();
    for some in tids.chunks(KEYS_PER_STATEMENT) {
        let mut assessed = Vec::new();
        for (tid, kind, key, value) in rows(conn, some).await? {
            let Some(trace) = positions.get(&tid).and_then(|i| traces.get_mut(*i)) else {
                continue;
            };
            match kind {
                TAG => {
                    trace.tags.insert(key, value);
                }
                METADATA => {
                    trace.metadata.insert(key, value);
                }
                _ => assessed.push(tid),
            }
        }
        for (tid, assessment) in assessments::of(conn, &assessed).await? {
            if let Some(trace) = positions.get(&tid).and_then(|i| traces.get_mut(*i)) {
                trace.assessments.push(assessment);
            }
        }
    }
    Ok(traces)
}

/// One statement for all tables; of assessments it only tells which traces have some.
async fn rows(conn: &mut Conn, tids: &[i64]) -> Result<Vec<(i64, i64, String, String)>, DbError> {
    let mut sql = Sql::new(conn.engine(), "WITH page (tid) AS (VALUES ");
    sql.bind_rows(tids.iter().map(|tid| [Value::from(*tid)]));
    sql.push(
        ") SELECT g.tid, CAST(0 AS BIGINT) AS kind, g.key, g.value
             FROM page JOIN trace_tags g ON g.tid = page.tid
         UNION ALL SELECT m.tid, 1, m.key, m.value FROM page JOIN trace_metadata m ON m.tid = page.tid
         UNION ALL SELECT page.tid, 2, '', ''
             FROM page WHERE EXISTS (SELECT 1 FROM trace_assessments a WHERE a.tid = page.tid)",
    );
    conn.generated(sql).all().await
}
