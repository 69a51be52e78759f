//! Summaries of traces: begun, ended, deleted.

use super::{
    Pairs, TraceInfo, TraceState, TracesError, assessments::NewAssessment, limits, metadata_key, read, store,
    tag_key, usage::Tokens,
};
use crate::{
    app::App,
    db::Conn,
    runs::{self, Experiment, location},
};

/// Assessments that a summary may bring.
const ASSESSMENTS_MAX: usize = 1000;
/// Traces that one request may delete by name.
const DELETED_MAX: usize = 10_000;
/// The years that an RFC 3339 time can say.
const TIME_MAX_MS: i64 = 253_402_300_799_999;
const TIME_MIN_MS: i64 = -62_135_596_800_000;

/// A whole summary, as a client sends it when a trace has ended.
#[derive(Debug, Clone)]
pub struct Summary {
    pub trace_id: String,
    pub experiment_id: i64,
    pub timestamp_ms: i64,
    pub execution_time_ms: Option<i64>,
    pub state: TraceState,
    pub client_request_id: Option<String>,
    pub request_preview: Option<String>,
    pub response_preview: Option<String>,
    pub metadata: Pairs,
    pub tags: Pairs,
    pub assessments: Vec<NewAssessment>,
}

/// Keeps a summary. Spans of the trace may be there already, or come later.
pub async fn start(app: &App, mut summary: Summary) -> Result<TraceInfo, TracesError> {
    limits::trace_id(&summary.trace_id)?;
    check_time("request_time", summary.timestamp_ms)?;
    check_time("execution_duration", summary.execution_time_ms.unwrap_or_default())?;
    limits::client_request_id(summary.client_request_id.as_deref().unwrap_or_default())?;
    limits::preview(&mut summary.request_preview);
    limits::preview(&mut summary.response_preview);
    limits::tags(&mut summary.tags)?;
    limits::metadata(&mut summary.metadata)?;
    if summary.assessments.len() > ASSESSMENTS_MAX {
        return Err(TracesError::Invalid(format!(
            "A trace can bring at most {ASSESSMENTS_MAX} assessments."
        )));
    }
    summary.metadata.insert(metadata_key::FINALIZED.to_owned(), "true".to_owned());
    let assessments: Vec<_> = std::mem::take(&mut summary.assessments)
        .into_iter()
        .map(|new| new.checked(app, &summary.trace_id))
        .collect::<Result<_, _>>()?;
    app.db
        .write((summary, assessments), |tx, (summary, assessments)| {
            Box::pin(async move {
                let experiment = runs::active_experiment(tx, summary.experiment_id).await?;
                let tid = write(tx, summary, &experiment).await?;
                for assessment in assessments {
                    // One that the same summary brought before is there already.
                    store::insert_assessment(tx, tid, summary.experiment_id, assessment).await?;
                }
                read::existing(tx, &summary.trace_id).await
            })
        })
        .await
}

fn check_time(what: &str, ms: i64) -> Result<(), TracesError> {
    if (TIME_MIN_MS..=TIME_MAX_MS).contains(&ms) {
        return Ok(());
    }
    Err(TracesError::Invalid(format!("Invalid value {ms} for parameter '{what}' supplied: out of range.")))
}

/// Makes the trace, or completes what its spans said.
async fn write(tx: &mut Conn, summary: &Summary, experiment: &Experiment) -> Result<i64, TracesError> {
    let mut new = row(summary);
    let tid = match store::insert(tx, &new).await? {
        Some(tid) => tid,
        None => {
            let known = store::lock(tx, &summary.trace_id).await?;
            let known = known.ok_or_else(|| TracesError::NoTrace(summary.trace_id.clone()))?;
            if known.experiment_id != summary.experiment_id {
                store::move_to(tx, known.tid, summary.experiment_id).await?;
            }
            new.request_preview = new.request_preview.or(known.request_preview);
            new.response_preview = new.response_preview.or(known.response_preview);
            known.tid
        }
    };
    let mut tags = summary.tags.clone();
    tags.insert(tag_key::ARTIFACT_LOCATION.to_owned(), artifact_location(experiment, &summary.trace_id));
    store::set_tags(tx, tid, summary.experiment_id, &tags).await?;
    store::set_metadata(tx, tid, summary.experiment_id, &summary.metadata).await?;
    let usage = store::metadata_value(tx, tid, metadata_key::TOKEN_USAGE).await?;
    store::update(tx, tid, &new, usage.as_deref().map(Tokens::of).unwrap_or_default()).await?;
    Ok(tid)
}

fn row(summary: &Summary) -> store::NewTrace {
    store::NewTrace {
        trace_id: summary.trace_id.clone(),
        experiment_id: summary.experiment_id,
        timestamp_ms: summary.timestamp_ms,
        execution_time_ms: summary.execution_time_ms,
        state: summary.state,
        client_request_id: summary.client_request_id.clone(),
        request_preview: summary.request_preview.clone(),
        response_preview: summary.response_preview.clone(),
    }
}

