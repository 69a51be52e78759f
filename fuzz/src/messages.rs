//! Any body and any query is read as each of MLflow's request messages, or refused with a message.
//! The first byte picks the message; `tests/tests/fuzz.rs` sees to it that none is missing here.

use waybill_registry::mlflow::{
    extract::{Message, from_body, from_query},
    wire::{
        artifacts, assessments, datasets, experiments, logged_models, metrics, model_registry, run_inputs,
        runs, trace_metrics, trace_requests, traces, traces_v2, webhooks,
    },
};

fn read<T: Message>(data: &[u8]) {
    if let Err(error) = from_body::<T>(data) {
        assert!(!error.message.is_empty());
    }
    if let Ok(query) = std::str::from_utf8(data) {
        let _ = from_query::<T>(query);
    }
}

const MESSAGES: &[fn(&[u8])] = &[
    read::<artifacts::AbortMultipartUpload>,
    read::<artifacts::CompleteMultipartUpload>,
    read::<artifacts::CreateMultipartUpload>,
    read::<artifacts::CreatePresignedUrl>,
    read::<artifacts::ListArtifactsMlflowArtifacts>,
    read::<artifacts::ListLoggedModelArtifacts>,
    read::<artifacts::LoggedModelFile>,
    read::<artifacts::RunArtifact>,
    read::<artifacts::UploadArtifact>,
    read::<assessments::CreateAssessment>,
    read::<assessments::UpdateAssessment>,
    read::<datasets::SearchDatasets>,
    read::<experiments::CreateExperiment>,
    read::<experiments::DeleteExperimentTag>,
    read::<experiments::ExperimentId>,
    read::<experiments::GetExperimentByName>,
    read::<experiments::SearchExperiments>,
    read::<experiments::SetExperimentTag>,
    read::<experiments::UpdateExperiment>,
    read::<logged_models::CreateLoggedModel>,
    read::<logged_models::FinalizeLoggedModel>,
    read::<logged_models::GetLoggedModel>,
    read::<logged_models::LogLoggedModelParamsRequest>,
    read::<logged_models::SearchLoggedModels>,
    read::<logged_models::SetLoggedModelTags>,
    read::<metrics::GetMetricHistory>,
    read::<metrics::GetMetricHistoryBulk>,
    read::<metrics::GetMetricHistoryBulkInterval>,
    read::<metrics::LogMetric>,
    read::<model_registry::CreateModelVersion>,
    read::<model_registry::CreateRegisteredModel>,
    read::<model_registry::DeleteModelVersionTag>,
    read::<model_registry::DeleteRegisteredModelTag>,
    read::<model_registry::GetLatestVersions>,
    read::<model_registry::ModelVersionFile>,
    read::<model_registry::Named>,
    read::<model_registry::NamedAlias>,
    read::<model_registry::Numbered>,
    read::<model_registry::RenameRegisteredModel>,
    read::<model_registry::Search>,
    read::<model_registry::SetModelVersionTag>,
    read::<model_registry::SetRegisteredModelAlias>,
    read::<model_registry::SetRegisteredModelTag>,
    read::<model_registry::TransitionModelVersionStage>,
    read::<model_registry::UpdateModelVersion>,
    read::<model_registry::UpdateRegisteredModel>,
    read::<run_inputs::LogInputs>,
    read::<run_inputs::LogOutputs>,
    read::<runs::CreateRun>,
    read::<runs::DeleteTag>,
    read::<runs::LogBatch>,
    read::<runs::LogModel>,
    read::<runs::RunId>,
    read::<runs::RunKeyValue>,
    read::<runs::SearchRuns>,
    read::<runs::UpdateRun>,
    read::<trace_metrics::QueryTraceMetrics>,
    read::<trace_requests::BatchGetTraces>,
    read::<trace_requests::CalculateTraceFilterCorrelation>,
    read::<trace_requests::DeleteTraceTag>,
    read::<trace_requests::DeleteTraces>,
    read::<trace_requests::GetTrace>,
    read::<trace_requests::LinkPromptsToTrace>,
    read::<trace_requests::LinkTracesToRun>,
    read::<trace_requests::SearchTracesV3>,
    read::<trace_requests::SetTraceTag>,
    read::<traces::StartTraceV3>,
    read::<traces_v2::EndTrace>,
    read::<traces_v2::SearchTraces>,
    read::<traces_v2::StartTrace>,
    read::<webhooks::CreateWebhook>,
    read::<webhooks::ListWebhooks>,
    read::<webhooks::TestWebhook>,
    read::<webhooks::UpdateWebhook>,
];

pub fn run(data: &[u8]) {
    if let Some((first, rest)) = data.split_first() {
        MESSAGES[usize::from(*first) % MESSAGES.len()](rest);
    }
}
