//! Messages of mlflow/protos/assessments.proto.

use super::{EnumValue, time};
use crate::{
    mlflow::{
        MlflowError,
        extract::{Field, Kind, Message, invalid_value, nonempty, nullable, opt_text, optional, required},
    },
    traces::{
        Pairs,
        assessments::{self, AssessmentError, Kind as AssessmentKind, NewAssessment, SourceType, Update},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub const ASSESSMENT: &[Field] = &[
    required("assessment_name", Kind::Text),
    optional("assessment_id", Kind::Text),
    optional("trace_id", Kind::Text),
    optional("span_id", Kind::Text),
    optional(
        "source",
        Kind::Message(&[optional("source_type", Kind::Enum), optional("source_id", Kind::Text)]),
    ),
    optional("create_time", Kind::Text),
    optional("last_update_time", Kind::Text),
    optional("feedback", Kind::Message(&[])),
    optional("expectation", Kind::Message(&[])),
    optional("issue", Kind::Message(&[])),
    optional("rationale", Kind::Text),
    optional("metadata", Kind::Message(&[])),
    optional("overrides", Kind::Text),
    optional("valid", Kind::Bool),
];

/// `Assessment`, as it comes in.
#[derive(Debug, Clone, Deserialize)]
pub struct AssessmentIn {
    #[serde(default, deserialize_with = "opt_text")]
    assessment_id: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    assessment_name: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    span_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    source: SourceIn,
    #[serde(default, deserialize_with = "opt_text")]
    create_time: Option<String>,
    #[serde(default, deserialize_with = "opt_text")]
    last_update_time: Option<String>,
    #[serde(default)]
    feedback: Option<FeedbackIn>,
    #[serde(default)]
    expectation: Option<ExpectationIn>,
    #[serde(default)]
    issue: Option<IssueIn>,
    #[serde(default, deserialize_with = "opt_text")]
    rationale: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    metadata: Pairs,
    #[serde(default, deserialize_with = "opt_text")]
    overrides: Option<String>,
    #[serde(default)]
    valid: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct SourceIn {
    #[serde(default)]
    source_type: Option<EnumValue>,
    #[serde(default, deserialize_with = "opt_text")]
    source_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct FeedbackIn {
    #[serde(default)]
    value: Json,
    #[serde(default)]
    error: Option<AssessmentError>,
}

#[derive(Debug, Clone, Deserialize)]
struct ExpectationIn {
    #[serde(default)]
    value: Json,
    #[serde(default)]
    serialized_value: Option<SerializedValueIn>,
}

#[derive(Debug, Clone, Deserialize)]
struct SerializedValueIn {
    #[serde(default, deserialize_with = "nullable")]
    serialization_format: String,
    #[serde(default, deserialize_with = "nullable")]
    value: String,
}

#[derive(Debug, Clone, Deserialize)]
struct IssueIn {
    #[serde(default, deserialize_with = "nullable")]
    issue_name: String,
}

const JSON_FORMAT: &str = "JSON_FORMAT";

impl AssessmentIn {
    /// What was said, of whichever kind.
    fn value(&self) -> Result<(AssessmentKind, Json, Option<AssessmentError>), MlflowError> {
        match (&self.feedback, &self.expectation, &self.issue) {
            (Some(feedback), None, None) => {
                Ok((AssessmentKind::Feedback, doubles(feedback.value.clone()), feedback.error.clone()))
            }
            (None, Some(expectation), None) => Ok((AssessmentKind::Expectation, expectation.value()?, None)),
            (None, None, Some(issue)) => {
                let value = serde_json::json!({"issue_name": issue.issue_name});
                Ok((AssessmentKind::Issue, value, None))
            }
            _ => Err(MlflowError::invalid(
                "Assessment must have exactly one of 'feedback', 'expectation' and 'issue'",
            )),
        }
    }
}

impl ExpectationIn {
    fn value(&self) -> Result<Json, MlflowError> {
        let Some(serialized) = &self.serialized_value else {
            return Ok(doubles(self.value.clone()));
        };
        if serialized.serialization_format != JSON_FORMAT {
            let shown: String = serialized.serialization_format.chars().take(100).collect();
            return Err(MlflowError::invalid(format!(
                "Unknown serialization format: {shown}. Only JSON_FORMAT is supported."
            )));
        }
        serde_json::from_str(&serialized.value).map_err(|error| {
            MlflowError::invalid(format!("'expectation.serialized_value.value' is not valid JSON: {error}"))
        })
    }
}

/// All numbers as doubles: protobuf's `Value` knows no others.
fn doubles(value: Json) -> Json {
    match value {
        Json::Number(number) => number.as_f64().and_then(serde_json::Number::from_f64).into(),
        Json::Array(items) => items.into_iter().map(doubles).collect(),
        Json::Object(entries) => entries.into_iter().map(|(key, value)| (key, doubles(value))).collect(),
        other => other,
    }
}

fn time_ms(field: &str, text: Option<&str>) -> Result<Option<i64>, MlflowError> {
    text.map(|text| time::parse_timestamp(text).ok_or_else(|| invalid_value(field, &text.into()))).transpose()
}

impl TryFrom<AssessmentIn> for NewAssessment {
    type Error = MlflowError;

    fn try_from(new: AssessmentIn) -> Result<Self, MlflowError> {
        let (kind, value, error) = new.value()?;
        let source_type = match new.source.source_type {
            Some(value) => {
                value.pick("assessment.source.source_type", &SourceType::ALL, 0, SourceType::as_str)?
            }
            None => SourceType::Unspecified,
        };
        Ok(Self {
            assessment_id: new.assessment_id,
            kind,
            name: new.assessment_name.unwrap_or_default(),
            value,
            error,
            source_type,
            source_id: new.source.source_id,
            span_id: new.span_id,
            rationale: new.rationale,
            metadata: new.metadata,
            overrides: new.overrides,
            created_at_ms: time_ms("assessment.create_time", new.create_time.as_deref())?,
            updated_at_ms: time_ms("assessment.last_update_time", new.last_update_time.as_deref())?,
        })
    }
}

#[derive(Debug, Deserialize)]
pub struct CreateAssessment {
    pub assessment: AssessmentIn,
}

impl Message for CreateAssessment {
    const FIELDS: &'static [Field] = &[required("assessment", Kind::Message(ASSESSMENT))];
}

#[derive(Debug, Deserialize)]
pub struct UpdateAssessment {
    pub assessment: AssessmentIn,
    /// A `FieldMask`: names with commas between.
    #[serde(deserialize_with = "nonempty")]
    pub update_mask: String,
}

impl Message for UpdateAssessment {
    const FIELDS: &'static [Field] = &[
        required("assessment", Kind::Message(ASSESSMENT.split_at(1).1)),
        required("update_mask", Kind::Text),
    ];
}

impl UpdateAssessment {
    /// What the mask names; the rest of the assessment is not looked at.
    pub fn change(self) -> Result<Update, MlflowError> {
        let assessment = self.assessment;
        let mut change = Update::default();
        for path in self.update_mask.split(',').map(str::trim).filter(|path| !path.is_empty()) {
            match path {
                "assessmentName" | "assessment_name" => {
                    change.name = Some(assessment.assessment_name.clone().unwrap_or_default());
                }
                "feedback" | "expectation" if change.value.is_some() => {
                    return Err(MlflowError::invalid(
                        "Cannot specify both `expectation` and `feedback` parameters.",
                    ));
                }
                "feedback" | "expectation" => change.value = Some(assessment.value()?),
                "rationale" => change.rationale = Some(assessment.rationale.clone().unwrap_or_default()),
                "metadata" => change.metadata = assessment.metadata.clone(),
                "valid" => change.valid = Some(assessment.valid.unwrap_or(true)),
                // MLflow does not look at other names.
                _ => {}
            }
        }
        Ok(change)
    }
}

#[derive(Debug, Serialize)]
pub struct AssessmentOut<'a> {
    assessment_id: &'a str,
    assessment_name: &'a str,
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    source: AssessmentSource<'a>,
    create_time: String,
    last_update_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<Feedback<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expectation: Option<Expectation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issue: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rationale: Option<&'a str>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    metadata: &'a Pairs,
    #[serde(skip_serializing_if = "Option::is_none")]
    overrides: Option<&'a str>,
    valid: bool,
}

#[derive(Debug, Serialize)]
struct AssessmentSource<'a> {
    source_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Feedback<'a> {
    value: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a AssessmentError>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Expectation<'a> {
    Value(&'a Json),
    /// What is no number, text or truth value travels as text.
    SerializedValue {
        serialization_format: &'static str,
        value: String,
    },
}

impl<'a> From<&'a assessments::Assessment> for AssessmentOut<'a> {
    fn from(assessment: &'a assessments::Assessment) -> Self {
        let value = &assessment.value;
        let of = |kind| assessment.kind == kind;
        let expectation = || match value {
            Json::Array(_) | Json::Object(_) => Expectation::SerializedValue {
                serialization_format: JSON_FORMAT,
                value: assessment.value_json(),
            },
            value => Expectation::Value(value),
        };
        Self {
            assessment_id: &assessment.assessment_id,
            assessment_name: &assessment.name,
            trace_id: &assessment.trace_id,
            span_id: assessment.span_id.as_deref(),
            source: AssessmentSource {
                source_type: assessment.source_type.as_str(),
                source_id: assessment.source_id.as_deref(),
            },
            create_time: time::timestamp(assessment.created_at_ms),
            last_update_time: time::timestamp(assessment.updated_at_ms),
            feedback: of(AssessmentKind::Feedback)
                .then_some(Feedback { value, error: assessment.error.as_ref() }),
            expectation: of(AssessmentKind::Expectation).then(expectation),
            issue: of(AssessmentKind::Issue).then_some(value),
            rationale: assessment.rationale.as_deref(),
            metadata: &assessment.metadata,
            overrides: assessment.overrides.as_deref(),
            valid: assessment.valid,
        }
    }
}

/// `CreateAssessment.Response`, `GetAssessmentRequest.Response`, `UpdateAssessment.Response`.
#[derive(Debug, Serialize)]
pub struct AssessmentResponse<'a> {
    pub assessment: AssessmentOut<'a>,
}
