//! What is known of MLflow's traces, whichever way they are read.

use waybill_client::api::ImportTrace;

pub const SPANS_LOCATION: &str = "mlflow.trace.spansLocation";
pub const ARTIFACT_LOCATION: &str = "mlflow.artifactLocation";
pub const ARCHIVE_LOCATION: &str = "mlflow.trace.archiveLocation";
pub const ARCHIVAL_FAILURE: &str = "mlflow.trace.archivalFailure";
pub const SOURCE_RUN: &str = "mlflow.sourceRun";
/// JSON of the prompts that were used, by which versions before links knew them.
const LINKED_PROMPTS: &str = "mlflow.linkedPrompts";

/// The file of spans, and where files beside it are.
pub const DATA_FILE: &str = "traces.json";
pub const ATTACHMENTS: &str = "attachments/";
/// Where a server gives out a trace's spans or one of its attachments.
pub const ARTIFACT: [&str; 4] = ["ajax-api", "2.0", "mlflow", "get-trace-artifact"];

const ATTACHMENT: &str = "mlflow-attachment://";

/// What the tag says of spans in the database.
pub const IN_DATABASE: &str = "TRACKING_STORE";

/// Where the spans of a trace are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spans {
    Database,
    /// Taken out of the database, into a file of another format.
    Archive,
    /// A file among the trace's artifacts.
    File,
}

pub fn spans_of(trace: &ImportTrace) -> Spans {
    match trace.tags.get(SPANS_LOCATION).map(String::as_str) {
        Some(IN_DATABASE) => Spans::Database,
        Some("ARCHIVE_REPO") => Spans::Archive,
        _ => Spans::File,
    }
}

/// A state as MLflow 3 names it.
pub fn state(text: &str) -> String {
    let text = if text == "TRACE_STATUS_UNSPECIFIED" { "STATE_UNSPECIFIED" } else { text };
    text.to_owned()
}

/// Versions of prompts that a trace's tag names.
pub fn prompts(trace: &ImportTrace) -> Vec<String> {
    let said = trace.tags.get(LINKED_PROMPTS).map(|text| serde_json::from_str::<serde_json::Value>(text));
    let Some(Ok(serde_json::Value::Array(said))) = said else {
        return Vec::new();
    };
    let part = |prompt: &serde_json::Value, field: &str| match prompt.get(field)? {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let named = |prompt| Some(format!("{}/{}", part(prompt, "name")?, part(prompt, "version")?));
    let mut prompts: Vec<String> = said.iter().filter_map(named).collect();
    prompts.sort();
    prompts.dedup();
    prompts
}

/// The files that spans refer to, as paths below the trace's artifacts.
pub fn attachments(spans: &[String]) -> Vec<String> {
    let mut found: Vec<String> = spans
        .iter()
        .flat_map(|span| span.split(ATTACHMENT).skip(1))
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or_default())
        .filter(|id| !id.is_empty())
        .map(|id| format!("{ATTACHMENTS}{id}"))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The texts of the spans in a `traces.json`; `None` where it is none. Cut out, not read: Python
/// writes NaN, which is no JSON, and numbers are to stay as they are.
pub fn cut_spans(file: &str) -> Option<Vec<String>> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    // The last text, which is the key of what follows a colon; the list of spans; one of them.
    let (mut text, mut key) = (0, "");
    let (mut inside, mut start) = (false, 0);
    let mut spans = None;
    for (at, byte) in file.bytes().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    in_text = false;
                    key = &file[text..at];
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => (in_text, text) = (true, at + 1),
            b'{' | b'[' => {
                if byte == b'[' && depth == 1 && key == "spans" && spans.is_none() {
                    (inside, spans) = (true, Some(Vec::new()));
                } else if byte == b'{' && depth == 2 && inside {
                    start = at;
                }
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if inside && depth == 2 && byte == b'}' {
                    spans.get_or_insert_default().push(file[start..=at].to_owned());
                }
                inside &= depth >= 2;
            }
            _ => {}
        }
    }
    spans.filter(|_| depth == 0 && !in_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_out_as_they_are() {
        let file =
            r#"{"request": "[{", "spans": [{"a": {"b": [1, NaN]}, "c": "\"}]"}, {"d": 1e400}], "x": [{}]}"#;
        let spans = cut_spans(file).unwrap();
        assert_eq!(spans, [r#"{"a": {"b": [1, NaN]}, "c": "\"}]"}"#, r#"{"d": 1e400}"#]);
        assert_eq!(cut_spans(r#"{"spans": []}"#), Some(vec![]));
        assert_eq!(cut_spans(r#"{"info": {"spans": [{}]}}"#), None, "those of something else");
        for broken in ["", "{}", "[]", r#"{"spans": [{}"#, r#"{"spans": "x"}"#, "}}", "<html>"] {
            assert_eq!(cut_spans(broken), None, "{broken}");
        }
    }

    #[test]
    fn attachments_and_prompts_are_found() {
        let span = r#"{"attributes": {"a": "\"mlflow-attachment://4f-1?size=3\"", "b": "mlflow-attachment://../x"}}"#;
        assert_eq!(attachments(&[span.to_owned(), span.to_owned()]), ["attachments/4f-1"]);
        let tagged = |text: &str| {
            let tags = [(LINKED_PROMPTS.to_owned(), text.to_owned())].into();
            prompts(&ImportTrace { tags, ..empty() })
        };
        assert_eq!(
            tagged(r#"[{"name": "a b", "version": "2"}, {"name": "a b", "version": 2}, {}]"#),
            ["a b/2"]
        );
        assert!(tagged("{").is_empty() && tagged("{}").is_empty());
    }

    fn empty() -> ImportTrace {
        ImportTrace {
            id: String::new(),
            experiment_id: String::new(),
            timestamp_ms: 0,
            execution_time_ms: None,
            state: String::new(),
            client_request_id: None,
            request_preview: None,
            response_preview: None,
            metadata: [].into(),
            tags: [].into(),
            assessments: Vec::new(),
            runs: Vec::new(),
            prompts: Vec::new(),
        }
    }
}
