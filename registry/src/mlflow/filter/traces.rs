//! What identifiers mean for traces (`SearchTraceUtils` in mlflow/utils/search_utils.py): some
//! attributes lie in tags or metadata, and spans, assessments, runs and prompts can be asked for.

use super::{
    Grammar, Problem,
    grammar::{Comparison, Identifier, Value},
    resolve::{NUMERIC, attribute, check_pattern, expected_text, name, one_of, operand},
    short,
};
use crate::search::{Attribute, Condition, Field, Kind, Op, Operand, TraceField};

const NAME_TAG: &str = "mlflow.traceName";
const PROMPTS_TAG: &str = "mlflow.linkedPrompts";
const RUN_METADATA: &str = "mlflow.sourceRun";

const TEXTUAL: &[Op] = &[Op::Ne, Op::Eq, Op::Like, Op::Ilike, Op::Rlike];
const LISTS: &[Op] = &[Op::In, Op::NotIn];
const NULLS: &[Op] = &[Op::IsNull, Op::IsNotNull];

pub(super) fn condition(grammar: &Grammar, comparison: Comparison) -> Result<Condition, Problem> {
    let (op, at) = (comparison.op, comparison.value_at);
    let mut field = field(grammar, &comparison.identifier, |a| a.filterable)?;
    match &field {
        // A run is also one that a trace was linked to.
        Field::Param(key) if key == RUN_METADATA && op == Op::Eq => field = Field::Trace(TraceField::Run),
        Field::Tag(key) if key == PROMPTS_TAG => field = Field::Trace(TraceField::Prompt),
        _ => {}
    }
    check_operator(&field, &comparison)?;
    let operand = value(grammar, &field, comparison)?;
    check_pattern(op, &operand, at)?;
    if let (Field::Trace(TraceField::Prompt), Operand::Text(text)) = (&field, &operand)
        && text.matches('/').count() != 1
    {
        let text = format!(
            "Invalid prompts filter value '{}'. Expected format: prompt = \"name/version\"",
            short(text)
        );
        return Err(Problem::new(at, text));
    }
    Ok(Condition { field, op, operand })
}

pub(super) fn order_field(grammar: &Grammar, identifier: &Identifier) -> Result<Field, Problem> {
    match field(grammar, identifier, |a| a.orderable)? {
        Field::Trace(_) => {
            let entity = identifier.entity.as_deref().unwrap_or(&identifier.key);
            let text = format!("Invalid order_by entity: {}", short(entity));
            Err(Problem::new(identifier.span.start, text))
        }
        field => Ok(field),
    }
}

/// What may be asked of a trace besides its attributes.
pub(super) const KEYS: [&str; 4] = ["name", "prompt", "run_id", "text"];

fn field(
    grammar: &Grammar,
    identifier: &Identifier,
    usable: fn(&Attribute) -> bool,
) -> Result<Field, Problem> {
    let at = identifier.span.start;
    let key = identifier.key.as_str();
    match identifier.entity.as_deref() {
        None | Some("attribute" | "attributes" | "trace") => match key {
            "name" => Ok(Field::Tag(NAME_TAG.to_owned())),
            "prompt" => Ok(Field::Tag(PROMPTS_TAG.to_owned())),
            "run_id" => Ok(Field::Param(RUN_METADATA.to_owned())),
            "text" => Ok(Field::Trace(TraceField::SpanContent)),
            _ => attribute(grammar, key, at, usable),
        },
        Some("tag" | "tags") => Ok(Field::Tag(key.to_owned())),
        Some("metadata" | "request_metadata") => Ok(Field::Param(key.to_owned())),
        Some("span") => span(key, at),
        Some(kind @ ("feedback" | "expectation")) => {
            let kind = if kind == "feedback" { "feedback" } else { "expectation" };
            Ok(Field::Trace(TraceField::Assessment { kind, name: key.to_owned() }))
        }
        Some("issue") if key == "id" => Ok(Field::Trace(TraceField::Issue)),
        Some("issue") => {
            let text = format!("Invalid issue attribute '{}'. Supported attributes: id", short(key));
            Err(Problem::new(at, text))
        }
        Some(other) => {
            Err(Problem::new(at, format!("Invalid entity type '{}'. {}", short(other), grammar.entity_types)))
        }
    }
}

