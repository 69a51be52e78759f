use crate::db::{
    Conn, DbError,
    sql::{ROWS_PER_STATEMENT, Sql, Value},
};

/// Links traces, which may still be on their way, to a run.
pub async fn link_runs(tx: &mut Conn, run_id: &str, trace_ids: &[String]) -> Result<(), DbError> {
    for some in trace_ids.chunks(ROWS_PER_STATEMENT) {
        let mut sql = Sql::new(tx.engine(), "INSERT INTO trace_runs (run_id, trace_id) VALUES ");
        sql.bind_rows(some.iter().map(|id| [Value::from(run_id), id.as_str().into()]));
        sql.push(" ON CONFLICT DO NOTHING");
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// Links prompt versions, `name/version`, to a trace.
pub async fn link_prompts(tx: &mut Conn, tid: i64, prompts: &[String]) -> Result<(), DbError> {
    for some in prompts.chunks(ROWS_PER_STATEMENT) {
        let mut sql = Sql::new(tx.engine(), "INSERT INTO trace_prompts (prompt, tid) VALUES ");
        sql.bind_rows(some.iter().map(|prompt| [Value::from(prompt.as_str()), tid.into()]));
        sql.push(" ON CONFLICT DO NOTHING");
        tx.generated(sql).execute().await?;
    }
    Ok(())
}
