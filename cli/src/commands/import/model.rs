//! What a source holds, whichever way it is read.

use serde::Serialize;
use std::collections::BTreeMap;
use waybill_client::api::{
    ImportExperiment, ImportLoggedModel, ImportPoint, ImportRegisteredModel, ImportRun, ImportTrace,
    ImportVersion,
};
use waybill_proof::Digest;

/// What a source is.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its address, without user name and password: what the import is known by.
    pub source: String,
    pub detail: String,
}

#[derive(Debug, Clone)]
pub struct SourceExperiment {
    /// With the artifact location that it has there.
    pub experiment: ImportExperiment,
    pub deleted: bool,
}

#[derive(Debug, Clone)]
pub struct SourceRun {
    /// With the artifact URI that it has there.
    pub run: ImportRun,
    /// The last value of each metric.
    pub latest: BTreeMap<String, ImportPoint>,
    pub deleted: bool,
}

impl SourceRun {
    pub fn fingerprint(&self) -> String {
        fingerprint(&(&self.run, &self.latest))
    }
}

#[derive(Debug, Clone)]
pub struct SourceLoggedModel {
    /// With the artifact location that it has there; metrics in one order.
    pub model: ImportLoggedModel,
    pub deleted: bool,
}

#[derive(Debug, Clone)]
pub struct SourceTrace {
    /// With the tags that it has there; assessments in one order.
    pub trace: ImportTrace,
    /// Tells more spans from fewer, where the source says so much without giving them.
    pub spans: String,
}

impl SourceTrace {
    pub fn fingerprint(&self) -> String {
        fingerprint(&(&self.trace, &self.spans))
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct SourceModel {
    pub model: ImportRegisteredModel,
    pub aliases: BTreeMap<String, i64>,
}

#[derive(Debug, Clone)]
pub struct SourceVersion {
    /// With the source that it has there.
    pub version: ImportVersion,
}

/// Rows of a list, and where the next ones begin.
#[derive(Debug)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

/// Something that the source has and an import does not take.
#[derive(Debug, Clone)]
pub struct LeftOut {
    pub kind: &'static str,
    /// `None`: the source does not tell.
    pub count: Option<u64>,
    pub why: &'static str,
}

/// Tells one state of an object from another.
pub fn fingerprint(object: &impl Serialize) -> String {
    Digest::of(&serde_json::to_vec(object).expect("wire types serialise")).hex()
}

/// In one order, whatever the order at the source.
pub fn sort_assessments(trace: &mut ImportTrace) {
    trace.assessments.sort_by(|a, b| (a.created_at_ms, &a.id).cmp(&(b.created_at_ms, &b.id)));
}

/// In one order, whatever the order at the source.
pub fn sort_metrics(model: &mut ImportLoggedModel) {
    model.metrics.sort_by(|a, b| {
        let key = |m: &waybill_client::api::ImportModelMetric| {
            (m.point.key.clone(), m.point.timestamp_ms, m.point.step, m.run_id.clone())
        };
        key(a).cmp(&key(b))
    });
}