fn span(key: &str, at: usize) -> Result<Field, Problem> {
    let field = match key {
        "name" => TraceField::SpanName,
        "type" => TraceField::SpanType,
        "status" => TraceField::SpanStatus,
        "content" => TraceField::SpanContent,
        _ => match key.strip_prefix("attributes.") {
            Some("") => {
                return Err(Problem::new(at, "Span attribute name cannot be empty after 'attributes.'"));
            }
            Some(name) => TraceField::SpanAttribute(name.to_owned()),
            None => {
                let text = format!(
                    "Invalid span attribute '{}'. Supported attributes: name, status, type, \
                     attributes.<attribute_name>.",
                    short(key)
                );
                return Err(Problem::new(at, text));
            }
        },
    };
    Ok(Field::Trace(field))
}

fn check_operator(field: &Field, comparison: &Comparison) -> Result<(), Problem> {
    let (op, at) = (comparison.op, comparison.op_at);
    let valid = match field {
        Field::Attribute(a) if a.kind == Kind::Int => NUMERIC.to_vec(),
        Field::Trace(TraceField::SpanContent) => vec![Op::Like, Op::Ilike],
        Field::Trace(TraceField::Run | TraceField::Prompt | TraceField::Issue) => vec![Op::Eq],
        Field::Trace(TraceField::Assessment { .. }) => {
            [TEXTUAL, &[Op::Gt, Op::Ge, Op::Lt, Op::Le], NULLS].concat()
        }
        Field::Attribute(_) | Field::Trace(_) => [TEXTUAL, LISTS].concat(),
        _ => [TEXTUAL, NULLS].concat(),
    };
    if matches!(field, Field::Trace(TraceField::Prompt)) && op != Op::Eq {
        let text = format!(
            "Invalid comparator '{}' for prompts filter. Only '=' is supported with format: \
             prompt = \"name/version\"",
            name(op)
        );
        return Err(Problem::new(at, text));
    }
    let of_span = comparison.identifier.entity.as_deref() == Some("span");
    let complaint = format!("span.{} comparator", short(&comparison.identifier.key));
    one_of(if of_span { &complaint } else { "Invalid comparator" }, op, at, &valid)
}

fn value(grammar: &Grammar, field: &Field, mut comparison: Comparison) -> Result<Operand, Problem> {
    let (op, at) = (comparison.op, comparison.value_at);
    match (field, std::mem::replace(&mut comparison.value, Value::Nothing)) {
        (Field::Trace(TraceField::Assessment { kind, .. }), Value::Number(text))
            if NUMERIC.contains(&op) && !matches!(op, Op::Eq | Op::Ne) =>
        {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            let wrong = || Problem::new(at, format!("Number {} is out of range for {kind}", short(&text)));
            number.map(Operand::Float).ok_or_else(wrong)
        }
        (Field::Trace(TraceField::Assessment { kind, .. }), Value::Text(text))
            if matches!(op, Op::Gt | Op::Ge | Op::Lt | Op::Le) =>
        {
            let text = format!(
                "Expected a numeric value for {kind} when using comparator '{}'. Got value '{}'",
                name(op),
                short(&text)
            );
            Err(Problem::new(at, text))
        }
        (Field::Trace(TraceField::Assessment { kind, .. }), Value::Number(text)) => {
            Err(Problem::new(at, expected_text(kind, &text)))
        }
        (Field::Trace(_), Value::Number(text)) => Err(Problem::new(at, expected_text("span", &text))),
        (Field::Param(_), Value::Number(text)) => {
            Err(Problem::new(at, expected_text("request_metadata", &text)))
        }
        (_, value) => {
            comparison.value = value;
            operand(grammar, field, comparison)
        }
    }
}
