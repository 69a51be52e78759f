use crate::{
    mlflow::extract::{Field, Kind, Message, optional},
    runs::store,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct SearchDatasets {
    #[serde(default)]
    pub experiment_ids: Vec<String>,
}

impl Message for SearchDatasets {
    const FIELDS: &'static [Field] = &[optional("experiment_ids", Kind::Texts)];
}

#[derive(Debug, Serialize)]
pub struct SearchDatasetsResponse {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dataset_summaries: Vec<DatasetSummary>,
}

#[derive(Debug, Serialize)]
pub struct DatasetSummary {
    pub experiment_id: String,
    pub name: String,
    pub digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

impl From<store::DatasetSummary> for DatasetSummary {
    fn from(found: store::DatasetSummary) -> Self {
        Self {
            experiment_id: found.experiment_id.to_string(),
            name: found.name,
            digest: found.digest,
            context: found.context,
        }
    }
}
