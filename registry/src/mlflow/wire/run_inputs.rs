//! What goes into a run and comes out of it: datasets and logged models.

use super::{PAIR, Pair, PairRef, pair_refs};
use crate::{
    mlflow::extract::{Field, Kind, Message, nonempty, nullable, number, optional, required},
    runs,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct LogInputs {
    #[serde(deserialize_with = "nonempty")]
    pub run_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub datasets: Vec<DatasetInput>,
    #[serde(default, deserialize_with = "nullable")]
    pub models: Vec<ModelInput>,
}

impl Message for LogInputs {
    const FIELDS: &'static [Field] = &[
        required("run_id", Kind::Text),
        optional("datasets", Kind::Messages(DATASET_INPUT)),
        optional("models", Kind::Messages(&[required("model_id", Kind::Text)])),
    ];
}

const DATASET_INPUT: &[Field] =
    &[optional("tags", Kind::Messages(PAIR)), required("dataset", Kind::Message(DATASET))];

const DATASET: &[Field] = &[
    required("name", Kind::Text),
    required("digest", Kind::Text),
    required("source_type", Kind::Text),
    required("source", Kind::Text),
    optional("schema", Kind::Text),
    optional("profile", Kind::Text),
];

#[derive(Debug, Deserialize)]
pub struct DatasetInput {
    #[serde(default, deserialize_with = "nullable")]
    tags: Vec<Pair>,
    dataset: Dataset,
}

#[derive(Debug, Deserialize)]
struct Dataset {
    #[serde(deserialize_with = "nonempty")]
    name: String,
    #[serde(deserialize_with = "nonempty")]
    digest: String,
    #[serde(deserialize_with = "nonempty")]
    source_type: String,
    #[serde(deserialize_with = "nonempty")]
    source: String,
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    profile: Option<String>,
}

impl From<DatasetInput> for runs::DatasetInput {
    fn from(DatasetInput { tags, dataset }: DatasetInput) -> Self {
        Self {
            dataset: runs::Dataset {
                name: dataset.name,
                digest: dataset.digest,
                source_type: dataset.source_type,
                source: dataset.source,
                schema: dataset.schema,
                profile: dataset.profile,
            },
            tags: super::pairs(tags),
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct ModelInput {
    #[serde(deserialize_with = "nonempty")]
    pub model_id: String,
}

#[derive(Debug, Deserialize)]
pub struct LogOutputs {
    #[serde(deserialize_with = "nonempty")]
    pub run_id: String,
    pub models: Vec<ModelOutputItem>,
}

impl Message for LogOutputs {
    const FIELDS: &'static [Field] = &[
        required("run_id", Kind::Text),
        required("models", Kind::Messages(&[required("model_id", Kind::Text), optional("step", Kind::Int)])),
    ];
}

#[derive(Debug, Deserialize)]
pub struct ModelOutputItem {
    #[serde(deserialize_with = "nonempty")]
    model_id: String,
    #[serde(default, deserialize_with = "number::opt_int")]
    step: Option<i64>,
}

impl From<ModelOutputItem> for runs::ModelOutput {
    fn from(item: ModelOutputItem) -> Self {
        Self { model_id: item.model_id, step: item.step.unwrap_or(0) }
    }
}

#[derive(Debug, Serialize)]
pub struct RunInputs<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_inputs: Vec<DatasetInputRef<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_inputs: Vec<ModelInputRef<'a>>,
}

#[derive(Debug, Serialize)]
struct DatasetInputRef<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairRef<'a>>,
    dataset: DatasetRef<'a>,
}

#[derive(Debug, Serialize)]
struct DatasetRef<'a> {
    name: &'a str,
    digest: &'a str,
    source_type: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ModelInputRef<'a> {
    model_id: &'a str,
}

#[derive(Debug, Serialize)]
pub struct RunOutputs<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_outputs: Vec<ModelOutputRef<'a>>,
}

#[derive(Debug, Serialize)]
struct ModelOutputRef<'a> {
    model_id: &'a str,
    step: i64,
}

impl<'a> From<&'a runs::RunDetails> for RunInputs<'a> {
    fn from(details: &'a runs::RunDetails) -> Self {
        Self {
            dataset_inputs: details.datasets.iter().map(DatasetInputRef::from).collect(),
            model_inputs: details.model_inputs.iter().map(|model_id| ModelInputRef { model_id }).collect(),
        }
    }
}

impl<'a> From<&'a runs::RunDetails> for RunOutputs<'a> {
    fn from(details: &'a runs::RunDetails) -> Self {
        let model_outputs = details.model_outputs.iter();
        Self {
            model_outputs: model_outputs
                .map(|output| ModelOutputRef { model_id: &output.model_id, step: output.step })
                .collect(),
        }
    }
}

impl<'a> From<&'a runs::DatasetInput> for DatasetInputRef<'a> {
    fn from(input: &'a runs::DatasetInput) -> Self {
        let dataset = &input.dataset;
        Self {
            tags: pair_refs(&input.tags),
            dataset: DatasetRef {
                name: &dataset.name,
                digest: &dataset.digest,
                source_type: &dataset.source_type,
                source: &dataset.source,
                schema: dataset.schema.as_deref(),
                profile: dataset.profile.as_deref(),
            },
        }
    }
}
