//! Experiments.

use super::scalars::{ApiError, LongString, MlflowExperimentTag, all};
use crate::runs::Experiment;
use async_graphql::{InputObject, SimpleObject};

#[derive(Debug, Default, InputObject)]
pub struct MlflowGetExperimentInput {
    pub experiment_id: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub struct MlflowGetExperimentResponse {
    pub experiment: MlflowExperiment,
    pub api_error: Option<ApiError>,
}

#[derive(Debug, Clone, SimpleObject)]
pub struct MlflowExperiment {
    experiment_id: String,
    name: String,
    artifact_location: String,
    lifecycle_stage: &'static str,
    last_update_time: LongString,
    creation_time: LongString,
    tags: Vec<MlflowExperimentTag>,
    /// Empty without workspaces and without an archive of traces.
    workspace: String,
    effective_trace_archival_retention: String,
}

impl From<Experiment> for MlflowExperiment {
    fn from(experiment: Experiment) -> Self {
        Self {
            experiment_id: experiment.experiment_id.to_string(),
            name: experiment.name,
            artifact_location: experiment.artifact_location,
            lifecycle_stage: experiment.lifecycle.as_str(),
            last_update_time: LongString(experiment.last_update_time_ms),
            creation_time: LongString(experiment.creation_time_ms),
            tags: all(experiment.tags),
            workspace: String::new(),
            effective_trace_archival_retention: String::new(),
        }
    }
}
