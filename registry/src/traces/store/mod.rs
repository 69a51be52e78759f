//! Statements on traces, their spans, assessments and links. None of them commits.

mod assessments;
mod children;
mod links;
mod metrics;
mod pairs;
mod search;
mod spans;
#[cfg(test)]
mod tests;
mod traces;

pub use assessments::{
    assessment, delete_assessment, delete_assessments_of_run, delete_assessments_of_runs_in,
    insert_assessment, set_valid, traces_of_assessments, update_assessment,
};
pub use links::{link_prompts, link_runs};
pub use metrics::{PERCENTILES_MAX, Row as MetricRow, metrics};
pub use pairs::{delete_tag, metadata_value, set_metadata, set_tags};
pub use search::{TRACES, counts, search};
pub use spans::{SpanRow, contents, nodes, upsert_spans};
pub use traces::{NewTrace, Selection, TraceRow, delete, get, infos, insert, lock, move_to, update};
