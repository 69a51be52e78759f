//! What was said about a trace: feedback, expectations, issues.

use super::{Pairs, TracesError, limits, metadata_key, store, value::Value};
use crate::{app::App, db::Conn, runs::validate};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Feedback,
    Expectation,
    Issue,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feedback => "feedback",
            Self::Expectation => "expectation",
            Self::Issue => "issue",
        }
    }

    const fn with_article(self) -> &'static str {
        match self {
            Self::Feedback => "a Feedback",
            Self::Expectation => "an Expectation",
            Self::Issue => "an Issue",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Feedback, Self::Expectation, Self::Issue].into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceType {
    #[default]
    Unspecified,
    Human,
    LlmJudge,
    Code,
}

impl SourceType {
    /// In the order of MLflow's enum numbers, which begin at 0.
    pub const ALL: [Self; 4] = [Self::Unspecified, Self::Human, Self::LlmJudge, Self::Code];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "SOURCE_TYPE_UNSPECIFIED",
            Self::Human => "HUMAN",
            Self::LlmJudge => "LLM_JUDGE",
            Self::Code => "CODE",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssessmentError {
    pub error_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_trace: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    pub assessment_id: String,
    pub trace_id: String,
    pub kind: Kind,
    pub name: String,
    pub value: Json,
    /// Why there is no value; of feedback only.
    pub error: Option<AssessmentError>,
    pub source_type: SourceType,
    pub source_id: Option<String>,
    pub span_id: Option<String>,
    pub rationale: Option<String>,
    pub metadata: Pairs,
    /// The assessment that this one replaces.
    pub overrides: Option<String>,
    /// False once another one replaces it.
    pub valid: bool,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

impl Assessment {
    /// The value as the text that is searched: what Python writes.
    pub fn value_json(&self) -> String {
        dump(&self.value)
    }

    pub fn error_json(&self) -> Option<String> {
        self.error.as_ref().map(dump)
    }

    pub fn metadata_json(&self) -> Option<String> {
        (!self.metadata.is_empty()).then(|| dump(&self.metadata))
    }

    /// Whether it is about all traces of the session.
    pub fn is_of_session(&self) -> bool {
        self.metadata.contains_key(metadata_key::SESSION)
    }

    /// The run that made it, in an evaluation; a longer text is no run's id, and too long for an index.
    pub fn source_run_id(&self) -> Option<&str> {
        const RUN_ID_MAX: usize = 256;
        self.metadata.get(metadata_key::SOURCE_RUN).map(String::as_str).filter(|id| id.len() <= RUN_ID_MAX)
    }

    /// The value as a number to add up, and whether it is one or only means yes or no.
    pub fn number(&self) -> (Option<f64>, bool) {
        match &self.value {
            Json::Number(number) => {
                let number = number.as_f64().filter(|number| number.is_finite());
                (number, number.is_some())
            }
            Json::Bool(value) => (Some(f64::from(u8::from(*value))), false),
            Json::String(text) => match text.trim().to_lowercase().as_str() {
                "yes" => (Some(1.0), false),
                "no" => (Some(0.0), false),
                _ => (None, false),
            },
            _ => (None, false),
        }
    }
}

fn dump(value: &impl Serialize) -> String {
    // Plain data: writing and reading it cannot fail.
    let text = serde_json::to_string(value).unwrap_or_default();
    Value::parse(&text).map(|value| value.to_json()).unwrap_or(text)
}

/// What a client says.
#[derive(Debug, Clone)]
pub struct NewAssessment {
    /// `None`: one that we pick.
    pub assessment_id: Option<String>,
    pub kind: Kind,
    pub name: String,
    pub value: Json,
    pub error: Option<AssessmentError>,
    pub source_type: SourceType,
    pub source_id: Option<String>,
    pub span_id: Option<String>,
    pub rationale: Option<String>,
    pub metadata: Pairs,
    pub overrides: Option<String>,
    /// `None`: now.
    pub created_at_ms: Option<i64>,
    pub updated_at_ms: Option<i64>,
}

impl NewAssessment {
    /// The assessment of that trace, within its limits.
    pub(super) fn checked(mut self, app: &App, trace_id: &str) -> Result<Assessment, TracesError> {
        check_name(&self.name)?;
        check_length("assessment_id", self.assessment_id.as_deref(), 50)?;
        check_length("source_id", self.source_id.as_deref(), limits::SOURCE_ID_MAX)?;
        check_length("span_id", self.span_id.as_deref(), 50)?;
        check_length("overrides", self.overrides.as_deref(), 50)?;
        check_length("rationale", self.rationale.as_deref(), limits::RATIONALE_MAX)?;
        limits::metadata(&mut self.metadata)?;
        let now_ms = app.clock.now_ms();
        let assessment = Assessment {
            assessment_id: self.assessment_id.unwrap_or_else(|| format!("a-{}", app.ids.random().simple())),
            trace_id: trace_id.to_owned(),
            kind: self.kind,
            name: self.name,
            value: self.value,
            error: self.error,
            source_type: self.source_type,
            source_id: self.source_id,
            span_id: self.span_id,
            rationale: self.rationale,
            metadata: self.metadata,
            overrides: self.overrides,
            valid: true,
            created_at_ms: self.created_at_ms.unwrap_or(now_ms),
            updated_at_ms: self.updated_at_ms.unwrap_or(now_ms),
        };
        check_value(&assessment)?;
        Ok(assessment)
    }
}

fn check_name(name: &str) -> Result<(), TracesError> {
    if name.is_empty() {
        return Err(TracesError::Invalid("'assessment_name' must not be empty".to_owned()));
    }
    check_length("assessment_name", Some(name), limits::ASSESSMENT_NAME_MAX)
}

fn check_length(what: &str, text: Option<&str>, limit: usize) -> Result<(), TracesError> {
    Ok(validate::length(what, text.unwrap_or_default(), limit)?)
}

fn check_value(assessment: &Assessment) -> Result<(), TracesError> {
    check_length("error", assessment.error_json().as_deref(), limits::VALUE_JSON_MAX)?;
    check_length("value", Some(&assessment.value_json()), limits::VALUE_JSON_MAX)
}

/// Says something about a trace. What it overrides is no longer valid.
pub async fn create(app: &App, trace_id: String, new: NewAssessment) -> Result<Assessment, TracesError> {
    let assessment = new.checked(app, &trace_id)?;
    app.db
        .write(assessment, |tx, assessment| {
            Box::pin(async move {
                let trace_id = &assessment.trace_id;
                let trace = store::lock(tx, trace_id).await?;
                let trace = trace.ok_or_else(|| TracesError::NoTrace(trace_id.clone()))?;
                if let Some(overridden) = &assessment.overrides
                    && !store::set_valid(tx, trace.tid, overridden, false).await?
                {
                    let (assessment_id, trace_id) = (overridden.clone(), trace_id.clone());
                    return Err(TracesError::NoAssessment { assessment_id, trace_id });
                }
                if !store::insert_assessment(tx, trace.tid, trace.experiment_id, assessment).await? {
                    return Err(TracesError::AssessmentExists(assessment.assessment_id.clone()));
                }
                Ok(assessment.clone())
            })
        })
        .await
}

pub async fn get(app: &App, trace_id: &str, assessment_id: &str) -> Result<Assessment, TracesError> {
    existing(&mut app.db.read().await?, trace_id, assessment_id).await
}

async fn existing(conn: &mut Conn, trace_id: &str, assessment_id: &str) -> Result<Assessment, TracesError> {
    if let Some(found) = store::assessment(conn, trace_id, assessment_id).await? {
        return Ok(found);
    }
    if store::infos(conn, &[trace_id.to_owned()], None).await?.is_empty() {
        return Err(TracesError::NoTrace(trace_id.to_owned()));
    }
    let (assessment_id, trace_id) = (assessment_id.to_owned(), trace_id.to_owned());
    Err(TracesError::NoAssessment { assessment_id, trace_id })
}

/// Changes to an assessment; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Update {
    pub name: Option<String>,
    pub value: Option<(Kind, Json, Option<AssessmentError>)>,
    pub rationale: Option<String>,
    /// Added to what is there.
    pub metadata: Pairs,
    pub valid: Option<bool>,
}

/// The assessment after the change. Its source and its kind stay as they are.
pub async fn update(
    app: &App,
    trace_id: String,
    assessment_id: String,
    change: Update,
) -> Result<Assessment, TracesError> {
    if let Some(name) = &change.name {
        check_name(name)?;
    }
    check_length("rationale", change.rationale.as_deref(), limits::RATIONALE_MAX)?;
    let input = (trace_id, assessment_id, change, app.clock.now_ms());
    app.db
        .write(input, |tx, (trace_id, assessment_id, change, now_ms)| {
            Box::pin(async move {
                store::lock(tx, trace_id).await?;
                let assessment = existing(tx, trace_id, assessment_id).await?;
                let assessment = apply(assessment, change.clone(), *now_ms)?;
                store::update_assessment(tx, &assessment).await?;
                Ok(assessment)
            })
        })
        .await
}

fn apply(mut assessment: Assessment, change: Update, now_ms: i64) -> Result<Assessment, TracesError> {
    if let Some((kind, value, error)) = change.value {
        if kind != assessment.kind {
            let (kind, is) = (kind.as_str(), assessment.kind.with_article());
            return Err(TracesError::Invalid(format!("Cannot update {kind} value on {is} assessment.")));
        }
        assessment.value = value;
        assessment.error = error;
    }
    assessment.name = change.name.unwrap_or(assessment.name);
    assessment.rationale = change.rationale.or(assessment.rationale);
    assessment.metadata.extend(change.metadata);
    limits::metadata(&mut assessment.metadata)?;
    assessment.valid = change.valid.unwrap_or(assessment.valid);
    assessment.updated_at_ms = now_ms;
    check_value(&assessment)?;
    Ok(assessment)
}

/// Takes an assessment back; what it overrode is valid again. One that is not there is fine.
pub async fn delete(app: &App, trace_id: String, assessment_id: String) -> Result<(), TracesError> {
    app.db
        .write((trace_id, assessment_id), |tx, (trace_id, assessment_id)| {
            Box::pin(async move {
                let trace = store::lock(tx, trace_id).await?;
                let trace = trace.ok_or_else(|| TracesError::NoTrace(trace_id.clone()))?;
                let Some(found) = store::assessment(tx, trace_id, assessment_id).await? else {
                    return Ok(());
                };
                if let Some(overridden) = &found.overrides {
                    store::set_valid(tx, trace.tid, overridden, true).await?;
                }
                Ok(store::delete_assessment(tx, assessment_id).await?)
            })
        })
        .await
}
