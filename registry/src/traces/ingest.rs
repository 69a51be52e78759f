//! Spans that arrive, and what they tell of their traces.

use super::{
    Pairs, TraceState, TracesError, lifecycle, limits, links, metadata_key,
    otlp::Received,
    preview,
    span::{Span, SpanStatus, key},
    spans_location, store, tag_key, translate,
    usage::{self, COST_KEYS, Tokens},
    value::Value,
};
use crate::{
    app::App,
    db::Conn,
    runs::{self, KeyValue, RunsError},
};
use std::collections::{BTreeMap, HashMap};

/// The ids of traces whose roots have arrived: those that a run may be linked to.
pub async fn log_spans(
    app: &App,
    experiment_id: i64,
    received: Vec<Received>,
) -> Result<Vec<String>, TracesError> {
    let traces = by_trace(received)?;
    let complete = traces.iter().filter(|trace| trace.has_root).map(|trace| trace.trace_id.clone()).collect();
    if traces.is_empty() {
        return Ok(complete);
    }
    app.db
        .write((experiment_id, traces), |tx, (experiment_id, traces)| {
            Box::pin(async move {
                for trace in traces {
                    write(tx, *experiment_id, trace).await?;
                }
                Ok::<_, TracesError>(())
            })
        })
        .await?;
    Ok(complete)
}

/// Links traces that have just arrived to a run. The spans are kept whatever comes of it.
pub async fn link(app: &App, mut trace_ids: Vec<String>, run_id: &str) -> Result<(), TracesError> {
    while !trace_ids.is_empty() {
        let rest = trace_ids.split_off(trace_ids.len().min(100));
        links::traces_to_run(app, trace_ids, run_id.to_owned()).await?;
        trace_ids = rest;
    }
    Ok(())
}

/// What one request says of one trace.
#[derive(Debug)]
struct Batch {
    trace_id: String,
    spans: Vec<store::SpanRow>,
    /// Where each span is in `spans`: one that comes twice counts once.
    positions: HashMap<[u8; 8], usize>,
    has_root: bool,
    start_ms: i64,
    end_ms: Option<i64>,
    root_state: Option<TraceState>,
    request_preview: Option<String>,
    response_preview: Option<String>,
    session: Option<String>,
    user: Option<String>,
    /// Of the resource, then of the root span, which count more.
    tags: Pairs,
}

/// The spans by their trace, in the order of ids: changes of several traces lock them alike.
fn by_trace(received: Vec<Received>) -> Result<Vec<Batch>, TracesError> {
    let mut batches: BTreeMap<String, Batch> = BTreeMap::new();
    for Received { resource, spans } in received {
        let tool = known_tool(&resource);
        for mut span in spans {
            if let (Some(tool), None) = (&tool, span.parent) {
                span.set_attribute(SERVICE_NAME, tool);
            }
            translate::translate(&mut span);
            let trace_id = span.trace_id();
            span.set_attribute(key::REQUEST_ID, &trace_id.as_str().into());
            let batch = batches.entry(trace_id.clone()).or_insert_with(|| Batch::new(trace_id, &resource));
            batch.add(&span)?;
        }
    }
    Ok(batches.into_values().collect())
}

impl Batch {
    fn new(trace_id: String, resource: &[(String, Value)]) -> Self {
        Self {
            trace_id,
            spans: Vec::new(),
            positions: HashMap::new(),
            has_root: false,
            start_ms: i64::MAX,
            end_ms: None,
            root_state: None,
            request_preview: None,
            response_preview: None,
            session: None,
            user: None,
            tags: resource_tags(resource),
        }
    }

    fn add(&mut self, span: &Span) -> Result<(), TracesError> {
        if span.name.contains('\0') {
            return Err(TracesError::Invalid("The name of a span contains the character U+0000.".to_owned()));
        }
        self.start_ms = self.start_ms.min(span.start_time_ns / 1_000_000);
        if span.end_time_ns != 0 {
            self.end_ms = self.end_ms.max(Some(span.end_time_ns / 1_000_000));
        }
        if self.session.is_none() {
            // One that there is counts, though it may say nothing.
            let mut keys = ["session.id", "gen_ai.conversation.id"].into_iter();
            let key = keys.find(|key| span.attribute_json(key).is_some());
            self.session = key.and_then(|key| said(span, key)).and_then(limits::session);
        }
        self.user = self.user.take().or_else(|| said(span, "user.id"));
        if span.parent.is_none() {
            self.add_root(span);
        }
        let position = *self.positions.entry(span.id).or_insert(self.spans.len());
        match self.spans.get_mut(position) {
            Some(earlier) => *earlier = row(span),
            None => self.spans.push(row(span)),
        }
        Ok(())
    }

