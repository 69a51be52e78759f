//! What belongs to traces, read for a whole page of them at once.

use super::assessments;
use crate::{
    db::{
        Conn, DbError,
        packed::{self, Packed, Unpacked},
        sql::{KEYS_PER_STATEMENT, Sql},
    },
    traces::TraceInfo,
};
use std::{collections::HashMap, ops::ControlFlow};

/// What precedes each packed row: the table that it comes from.
const TAG: &str = "t";
const METADATA: &str = "m";
/// Says that the trace has assessments, which have a statement of their own.
const ASSESSED: &str = "a";

/// `traces` with their tags, metadata and assessments.
pub async fn fill(conn: &mut Conn, mut traces: Vec<TraceInfo>) -> Result<Vec<TraceInfo>, DbError> {
    let positions: HashMap<i64, usize> = traces.iter().enumerate().map(|(i, t)| (t.tid, i)).collect();
    let tids: Vec<i64> = traces.iter().map(|trace| trace.tid).collect();
    for some in tids.chunks(KEYS_PER_STATEMENT) {
        let mut assessed = Vec::new();
        let sql = belonging_to(conn, some);
        conn.each_of(sql, some.len(), |(tid, texts): (i64, String)| {
            if let Some(trace) = positions.get(&tid).and_then(|i| traces.get_mut(*i))
                && trace.take(&texts)?
            {
                assessed.push(tid);
            }
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        for (tid, assessment) in assessments::of(conn, &assessed).await? {
            if let Some(trace) = positions.get(&tid).and_then(|i| traces.get_mut(*i)) {
                trace.assessments.push(assessment);
            }
        }
    }
    Ok(traces)
}

impl TraceInfo {
    /// Whether the trace has assessments besides.
    fn take(&mut self, texts: &str) -> Result<bool, DbError> {
        let mut is_assessed = false;
        let mut rest = Unpacked::new(texts);
        while !rest.is_empty() {
            let of = match rest.word()? {
                TAG => &mut self.tags,
                METADATA => &mut self.metadata,
                ASSESSED => {
                    is_assessed = true;
                    continue;
                }
                other => return Err(packed::corrupt(other)),
            };
            of.insert(rest.text()?.to_owned(), rest.text()?.to_owned());
        }
        Ok(is_assessed)
    }
}

/// One statement for all tables; of assessments it only tells which traces have some.
fn belonging_to(conn: &Conn, tids: &[i64]) -> Sql {
    let pair = |of| [Packed::Word(of), Packed::Text("c.key"), Packed::Text("c.value")];
    let mut sql = Sql::new(conn.engine(), "WITH page (tid) AS MATERIALIZED (");
    sql.bind_keys(tids).push(") SELECT page.tid, ");
    sql.pack(&pair(TAG), " FROM trace_tags c WHERE c.tid = page.tid").push(" || ");
    sql.pack(&pair(METADATA), " FROM trace_metadata c WHERE c.tid = page.tid").push(" || ");
    sql.pack(&[Packed::Word(ASSESSED)], " FROM trace_assessments c WHERE c.tid = page.tid");
    sql.push(" FROM page");
    sql
}
