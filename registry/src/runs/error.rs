//! What can go wrong with experiments and runs, in MLflow's words.

use super::store::Changed;
use crate::{
    db::DbError,
    error::{Failure, Kind},
    search::PageTokenError,
};

#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    #[error(transparent)]
    Db(#[from] DbError),
    /// A value outside MLflow's limits; the text names field, value and limit.
    #[error("{0}")]
    Invalid(String),
    #[error("Invalid experiment ID '{0}'. Experiment ID must be a valid integer.")]
    ExperimentId(String),
    #[error("No Experiment with id={0} exists")]
    NoExperiment(i64),
    #[error("Could not find experiment with name '{0}'")]
    NoExperimentNamed(String),
    #[error("Experiment(name={0}) already exists.")]
    ExperimentExists(String),
    #[error("The experiment {0} must be in the 'active' state. Current state is deleted.")]
    ExperimentDeleted(i64),
    #[error("Cannot rename a non-active experiment.")]
    RenameDeleted,
    #[error("No tag with name: {key} in experiment with id {experiment_id}")]
    NoExperimentTag { key: String, experiment_id: i64 },
    #[error("Run with id={0} not found")]
    NoRun(String),
    #[error("The run {0} must be in the 'active' state. Current state is deleted.")]
    RunDeleted(String),
    #[error("No tag with name: {key} in run with id {run_id}")]
    NoTag { key: String, run_id: String },
    #[error(
        "Changing param values is not allowed. Param with key='{key}' was already logged with \
         value='{old}' for run ID='{run_id}'. Attempted logging new value '{new}'."
    )]
    ParamChanged { key: String, old: String, new: String, run_id: String },
    #[error(
        "Changing param values is not allowed. Params were already logged='[{}]' for run ID='{run_id}'.",
        as_python(changes)
    )]
    ParamsChanged { changes: Vec<Changed>, run_id: String },
    #[error("Logged model with ID '{0}' not found.")]
    NoModel(String),
    #[error(transparent)]
    PageToken(#[from] PageTokenError),
}

impl RunsError {
    /// As it is said of a parameter that was logged by itself.
    #[must_use]
    pub fn of_one_param(self) -> Self {
        match self {
            Self::ParamsChanged { mut changes, run_id } if changes.len() == 1 => {
                let Changed { key, old, new } = changes.remove(0);
                Self::ParamChanged { key, old, new, run_id }
            }
            error => error,
        }
    }
}

/// A list of changes as Python's `repr` writes it.
fn as_python(changes: &[Changed]) -> String {
    let dicts = changes.iter().map(|Changed { key, old, new }| {
        let (key, old, new) = (repr(key), repr(old), repr(new));
        format!("{{'key': {key}, 'old_value': {old}, 'new_value': {new}}}")
    });
    dicts.collect::<Vec<_>>().join(", ")
}

/// A text as Python's `repr` writes it, but for what Unicode has no picture of beyond control characters.
fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => {
                out.push_str("\\x");
                out.extend(
                    [u32::from(c) >> 4, u32::from(c) & 15]
                        .map(|digit| char::from_digit(digit, 16).unwrap_or('0')),
                );
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

impl Failure for RunsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Db(error) => error.kind(),
            Self::Invalid(_)
            | Self::ExperimentId(_)
            | Self::ExperimentDeleted(_)
            | Self::RunDeleted(_)
            | Self::ParamChanged { .. }
            | Self::ParamsChanged { .. }
            | Self::PageToken(_) => Kind::Invalid,
            Self::NoExperiment(_)
            | Self::NoExperimentNamed(_)
            | Self::NoExperimentTag { .. }
            | Self::NoRun(_)
            | Self::NoTag { .. }
            | Self::NoModel(_) => Kind::NotFound,
            Self::ExperimentExists(_) => Kind::AlreadyExists,
            Self::RenameDeleted => Kind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Db(error) => error.code(),
            Self::Invalid(_) => "VALUE_INVALID",
            Self::ExperimentId(_) => "EXPERIMENT_ID_INVALID",
            Self::NoExperiment(_) | Self::NoExperimentNamed(_) => "EXPERIMENT_NOT_FOUND",
            Self::ExperimentExists(_) => "EXPERIMENT_EXISTS",
            Self::ExperimentDeleted(_) | Self::RenameDeleted => "EXPERIMENT_DELETED",
            Self::NoExperimentTag { .. } | Self::NoTag { .. } => "TAG_NOT_FOUND",
            Self::NoRun(_) => "RUN_NOT_FOUND",
            Self::RunDeleted(_) => "RUN_DELETED",
            Self::ParamChanged { .. } | Self::ParamsChanged { .. } => "PARAM_CHANGED",
            Self::NoModel(_) => "LOGGED_MODEL_NOT_FOUND",
            Self::PageToken(_) => "PAGE_TOKEN_INVALID",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as Python 3 prints it.
    #[test]
    fn texts_are_quoted_as_python_quotes_them() {
        for (text, expected) in [
            ("adam", "'adam'"),
            ("it's", "\"it's\""),
            ("it's \"so\"", r#"'it\'s "so"'"#),
            ("a\\b\nc\td\u{1}\u{9f}é", r"'a\\b\nc\td\x01\x9fé'"),
        ] {
            assert_eq!(repr(text), expected, "{text:?}");
        }
    }
}
