//! Traces, through MLflow's REST API.

use super::{Answer, Refused, Rest, page, path, read, refusal, without_null};
use crate::commands::import::{
    error::SourceError,
    model::{Page, SourceTrace, sort_assessments},
    trace,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use waybill_client::api::{ImportAssessment, ImportTrace};

const ROWS: usize = 200;
/// Of versions before 3.
const OLD_ROWS: &str = "100";
/// Experiments that one search asks for.
const EXPERIMENTS: usize = 500;
const SEARCH: [&str; 5] = ["api", "3.0", "mlflow", "traces", "search"];

impl Rest {
    pub async fn traces(
        &self,
        experiment_id: &str,
        token: Option<&str>,
    ) -> Result<Page<SourceTrace>, SourceError> {
        let mut body = located(&[experiment_id]);
        body["max_results"] = json!(ROWS);
        // A trace that comes meanwhile is the last then, and moves no other to another page.
        body["order_by"] = json!(["timestamp_ms ASC"]);
        body["page_token"] = json!(token);
        match self.http.search(&SEARCH, &without_null(body)).await? {
            Answer::Json(answer) => Ok(page(&answer, "traces", trace_3)),
            Answer::Refused(Refused { status: 404 | 405, .. }) => {
                self.traces_of_version_2(experiment_id, token).await
            }
            Answer::Refused(refused) => Err(refusal(&["traces", "search"], &refused)),
        }
    }

    /// A server that does not know traces has none.
    async fn traces_of_version_2(
        &self,
        experiment_id: &str,
        token: Option<&str>,
    ) -> Result<Page<SourceTrace>, SourceError> {
        let mut query = vec![("experiment_ids", experiment_id), ("max_results", OLD_ROWS)];
        query.push(("order_by", "timestamp_ms ASC"));
        if let Some(token) = token {
            query.push(("page_token", token));
        }
        match self.http.get(&path(&["traces"]), &query).await? {
            Answer::Json(answer) => Ok(page(&answer, "traces", trace_2)),
            Answer::Refused(Refused { status: 404 | 405, .. }) => Ok(Page { rows: Vec::new(), next: None }),
            Answer::Refused(refused) => Err(refusal(&["traces"], &refused)),
        }
    }

    /// Which runs traces were linked to, by trace. The API tells the traces of a run, and never the
    /// runs of a trace.
    pub async fn links_of_traces(
        &self,
        experiment_ids: &[&str],
        run_ids: &[String],
    ) -> Result<HashMap<String, Vec<String>>, SourceError> {
        let mut links: HashMap<String, Vec<String>> = HashMap::new();
        let mut traced = Vec::new();
        for id in experiment_ids {
            if self.has_traces(id).await? {
                traced.push(*id);
            }
        }
        for some in traced.chunks(EXPERIMENTS) {
            for run_id in run_ids {
                self.traces_of_run(some, run_id, &mut links).await?;
            }
        }
        Ok(links)
    }

    async fn has_traces(&self, experiment_id: &str) -> Result<bool, SourceError> {
        let mut body = located(&[experiment_id]);
        body["max_results"] = json!(1);
        Ok(match self.http.search(&SEARCH, &body).await? {
            Answer::Json(answer) => !read::list(&answer, "traces").is_empty(),
            Answer::Refused(Refused { status: 404 | 405, .. }) => false,
            Answer::Refused(refused) => return Err(refusal(&["traces", "search"], &refused)),
        })
    }

    /// Adds the traces that were linked to a run. Those that it made say so themselves.
    async fn traces_of_run(
        &self,
        experiment_ids: &[&str],
        run_id: &str,
        links: &mut HashMap<String, Vec<String>>,
    ) -> Result<(), SourceError> {
        let mut token: Option<String> = None;
        loop {
            let mut body = located(experiment_ids);
            body["filter"] = json!(format!("run_id = '{run_id}'"));
            body["max_results"] = json!(ROWS);
            body["page_token"] = json!(token);
            let found = match self.http.search(&SEARCH, &without_null(body)).await? {
                Answer::Json(answer) => page(&answer, "traces", trace_3),
                Answer::Refused(refused) => return Err(refusal(&["traces", "search"], &refused)),
            };
            for SourceTrace { trace, .. } in found.rows {
                if trace.metadata.get(trace::SOURCE_RUN).is_none_or(|made_by| made_by != run_id) {
                    links.entry(trace.id).or_default().push(run_id.to_owned());
                }
            }
            token = found.next;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// The spans of a trace, which the server reads from where it has them.
    pub async fn spans(&self, trace_id: &str) -> Result<Vec<String>, SourceError> {
        let file = self.http.file(&trace::ARTIFACT, &[("request_id", trace_id)]).await?;
        let text = String::from_utf8(file).map_err(|_| bad_spans())?;
        trace::cut_spans(&text).ok_or_else(bad_spans)
    }
}

fn bad_spans() -> SourceError {
    SourceError::Object("MLflow gave something other than spans for it".to_owned())
}

fn located(experiment_ids: &[&str]) -> Value {
    let location =
        |id: &&str| json!({ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": id } });
    json!({ "locations": experiment_ids.iter().map(location).collect::<Vec<_>>() })
}

fn trace_3(value: &Value) -> SourceTrace {
    let nothing = Value::Null;
    let experiment = value.get("trace_location").and_then(|location| location.get("mlflow_experiment"));
    let id = read::text(value, "trace_id");
    finished(ImportTrace {
        experiment_id: read::text(experiment.unwrap_or(&nothing), "experiment_id"),
        timestamp_ms: time_ms(value, "request_time"),
        execution_time_ms: read::some(value, "execution_duration").and_then(|text| duration_ms(&text)),
        state: trace::state(&read::text(value, "state")),
        client_request_id: optional(value, "client_request_id"),
        request_preview: optional(value, "request_preview"),
        response_preview: optional(value, "response_preview"),
        metadata: map(value, "trace_metadata"),
        tags: map(value, "tags"),
        assessments: read::list(value, "assessments").iter().map(assessment).collect(),
        runs: Vec::new(),
        prompts: Vec::new(),
        id,
    })
}

fn trace_2(value: &Value) -> SourceTrace {
    finished(ImportTrace {
        id: read::text(value, "request_id"),
        experiment_id: read::text(value, "experiment_id"),
        timestamp_ms: read::int(value, "timestamp_ms"),
        execution_time_ms: value.get("execution_time_ms").map(|_| read::int(value, "execution_time_ms")),
        state: trace::state(&read::text(value, "status")),
        client_request_id: None,
        request_preview: None,
        response_preview: None,
        metadata: read::pairs(value, "request_metadata"),
        tags: read::pairs(value, "tags"),
        assessments: Vec::new(),
        runs: Vec::new(),
        prompts: Vec::new(),
    })
}

fn finished(mut trace: ImportTrace) -> SourceTrace {
    trace.prompts = trace::prompts(&trace);
    sort_assessments(&mut trace);
    SourceTrace { trace, spans: String::new() }
}

fn optional(value: &Value, field: &str) -> Option<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned)
}

/// A map of texts; what is something else in it comes as its JSON.
fn map(value: &Value, field: &str) -> BTreeMap<String, String> {
    let entries = value.get(field).and_then(Value::as_object).into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    entries.map(|(key, value)| (key.clone(), text(value))).collect()
}

fn assessment(value: &Value) -> ImportAssessment {
    let nothing = Value::Null;
    let part = |name: &str| value.get(name).unwrap_or(&nothing);
    let (kind, content) = ["feedback", "expectation", "issue"]
        .into_iter()
        .find_map(|kind| Some((kind, value.get(kind)?)))
        .unwrap_or(("", &nothing));
    let said = match (kind, content.get("serialized_value")) {
        ("issue", _) => json!({ "issue_name": read::text(content, "issue_name") }),
        (_, Some(text)) => serde_json::from_str(&read::text(text, "value")).unwrap_or_default(),
        _ => content.get("value").cloned().unwrap_or_default(),
    };
    ImportAssessment {
        id: read::text(value, "assessment_id"),
        kind: kind.to_owned(),
        name: read::text(value, "assessment_name"),
        value: said,
        error: content.get("error").filter(|error| error.is_object()).cloned(),
        source_type: read::text(part("source"), "source_type"),
        source_id: optional(part("source"), "source_id"),
        span_id: optional(value, "span_id"),
        rationale: optional(value, "rationale"),
        metadata: map(value, "metadata"),
        overrides: optional(value, "overrides"),
        valid: value.get("valid").and_then(Value::as_bool).unwrap_or(true),
        created_at_ms: time_ms(value, "create_time"),
        updated_at_ms: time_ms(value, "last_update_time"),
    }
}

/// A time as protobuf writes it.
fn time_ms(value: &Value, field: &str) -> i64 {
    read::text(value, field).parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond)
}

/// A duration as protobuf writes it: seconds with a fraction, `1.5s`.
fn duration_ms(text: &str) -> Option<i64> {
    let (seconds, fraction) = match text.strip_suffix('s')?.split_once('.') {
        Some((seconds, fraction)) => (seconds, fraction),
        None => (text.strip_suffix('s')?, ""),
    };
    let thousandths: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let sign = if seconds.starts_with('-') { -1 } else { 1 };
    seconds.parse::<i64>().ok()?.checked_mul(1_000)?.checked_add(sign * thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_protobuf() {
        for (text, expected) in [
            ("1.5s", Some(1_500)),
            ("0.001s", Some(1)),
            ("12s", Some(12_000)),
            ("-0.500s", Some(-500)),
            ("0.123456789s", Some(123)),
            ("s", None),
            ("1", None),
            ("1.xs", None),
            ("9223372036854775807s", None),
        ] {
            assert_eq!(duration_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn a_trace_is_read_whatever_it_is() {
        let found = trace_3(&json!({
            "trace_id": "tr-1", "request_time": "2026-01-02T03:04:05.678Z", "execution_duration": "0.250s",
            "state": "OK", "tags": { "a": "b", "n": 1 }, "request_preview": "",
            "trace_location": { "mlflow_experiment": { "experiment_id": "7" } },
            "assessments": [
                { "assessment_id": "b", "create_time": "2026-01-02T03:04:06Z",
                  "expectation": { "serialized_value": { "value": "[1]" } } },
                { "assessment_id": "a", "create_time": "2026-01-02T03:04:05Z", "valid": false,
                  "feedback": { "error": { "error_code": "E" } }, "source": { "source_type": "CODE" } },
            ],
        }))
        .trace;
        assert_eq!((found.id.as_str(), found.experiment_id.as_str()), ("tr-1", "7"));
        assert_eq!((found.timestamp_ms, found.execution_time_ms), (1_767_323_045_678, Some(250)));
        assert_eq!((found.tags["n"].as_str(), found.request_preview.as_deref()), ("1", Some("")));
        let [a, b] = &found.assessments[..] else { panic!("{found:?}") };
        assert_eq!(
            (a.id.as_str(), a.kind.as_str(), a.valid, &a.value),
            ("a", "feedback", false, &json!(null))
        );
        assert_eq!((b.kind.as_str(), b.valid, &b.value), ("expectation", true, &json!([1])));
        for value in [json!(null), json!([]), json!({ "tags": [], "assessments": [1], "request_time": 5 })] {
            assert_eq!(trace_3(&value).trace.timestamp_ms, 0);
            assert_eq!(trace_2(&value).trace.id, "");
        }
    }
}