    fn add_root(&mut self, root: &Span) {
        self.has_root = true;
        let state = if root.status == SpanStatus::Error { TraceState::Error } else { TraceState::Ok };
        self.root_state = self.root_state.or(Some(state));
        let of = |name, role| root.attribute_json(name).map(|json| without_nul(&preview::of(json, role)));
        self.request_preview = of(key::INPUTS, "user").or(self.request_preview.take());
        self.response_preview = of(key::OUTPUTS, "assistant").or(self.response_preview.take());
        for (name, json) in &root.attributes {
            let Some(tag) = name.strip_prefix(key::TRACE_TAG_PREFIX) else {
                continue;
            };
            let value = match Value::parse(json) {
                Some(Value::Text(text)) => text,
                _ => json.clone(),
            };
            insert_tag(&mut self.tags, tag, &value);
        }
    }
}

/// Text of an attribute that says something.
fn said(span: &Span, key: &str) -> Option<String> {
    match span.attribute(key)? {
        Value::Text(text) if text.is_empty() => None,
        Value::Text(text) => Some(without_nul(&text)),
        Value::Null => None,
        _ => span.attribute_json(key).map(without_nul),
    }
}

/// PostgreSQL keeps no NUL in text.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// What the source of spans says of itself; not of its SDK, and nothing that only MLflow says.
fn resource_tags(resource: &[(String, Value)]) -> Pairs {
    let mut tags = Pairs::new();
    for (name, value) in resource {
        if !name.starts_with("telemetry.sdk.") && !name.starts_with("mlflow.") {
            let text = value.as_text().map_or_else(|| value.to_json(), str::to_owned);
            insert_tag(&mut tags, name, &text);
        }
    }
    tags
}

const SERVICE_NAME: &str = "service.name";

/// Tools whose name MLflow keeps at the root span (`_KNOWN_SERVICE_NAMES` in mlflow/server/otel_api.py).
const KNOWN_TOOLS: &[&str] = &["claude-code", "codex_cli_rs", "codex_vscode", "gemini-cli", "qwen-code"];

fn known_tool(resource: &[(String, Value)]) -> Option<Value> {
    let (_, name) = resource.iter().find(|(key, _)| key == SERVICE_NAME)?;
    KNOWN_TOOLS.contains(&name.as_text()?).then(|| name.clone())
}

/// Tags that no request could set are left out.
fn insert_tag(tags: &mut Pairs, name: &str, value: &str) {
    let mut tag = KeyValue { key: name.to_owned(), value: without_nul(value) };
    if limits::tag(&mut tag).is_ok() {
        tags.insert(tag.key, tag.value);
    }
}

/// A span as it is kept.
pub fn row(span: &Span) -> store::SpanRow {
    let text = |name| span.attribute_text(name).map(|text| without_nul(&text));
    let dimension = |name| text(name).map(|text| text.chars().take(limits::MODEL_MAX).collect());
    // Both may be an object, or text that holds one.
    let object = |name| match span.attribute(name)? {
        Value::Text(text) => Value::parse(&text).filter(|value| matches!(value, Value::Map(_))),
        value @ Value::Map(_) => Some(value),
        _ => None,
    };
    let cost = object(key::COST);
    let part = |name| cost.as_ref()?.get(name)?.as_f64().filter(|cost: &f64| cost.is_finite());
    store::SpanRow {
        span_id: span.span_id(),
        parent_span_id: span.parent.map(hex::encode),
        name: span.name.clone(),
        kind: text(key::SPAN_TYPE).unwrap_or_else(|| "UNKNOWN".to_owned()),
        status: span.status.as_str(),
        start_time_ns: span.start_time_ns,
        end_time_ns: span.end_time_ns,
        content: span.content(),
        usage_json: object(key::USAGE).map(|value| value.to_json()),
        costs: COST_KEYS.map(part),
        cost_json: cost.map(|value| value.to_json()),
        model_name: dimension(key::MODEL),
        model_provider: dimension(key::PROVIDER),
    }
}

