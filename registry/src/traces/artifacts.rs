//! A trace's spans as the file `traces.json`, and what was attached to it.

use super::{TraceInfo, TracesError, read, store, tag_key};
use crate::app::App;

/// The name of the file with a trace's spans.
pub const DATA_FILE: &str = "traces.json";

/// Where a trace's spans are.
pub enum Data {
    /// In the database: this is the file.
    Stored(String),
    /// In a file below this location.
    Artifact(String),
}

/// The spans of a trace, those that are there.
pub async fn data(app: &App, trace_id: &str) -> Result<Data, TracesError> {
    let mut conn = app.db.snapshot().await?;
    let info = read::existing(&mut conn, trace_id).await?;
    if !read::is_stored(&info) {
        return location(&info).map(Data::Artifact);
    }
    let mut file = "{\"spans\":[".to_owned();
    for (i, (_, content)) in store::contents(&mut conn, &[info.tid]).await?.iter().enumerate() {
        file.push_str(if i > 0 { "," } else { "" });
        file.push_str(content);
    }
    file.push_str("]}");
    Ok(Data::Stored(file))
}

/// Where the artifacts of a trace lie.
pub async fn location_of(app: &App, trace_id: &str) -> Result<String, TracesError> {
    location(&read::info(app, trace_id).await?)
}

fn location(info: &TraceInfo) -> Result<String, TracesError> {
    info.tags.get(tag_key::ARTIFACT_LOCATION).cloned().ok_or(TracesError::NoSpans)
}
