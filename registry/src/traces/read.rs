//! Traces, found and read.

use super::{
    Trace, TraceInfo, TracesError, metadata_key, span::Span, spans_location, store, tag_key, value::Value,
};
use crate::{
    app::App,
    db::Conn,
    search::{Page, Position, Query},
};
use std::{collections::HashMap, time::Duration};

/// Traces that one request may name.
const TRACES_MAX: usize = 500;

/// A trace without its spans.
pub async fn info(app: &App, trace_id: &str) -> Result<TraceInfo, TracesError> {
    existing(&mut app.db.read().await?, trace_id).await
}

pub(super) async fn existing(conn: &mut Conn, trace_id: &str) -> Result<TraceInfo, TracesError> {
    store::get(conn, trace_id).await?.ok_or_else(|| TracesError::NoTrace(trace_id.to_owned()))
}

/// A page of traces without their spans.
pub async fn search(
    app: &App,
    query: &Query,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<TraceInfo>, TracesError> {
    let mut conn = app.db.search_snapshot().await?;
    Ok(store::search(&mut conn, query, position, limit).await?)
}

/// Those of these traces that are there, in the order asked for, without their spans.
pub async fn infos(
    app: &App,
    trace_ids: Vec<String>,
    experiment_ids: Option<Vec<i64>>,
) -> Result<Vec<TraceInfo>, TracesError> {
    check_count(trace_ids.len())?;
    let mut conn = app.db.snapshot().await?;
    Ok(store::infos(&mut conn, &trace_ids, experiment_ids.as_deref()).await?)
}

fn check_count(count: usize) -> Result<(), TracesError> {
    if count > TRACES_MAX {
        let text = format!("A request can name at most {TRACES_MAX} traces. Got {count}.");
        return Err(TracesError::Invalid(text));
    }
    Ok(())
}

/// A trace with its spans. Spans that are announced and not there yet are awaited for a moment, unless
/// `partial` ones will do.
pub async fn get(app: &App, trace_id: &str, partial: bool) -> Result<Trace, TracesError> {
    for wait_ms in [1000, 2000, 0] {
        let trace = with_spans(app, trace_id).await?;
        if partial || is_complete(&trace) {
            return Ok(trace);
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
    Err(TracesError::NotExported(trace_id.to_owned()))
}

async fn with_spans(app: &App, trace_id: &str) -> Result<Trace, TracesError> {
    let mut conn = app.db.snapshot().await?;
    let info = store::get(&mut conn, trace_id).await?;
    let info = info.ok_or_else(|| TracesError::NoTraceToGet(trace_id.to_owned()))?;
    if !is_stored(&info) {
        return Err(TracesError::NoSpans);
    }
    let contents = store::contents(&mut conn, &[info.tid]).await?;
    let spans = contents.iter().map(|(_, content)| Span::from_content(content)).collect::<Result<_, _>>()?;
    Ok(Trace { info, spans })
}

/// Whether the spans lie in the database.
pub(super) fn is_stored(info: &TraceInfo) -> bool {
    info.tags.get(tag_key::SPANS_LOCATION).is_some_and(|place| place == spans_location::TRACKING_STORE)
}

/// Whether all spans that the summary announces are there.
fn is_complete(trace: &Trace) -> bool {
    let announced = trace.info.metadata.get(metadata_key::SIZE_STATS).and_then(|stats| Value::parse(stats));
    let count = announced.and_then(|stats| stats.get("num_spans")?.as_i64()).unwrap_or_default();
    !trace.spans.is_empty() && trace.spans.len() as i64 >= count
}

/// Those of these traces that are there and complete, with their spans, in the order asked for.
pub async fn many(
    app: &App,
    trace_ids: Vec<String>,
    experiment_ids: Option<Vec<i64>>,
) -> Result<Vec<Trace>, TracesError> {
    check_count(trace_ids.len())?;
    let mut conn = app.db.snapshot().await?;
    let infos = store::infos(&mut conn, &trace_ids, experiment_ids.as_deref()).await?;
    if infos.iter().any(|info| !is_stored(info)) {
        return Err(TracesError::NoSpans);
    }
    let tids: Vec<i64> = infos.iter().map(|info| info.tid).collect();
    let mut spans: HashMap<i64, Vec<Span>> = HashMap::new();
    for (tid, content) in store::contents(&mut conn, &tids).await? {
        spans.entry(tid).or_default().push(Span::from_content(&content)?);
    }
    let traces = infos.into_iter().map(|info| {
        let spans = spans.remove(&info.tid).unwrap_or_default();
        Trace { info, spans }
    });
    Ok(traces.filter(is_complete).collect())
}
