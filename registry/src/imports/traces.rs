//! Traces under their own ids, with what was said about them, and their spans.

use super::{
    ImportsError,
    batch::{Bringing, outcome},
    check, experiments,
};
use crate::{
    db::Conn,
    runs::{location, validate},
    traces::{
        Pairs, TraceState,
        assessments::{Assessment, AssessmentError, Kind, SourceType},
        ingest, lifecycle, limits, metadata_key,
        span::Span,
        spans_location, store, tag_key,
        usage::Tokens,
    },
};
use std::collections::HashSet;
use waybill_client::api::{
    ImportAssessment, ImportOutcome, ImportResult, ImportSpans, ImportTrace, ImportedKind,
};

/// Longest preview in characters; MLflow keeps 1,000.
const PREVIEW_MAX: usize = 100_000;
/// Runs, prompts and assessments of one trace.
const BELONGINGS_MAX: usize = 10_000;
const PROMPT_MAX: usize = 500;
/// Of an assessment's and a span's id.
const ID_MAX: usize = 50;

/// Writes a trace with all but its spans.
pub async fn write(
    tx: &mut Conn,
    bringing: &Bringing,
    brought: &ImportTrace,
) -> Result<ImportOutcome, ImportsError> {
    let state = check(brought)?;
    let assessments: Vec<Assessment> =
        brought.assessments.iter().map(|said| assessment(&brought.id, said)).collect::<Result<_, _>>()?;
    let mut tags = brought.tags.clone();
    if let Some(place) = tags.get_mut(tag_key::ARTIFACT_LOCATION) {
        *place = location::check_kept(place)?;
    }
    let here = here_already(tx, brought).await?;
    let mark = bringing.mark_of(tx, ImportedKind::Trace, &brought.id).await?;
    let found = store::lock(tx, &brought.id).await?;
    let (tid, experiment_id, result) = match (mark, found) {
        (Some(_), Some(found)) => (found.tid, found.experiment_id, ImportResult::Updated),
        (None, Some(_)) => return Err(ImportsError::Taken { what: "trace", id: brought.id.clone() }),
        (_, None) => {
            let experiment = experiments::of(tx, bringing, &brought.experiment_id).await?;
            tags.entry(tag_key::ARTIFACT_LOCATION.to_owned())
                .or_insert_with(|| lifecycle::artifact_location(&experiment, &brought.id));
            let new = row(brought, experiment.experiment_id, state);
            let taken = || ImportsError::Taken { what: "trace", id: brought.id.clone() };
            let tid = store::insert(tx, &new).await?.ok_or_else(taken)?;
            (tid, experiment.experiment_id, ImportResult::Created)
        }
    };
    let tokens = brought.metadata.get(metadata_key::TOKEN_USAGE).map(|json| Tokens::of(json));
    store::update(tx, tid, &row(brought, experiment_id, state), tokens.unwrap_or_default()).await?;
    store::set_tags(tx, tid, experiment_id, &tags).await?;
    store::set_metadata(tx, tid, experiment_id, &brought.metadata).await?;
    for said in &assessments {
        if here.contains(&said.assessment_id) {
            store::update_assessment(tx, said).await?;
        } else {
            store::insert_assessment(tx, tid, experiment_id, said).await?;
        }
    }
    for run_id in &brought.runs {
        store::link_runs(tx, run_id, std::slice::from_ref(&brought.id)).await?;
    }
    store::link_prompts(tx, tid, &brought.prompts).await?;
    bringing.begin(tx, ImportedKind::Trace, &brought.id, &brought.id).await?;
    Ok(outcome(result, &brought.id))
}

/// The assessments that the trace has already; those become what they are at the source. An id that
/// another trace uses is refused before anything is written.
async fn here_already(tx: &mut Conn, brought: &ImportTrace) -> Result<HashSet<String>, ImportsError> {
    let ids: Vec<&str> = brought.assessments.iter().map(|said| said.id.as_str()).collect();
    let mut here = HashSet::new();
    for (id, trace_id) in store::traces_of_assessments(tx, &ids).await? {
        if trace_id != brought.id {
            return Err(ImportsError::Taken { what: "assessment", id });
        }
        here.insert(id);
    }
    Ok(here)
}

fn row(brought: &ImportTrace, experiment_id: i64, state: TraceState) -> store::NewTrace {
    store::NewTrace {
        trace_id: brought.id.clone(),
        experiment_id,
        timestamp_ms: brought.timestamp_ms,
        execution_time_ms: brought.execution_time_ms,
        state,
        client_request_id: brought.client_request_id.clone(),
        request_preview: brought.request_preview.clone(),
        response_preview: brought.response_preview.clone(),
    }
}

