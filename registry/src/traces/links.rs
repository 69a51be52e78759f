//! Runs and prompts that traces belong to.

use super::{TracesError, limits, store};
use crate::{
    app::App,
    runs::{self, validate},
};

/// Traces that one request may link (`MAX_TRACE_LINKS_PER_REQUEST`).
const TRACES_MAX: usize = 100;
const PROMPTS_MAX: usize = 100;
const PROMPT_MAX_CHARS: usize = 500;

/// Links traces to a run. Those that are still on their way are linked once they arrive.
pub async fn traces_to_run(app: &App, trace_ids: Vec<String>, run_id: String) -> Result<(), TracesError> {
    if trace_ids.len() > TRACES_MAX {
        return Err(TracesError::Invalid(format!(
            "Cannot link more than {TRACES_MAX} traces to a run in a single request. Provided {} traces.",
            trace_ids.len()
        )));
    }
    trace_ids.iter().try_for_each(|id| limits::trace_id(id))?;
    runs::validate::run_id(&run_id)?;
    app.db
        .write((trace_ids, run_id), |tx, (trace_ids, run_id)| {
            Box::pin(async move { Ok(store::link_runs(tx, run_id, trace_ids).await?) })
        })
        .await
}

/// Links versions of prompts, given as name and version, to a trace.
pub async fn prompts_to_trace(
    app: &App,
    trace_id: String,
    prompts: Vec<(String, i64)>,
) -> Result<(), TracesError> {
    if prompts.len() > PROMPTS_MAX {
        let text = format!("Cannot link more than {PROMPTS_MAX} prompts to a trace. Got {}.", prompts.len());
        return Err(TracesError::Invalid(text));
    }
    for (name, _) in &prompts {
        validate::length("name", name, PROMPT_MAX_CHARS)?;
    }
    let prompts: Vec<String> =
        prompts.into_iter().map(|(name, version)| format!("{name}/{version}")).collect();
    app.db
        .write((trace_id, prompts), |tx, (trace_id, prompts)| {
            Box::pin(async move {
                let trace = store::lock(tx, trace_id).await?;
                let trace = trace.ok_or_else(|| TracesError::NoTrace(trace_id.clone()))?;
                Ok(store::link_prompts(tx, trace.tid, prompts).await?)
            })
        })
        .await
}
