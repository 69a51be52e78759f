//! Stages and custody as stored, as MLflow shows them, and as people write them.

use super::ModelsError;
use waybill_client::api::{Custody, Stage};

/// MLflow's names, in its order. It knows no `test`: a version there shows as `None`.
pub const MLFLOW_STAGES: [&str; 4] = ["None", "Staging", "Production", "Archived"];

/// Reads the stored text, which is also the native API's.
pub fn parse(text: &str) -> Option<Stage> {
    Stage::ALL.into_iter().find(|stage| stage.as_str() == text)
}

/// The environment that follows `stage`, of the same name.
pub fn environment(stage: Stage) -> Option<&'static str> {
    matches!(stage, Stage::Test | Stage::Staging | Stage::Production).then(|| stage.as_str())
}

pub fn mlflow_name(stage: Stage) -> &'static str {
    match stage {
        Stage::None | Stage::Test => "None",
        Stage::Staging => "Staging",
        Stage::Production => "Production",
        Stage::Archived => "Archived",
    }
}

/// MLflow's stage in any case.
pub fn parse_mlflow(name: &str) -> Result<Stage, ModelsError> {
    let unknown = || {
        let stages = MLFLOW_STAGES.join(", ");
        let message = format!("Invalid Model Version stage: {name}. Value must be one of {stages}.");
        ModelsError::invalid("STAGE_UNKNOWN", message)
    };
    let stage = parse(&name.to_lowercase()).ok_or_else(unknown)?;
    if stage == Stage::Test { Err(unknown()) } else { Ok(stage) }
}

pub fn custody_text(custody: Custody) -> &'static str {
    match custody {
        Custody::Frozen => "frozen",
        Custody::Pointer => "pointer",
        Custody::Prompt => "prompt",
    }
}

pub fn parse_custody(text: &str) -> Option<Custody> {
    [Custody::Frozen, Custody::Pointer, Custody::Prompt].into_iter().find(|c| custody_text(*c) == text)
}