/// Where the client of a trace puts its files.
pub fn artifact_location(experiment: &Experiment, trace_id: &str) -> String {
    location::append(&experiment.artifact_location, &format!("traces/{trace_id}/artifacts"))
}

/// Begins a trace as clients before 3.0 do: its id is ours.
pub async fn begin(
    app: &App,
    experiment_id: i64,
    timestamp_ms: i64,
    mut metadata: Pairs,
    mut tags: Pairs,
) -> Result<TraceInfo, TracesError> {
    check_time("timestamp_ms", timestamp_ms)?;
    limits::tags(&mut tags)?;
    limits::metadata(&mut metadata)?;
    let summary = Summary {
        trace_id: app.ids.random().simple().to_string(),
        experiment_id,
        timestamp_ms,
        execution_time_ms: None,
        state: TraceState::InProgress,
        client_request_id: None,
        request_preview: None,
        response_preview: None,
        metadata,
        tags,
        assessments: Vec::new(),
    };
    app.db
        .write(summary, |tx, summary| {
            Box::pin(async move {
                let experiment = runs::active_experiment(tx, summary.experiment_id).await?;
                write(tx, summary, &experiment).await?;
                read::existing(tx, &summary.trace_id).await
            })
        })
        .await
}

/// How a trace ended. What is not said stays as it was.
#[derive(Debug, Clone)]
pub struct End {
    pub trace_id: String,
    pub timestamp_ms: Option<i64>,
    pub state: Option<TraceState>,
    /// Added to what is there.
    pub metadata: Pairs,
    pub tags: Pairs,
}

/// Ends a trace that was begun with [`begin`].
pub async fn end(app: &App, mut end: End) -> Result<TraceInfo, TracesError> {
    end.timestamp_ms.map_or(Ok(()), |timestamp_ms| check_time("timestamp_ms", timestamp_ms))?;
    limits::tags(&mut end.tags)?;
    limits::metadata(&mut end.metadata)?;
    app.db
        .write(end, |tx, end| {
            Box::pin(async move {
                let known = store::lock(tx, &end.trace_id).await?;
                let known = known.ok_or_else(|| TracesError::NoTrace(end.trace_id.clone()))?;
                store::set_tags(tx, known.tid, known.experiment_id, &end.tags).await?;
                store::set_metadata(tx, known.tid, known.experiment_id, &end.metadata).await?;
                let info = read::existing(tx, &end.trace_id).await?;
                let took_ms = end.timestamp_ms.map(|timestamp_ms| timestamp_ms - info.timestamp_ms);
                let new = store::NewTrace {
                    trace_id: info.trace_id,
                    experiment_id: info.experiment_id,
                    timestamp_ms: info.timestamp_ms,
                    execution_time_ms: took_ms.or(info.execution_time_ms),
                    state: end.state.unwrap_or(info.state),
                    client_request_id: info.client_request_id,
                    request_preview: info.request_preview,
                    response_preview: info.response_preview,
                };
                let usage = info.metadata.get(metadata_key::TOKEN_USAGE);
                let tokens = usage.map(|json| Tokens::of(json)).unwrap_or_default();
                store::update(tx, known.tid, &new, tokens).await?;
                read::existing(tx, &end.trace_id).await
            })
        })
        .await
}

/// Deletes traces of an experiment, by name or by age; how many.
pub async fn delete(
    app: &App,
    experiment_id: i64,
    until_ms: Option<i64>,
    limit: Option<i64>,
    trace_ids: Vec<String>,
) -> Result<u64, TracesError> {
    let refuse = |text: &str| Err(TracesError::Invalid(text.to_owned()));
    let selection = match until_ms {
        None if trace_ids.is_empty() => {
            return refuse("Either `max_timestamp_millis` or `trace_ids` must be specified.");
        }
        Some(_) if !trace_ids.is_empty() => {
            return refuse("Only one of `max_timestamp_millis` and `trace_ids` can be specified.");
        }
        None if limit.is_some() => {
            return refuse("`max_traces` can't be specified if `trace_ids` is specified.");
        }
        _ if limit.is_some_and(|limit| limit <= 0) => {
            let limit = limit.unwrap_or_default();
            return refuse(&format!("`max_traces` must be a positive integer, received {limit}."));
        }
        _ if trace_ids.len() > DELETED_MAX => {
            return refuse(&format!("A request can delete at most {DELETED_MAX} traces by their ids."));
        }
        Some(timestamp_ms) => store::Selection::Until { timestamp_ms, limit },
        None => store::Selection::Ids(trace_ids),
    };
    app.db
        .write((experiment_id, selection), |tx, (experiment_id, selection)| {
            Box::pin(async move { Ok(store::delete(tx, *experiment_id, selection).await?) })
        })
        .await
}