fn check(brought: &ImportTrace) -> Result<TraceState, ImportsError> {
    limits::trace_id(&brought.id)?;
    check::time("timestamp_ms", brought.timestamp_ms)?;
    if brought.execution_time_ms.unwrap_or_default().checked_add(brought.timestamp_ms).is_none() {
        return Err(ImportsError::invalid("execution_time_ms", "the trace would never end"));
    }
    let client_request_id = brought.client_request_id.as_deref().unwrap_or_default();
    limits::client_request_id(client_request_id)?;
    check::text("client_request_id", client_request_id)?;
    for (field, text) in
        [("request_preview", &brought.request_preview), ("response_preview", &brought.response_preview)]
    {
        check::short(field, text.as_deref().unwrap_or_default(), PREVIEW_MAX)?;
    }
    for (field, pairs) in [("metadata", &brought.metadata), ("tags", &brought.tags)] {
        check_pairs(field, pairs)?;
    }
    if let Some(place) = brought.tags.get(tag_key::SPANS_LOCATION)
        && ![spans_location::TRACKING_STORE, spans_location::ARTIFACT_REPO].contains(&place.as_str())
    {
        let shown: String = place.chars().take(50).collect();
        let detail = format!(
            "{} is {shown:?}; expected {} or {}",
            tag_key::SPANS_LOCATION,
            spans_location::TRACKING_STORE,
            spans_location::ARTIFACT_REPO
        );
        return Err(ImportsError::invalid("tags", detail));
    }
    for (field, count) in [
        ("assessments", brought.assessments.len()),
        ("runs", brought.runs.len()),
        ("prompts", brought.prompts.len()),
    ] {
        if count > BELONGINGS_MAX {
            let detail = format!("there are {count}; at most {BELONGINGS_MAX} are taken");
            return Err(ImportsError::invalid(field, detail));
        }
    }
    brought.runs.iter().try_for_each(|run_id| validate::run_id(run_id))?;
    brought.prompts.iter().try_for_each(|prompt| check::short("prompts", prompt, PROMPT_MAX))?;
    TraceState::parse(&brought.state).ok_or_else(|| {
        let expected = TraceState::ALL.map(TraceState::as_str);
        one_of("state", &brought.state, &expected)
    })
}

/// Traces have no rule for names of tags: OpenTelemetry's may hold anything.
fn check_pairs(field: &'static str, pairs: &Pairs) -> Result<(), ImportsError> {
    for (key, value) in pairs {
        check::short(field, key, limits::KEY_MAX)?;
        check::short(field, value, validate::UNNAMED_VALUE_MAX)?;
    }
    Ok(())
}

fn one_of(field: &'static str, value: &str, expected: &[&str]) -> ImportsError {
    let shown: String = value.chars().take(50).collect();
    ImportsError::invalid(field, format!("it is {shown:?}; expected one of {}", expected.join(", ")))
}

fn assessment(trace_id: &str, said: &ImportAssessment) -> Result<Assessment, ImportsError> {
    check::id("assessments.id", &said.id)?;
    for (field, text, max) in [
        ("assessments.id", Some(&said.id), ID_MAX),
        ("assessments.name", Some(&said.name), limits::ASSESSMENT_NAME_MAX),
        ("assessments.source_id", said.source_id.as_ref(), limits::SOURCE_ID_MAX),
        ("assessments.span_id", said.span_id.as_ref(), ID_MAX),
        ("assessments.overrides", said.overrides.as_ref(), ID_MAX),
        ("assessments.rationale", said.rationale.as_ref(), limits::RATIONALE_MAX),
    ] {
        check::short(field, text.map_or("", String::as_str), max)?;
    }
    check_pairs("assessments.metadata", &said.metadata)?;
    check::time("assessments.created_at_ms", said.created_at_ms)?;
    check::time("assessments.updated_at_ms", said.updated_at_ms)?;
    let kinds = [Kind::Feedback, Kind::Expectation, Kind::Issue].map(Kind::as_str);
    let sources = SourceType::ALL.map(SourceType::as_str);
    let error = said.error.clone().map(serde_json::from_value::<AssessmentError>).transpose();
    let error = error.map_err(|error| ImportsError::invalid("assessments.error", error.to_string()))?;
    let assessment = Assessment {
        assessment_id: said.id.clone(),
        trace_id: trace_id.to_owned(),
        kind: Kind::parse(&said.kind).ok_or_else(|| one_of("assessments.kind", &said.kind, &kinds))?,
        name: said.name.clone(),
        value: said.value.clone(),
        error,
        source_type: SourceType::parse(&said.source_type)
            .ok_or_else(|| one_of("assessments.source_type", &said.source_type, &sources))?,
        source_id: said.source_id.clone(),
        span_id: said.span_id.clone(),
        rationale: said.rationale.clone(),
        metadata: said.metadata.clone(),
        overrides: said.overrides.clone(),
        valid: said.valid,
        created_at_ms: said.created_at_ms,
        updated_at_ms: said.updated_at_ms,
    };
    check::short("assessments.value", &assessment.value_json(), limits::VALUE_JSON_MAX)?;
    Ok(assessment)
}

/// Writes spans of a trace that is here; those of the same ids are replaced.
pub async fn spans(
    tx: &mut Conn,
    bringing: &Bringing,
    brought: &ImportSpans,
) -> Result<ImportOutcome, ImportsError> {
    let mut rows = Vec::with_capacity(brought.spans.len());
    let mut ids = HashSet::new();
    for (at, content) in brought.spans.iter().enumerate() {
        let invalid = |detail: &str| ImportsError::invalid("spans", format!("[{at}]: {detail}"));
        let span = Span::from_content(content)
            .map_err(|_| invalid("it is not a span as MLflow 3 writes it in a traces.json"))?;
        if span.name.contains('\0') {
            return Err(invalid("its name contains a NUL character"));
        }
        if !ids.insert(span.id) {
            return Err(invalid(&format!("its id {} comes twice", span.span_id())));
        }
        rows.push(ingest::row(&span));
    }
    check::id("trace_id", &brought.trace_id)?;
    let missing = || ImportsError::NotImported { what: "trace", id: brought.trace_id.clone() };
    bringing.mark_of(tx, ImportedKind::Trace, &brought.trace_id).await?.ok_or_else(missing)?;
    let trace = store::lock(tx, &brought.trace_id).await?.ok_or_else(missing)?;
    store::upsert_spans(tx, trace.tid, trace.experiment_id, &rows).await?;
    Ok(outcome(ImportResult::Updated, &brought.trace_id))
}