async fn write(tx: &mut Conn, experiment_id: i64, batch: &Batch) -> Result<(), TracesError> {
    let known = match store::lock(tx, &batch.trace_id).await? {
        Some(known) => known,
        None => create(tx, experiment_id, batch).await?,
    };
    let (tid, experiment_id) = (known.tid, known.experiment_id);
    store::upsert_spans(tx, tid, experiment_id, &batch.spans).await?;

    let finalized = store::metadata_value(tx, tid, metadata_key::FINALIZED).await?.is_some();
    let mut metadata = sums(tx, tid, batch, finalized).await?;
    for (key, value) in [(metadata_key::SESSION, &batch.session), (metadata_key::USER, &batch.user)] {
        if let Some(value) = value
            && store::metadata_value(tx, tid, key).await?.is_none()
        {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    store::set_metadata(tx, tid, experiment_id, &metadata).await?;
    let mut tags = batch.tags.clone();
    tags.insert(tag_key::SPANS_LOCATION.to_owned(), spans_location::TRACKING_STORE.to_owned());
    store::set_tags(tx, tid, experiment_id, &tags).await?;

    let usage = store::metadata_value(tx, tid, metadata_key::TOKEN_USAGE).await?;
    let new = merged(batch, known, finalized);
    Ok(store::update(tx, tid, &new, usage.as_deref().map(Tokens::of).unwrap_or_default()).await?)
}

async fn create(tx: &mut Conn, experiment_id: i64, batch: &Batch) -> Result<store::TraceRow, TracesError> {
    let experiment = runs::store::experiment(tx, experiment_id).await?;
    let experiment = experiment.ok_or(RunsError::NoExperiment(experiment_id))?;
    let new = store::NewTrace {
        trace_id: batch.trace_id.clone(),
        experiment_id,
        timestamp_ms: batch.start_ms,
        execution_time_ms: None,
        state: TraceState::InProgress,
        client_request_id: None,
        request_preview: None,
        response_preview: None,
    };
    let made = store::insert(tx, &new).await?;
    let trace = store::lock(tx, &batch.trace_id).await?;
    let trace = trace.ok_or_else(|| TracesError::NoTrace(batch.trace_id.clone()))?;
    // Another request may have made it meanwhile.
    if made.is_some() {
        let place = lifecycle::artifact_location(&experiment, &batch.trace_id);
        let tags = Pairs::from([(tag_key::ARTIFACT_LOCATION.to_owned(), place)]);
        store::set_tags(tx, trace.tid, experiment_id, &tags).await?;
    }
    Ok(trace)
}

/// Usage and cost over all spans of the trace, where this batch adds to them. What the summary said
/// stays.
async fn sums(tx: &mut Conn, tid: i64, batch: &Batch, finalized: bool) -> Result<Pairs, TracesError> {
    let mut sums = Pairs::new();
    let says_usage = batch.spans.iter().any(|span| span.usage_json.is_some());
    let says_cost = batch.spans.iter().any(|span| span.cost_json.is_some());
    if !says_usage && !says_cost {
        return Ok(sums);
    }
    let (usage_nodes, cost_nodes) = store::nodes(tx, tid).await?;
    for (key, sum) in [
        (metadata_key::TOKEN_USAGE, says_usage.then(|| usage::tokens(&usage_nodes)).flatten()),
        (metadata_key::COST, says_cost.then(|| usage::cost(&cost_nodes)).flatten()),
    ] {
        let said = finalized && store::metadata_value(tx, tid, key).await?.is_some();
        if let Some(sum) = sum
            && !said
        {
            sums.insert(key.to_owned(), sum);
        }
    }
    Ok(sums)
}

/// The trace's row after the batch.
fn merged(batch: &Batch, known: store::TraceRow, finalized: bool) -> store::NewTrace {
    let (mut timestamp_ms, mut execution_time_ms) = (known.timestamp_ms, known.execution_time_ms);
    if !finalized {
        let known_end = execution_time_ms.map(|took| known.timestamp_ms.saturating_add(took));
        timestamp_ms = timestamp_ms.min(batch.start_ms);
        execution_time_ms = known_end.max(batch.end_ms).map(|end| end.saturating_sub(timestamp_ms));
    }
    let open = matches!(known.state, TraceState::InProgress | TraceState::Unspecified);
    store::NewTrace {
        trace_id: batch.trace_id.clone(),
        experiment_id: known.experiment_id,
        timestamp_ms,
        execution_time_ms,
        state: batch.root_state.filter(|_| open).unwrap_or(known.state),
        client_request_id: known.client_request_id,
        request_preview: known.request_preview.or_else(|| batch.request_preview.clone()),
        response_preview: known.response_preview.or_else(|| batch.response_preview.clone()),
    }
}
