//! Tags of a trace, set and deleted one by one.

use super::{Pairs, TracesError, limits, store, tag_key};
use crate::{app::App, runs::KeyValue};

/// Tags that only the server writes.
const SERVER_TAGS: [&str; 3] =
    [tag_key::SPANS_LOCATION, tag_key::ARCHIVE_LOCATION, tag_key::ARCHIVAL_FAILURE];

fn refuse(key: &str, what: &str) -> TracesError {
    TracesError::Invalid(format!("Tag '{key}' is immutable and cannot be {what} on a trace."))
}

pub async fn set(app: &App, trace_id: String, mut tag: KeyValue) -> Result<(), TracesError> {
    if SERVER_TAGS.contains(&tag.key.as_str()) {
        return Err(refuse(&tag.key, "set"));
    }
    limits::tag(&mut tag)?;
    app.db
        .write((trace_id, tag), |tx, (trace_id, tag)| {
            Box::pin(async move {
                let trace = store::lock(tx, trace_id).await?;
                let trace = trace.ok_or_else(|| TracesError::NoTrace(trace_id.clone()))?;
                let tags = Pairs::from([(tag.key.clone(), tag.value.clone())]);
                Ok(store::set_tags(tx, trace.tid, trace.experiment_id, &tags).await?)
            })
        })
        .await
}

pub async fn delete(app: &App, trace_id: String, key: String) -> Result<(), TracesError> {
    if SERVER_TAGS.contains(&key.as_str()) && key != tag_key::ARCHIVAL_FAILURE {
        return Err(refuse(&key, "deleted"));
    }
    app.db
        .write((trace_id, key), |tx, (trace_id, key)| {
            Box::pin(async move {
                let trace = store::lock(tx, trace_id).await?;
                let trace = trace.ok_or_else(|| TracesError::NoTrace(trace_id.clone()))?;
                if store::delete_tag(tx, trace.tid, key).await? {
                    return Ok(());
                }
                Err(TracesError::NoTag { key: key.clone(), trace_id: trace_id.clone() })
            })
        })
        .await
}
