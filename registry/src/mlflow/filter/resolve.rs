//! Comparisons to conditions: what an identifier means for the object that is searched, and
//! which operators and values it takes.

use super::{
    Grammar, Problem,
    grammar::{Comparison, Identifier, OrderClause, Value},
    short, traces,
};
use crate::search::{Attribute, Condition, DatasetField, Field, Kind, Op, Operand, Order};

/// SQLite refuses patterns of more than 50,000 bytes.
const PATTERN_MAX_BYTES: usize = 10_000;

pub(super) const NUMERIC: &[Op] = &[Op::Gt, Op::Ge, Op::Ne, Op::Eq, Op::Lt, Op::Le];
pub(super) const TEXTUAL: &[Op] = &[Op::Ne, Op::Eq, Op::Like, Op::Ilike];

pub(super) fn condition(grammar: &Grammar, comparison: Comparison) -> Result<Condition, Problem> {
    if grammar.entity.traces {
        return traces::condition(grammar, comparison);
    }
    let field = field(grammar, &comparison.identifier, |a| a.filterable)?;
    let (op, op_at, value_at) = (comparison.op, comparison.op_at, comparison.value_at);
    check_null(grammar, &field, &comparison)?;
    check_list(grammar, &field, &comparison)?;
    // Of a wrong operator with a wrong value MLflow names the value.
    let operand = operand(grammar, &field, comparison)?;
    check_operator(grammar, &field, op, op_at)?;
    check_pattern(op, &operand, value_at)?;
    Ok(Condition { field, op, operand })
}

/// A pattern that the engines can run.
pub(super) fn check_pattern(op: Op, operand: &Operand, at: usize) -> Result<(), Problem> {
    let (Op::Like | Op::Ilike | Op::Rlike, Operand::Text(pattern)) = (op, operand) else {
        return Ok(());
    };
    if pattern.len() > PATTERN_MAX_BYTES {
        return Err(Problem::new(at, format!("A pattern can have at most {PATTERN_MAX_BYTES} bytes")));
    }
    if op == Op::Rlike && regex::Regex::new(pattern).is_err() {
        let text = format!("'{}' is not a valid regular expression", short(pattern));
        return Err(Problem::new(at, text));
    }
    Ok(())
}

pub(super) fn order(grammar: &Grammar, clause: &OrderClause) -> Result<Order, Problem> {
    let field = order_field(grammar, &clause.identifier)?;
    Ok(Order { field, ascending: clause.ascending, dataset: None })
}

pub(super) fn order_field(grammar: &Grammar, identifier: &Identifier) -> Result<Field, Problem> {
    if grammar.entity.traces {
        return traces::order_field(grammar, identifier);
    }
    let at = identifier.span.start;
    let found = field(grammar, identifier, |a| a.orderable);
    if let (Some(keys), Err(_) | Ok(Field::Tag(_))) = (grammar.order_keys, &found) {
        let entity = identifier.entity.as_ref().map(|entity| format!("{entity}.")).unwrap_or_default();
        let key = format!("{entity}{}", identifier.key);
        let text = format!("Invalid order by key '{}' specified. Valid keys are '{keys}'", short(&key));
        return Err(Problem::new(at, text));
    }
    // Where objects have tags alone, they are not ordered by them.
    let keyed = grammar.entity.metrics.is_some() || grammar.entity.params.is_some();
    match found? {
        Field::Dataset(_) => Err(Problem::new(at, "Invalid order_by entity: dataset")),
        Field::Tag(_) if !keyed => Err(Problem::new(at, "Invalid order_by entity: tag")),
        field => Ok(field),
    }
}

fn field(
    grammar: &Grammar,
    identifier: &Identifier,
    usable: fn(&Attribute) -> bool,
) -> Result<Field, Problem> {
    let at = identifier.span.start;
    let key = identifier.key.as_str();
    let entity = grammar.entity;
    match identifier.entity.as_deref() {
        None | Some("attribute" | "attributes" | "attr" | "run") => attribute(grammar, key, at, usable),
        Some("metric" | "metrics") if entity.metrics.is_some() => Ok(Field::Metric(key.to_owned())),
        Some("parameter" | "parameters" | "param" | "params") if entity.params.is_some() => {
            Ok(Field::Param(key.to_owned()))
        }
        Some("tag" | "tags") if entity.tags.is_some() => Ok(Field::Tag(key.to_owned())),
        Some("dataset" | "datasets") if entity.datasets => match key {
            "name" => Ok(Field::Dataset(DatasetField::Name)),
            "digest" => Ok(Field::Dataset(DatasetField::Digest)),
            "context" => Ok(Field::Dataset(DatasetField::Context)),
            _ => Err(Problem::new(
                at,
                format!(
                    "Invalid dataset key '{}' specified. Valid keys are '{{'name', 'digest', 'context'}}'",
                    short(key)
                ),
            )),
        },
        Some(other) => {
            Err(Problem::new(at, format!("Invalid entity type '{}'. {}", short(other), grammar.entity_types)))
        }
    }
}

pub(super) fn attribute(
    grammar: &Grammar,
    key: &str,
    at: usize,
    usable: fn(&Attribute) -> bool,
) -> Result<Field, Problem> {
    match grammar.entity.attribute(key).filter(|a| usable(a)) {
        Some(attribute) => Ok(Field::Attribute(attribute)),
        None => {
            let more: &[&str] = if grammar.entity.traces { &super::traces::KEYS } else { &[] };
            let mut valid: Vec<String> = grammar
                .entity
                .attributes
                .iter()
                .filter(|a| usable(a))
                .map(|a| a.name)
                .chain(more.iter().copied())
                .map(|name| format!("'{name}'"))
                .collect();
            valid.sort();
            let valid = valid.join(", ");
            let text =
                format!("Invalid attribute key '{}' specified. Valid keys are '[{valid}]'", short(key));
            Err(Problem::new(at, text))
        }
    }
}

fn check_null(grammar: &Grammar, field: &Field, comparison: &Comparison) -> Result<(), Problem> {
    let asked = matches!(comparison.op, Op::IsNull | Op::IsNotNull) && grammar.null_checks;
    let (what, key) = match field {
        Field::Metric(key) => ("metric", key.as_str()),
        Field::Attribute(a) => ("attribute", a.name),
        Field::Dataset(_) => ("dataset", comparison.identifier.key.as_str()),
        Field::Param(_) | Field::Tag(_) | Field::Trace(_) => return Ok(()),
    };
    if !asked {
        return Ok(());
    }
    let takers = if grammar.entity.params.is_some() { "tags and params" } else { "tags" };
    let key = short(key);
    let text = format!("IS NULL / IS NOT NULL is only supported for {takers}, not for {what} '{key}'");
    Err(Problem::new(comparison.op_at, text))
}

/// MLflow names the attributes that take lists, before it looks into the list.
fn check_list(grammar: &Grammar, field: &Field, comparison: &Comparison) -> Result<(), Problem> {
    let Field::Attribute(a) = field else {
        return Ok(());
    };
    let takes = a.lists || a.kind != Kind::Text || grammar.lists_everywhere;
    if takes || !matches!(comparison.op, Op::In | Op::NotIn) {
        return Ok(());
    }
    let lists: Vec<String> =
        grammar.entity.attributes.iter().filter(|a| a.lists).map(|a| format!("'{}'", a.name)).collect();
    let lists = lists.join(", ");
    let text = format!("Only [{lists}] attributes support comparison with a list of quoted string values");
    Err(Problem::new(comparison.op_at, text))
}

fn check_operator(grammar: &Grammar, field: &Field, op: Op, op_at: usize) -> Result<(), Problem> {
    let mut valid: Vec<Op> = match field {
        Field::Metric(_) => NUMERIC.to_vec(),
        Field::Attribute(a) => match a.kind {
            Kind::Int | Kind::AnyInt => NUMERIC.to_vec(),
            Kind::Id => vec![Op::Ne, Op::Eq],
            Kind::Text => TEXTUAL.to_vec(),
        },
        Field::Param(_) | Field::Tag(_) | Field::Dataset(_) | Field::Trace(_) => TEXTUAL.to_vec(),
    };
    let keyed = matches!(field, Field::Param(_) | Field::Tag(_));
    if keyed && grammar.null_checks {
        valid.extend([Op::IsNull, Op::IsNotNull]);
    }
    let lists = match field {
        Field::Attribute(a) => a.lists || (a.kind == Kind::Text && grammar.lists_everywhere),
        Field::Dataset(_) => true,
        Field::Param(_) | Field::Tag(_) => grammar.lists_everywhere,
        Field::Metric(_) | Field::Trace(_) => false,
    };
    if lists {
        valid.extend([Op::In, Op::NotIn]);
    }
    one_of("Invalid comparator", op, op_at, &valid)
}

pub(super) fn one_of(complaint: &str, op: Op, at: usize, valid: &[Op]) -> Result<(), Problem> {
    if valid.contains(&op) {
        return Ok(());
    }
    let names: Vec<String> = valid.iter().map(|op| format!("'{}'", name(*op))).collect();
    let text = format!("{complaint} '{}' not one of '{{{}}}'", name(op), names.join(", "));
    Err(Problem::new(at, text))
}

pub(super) fn operand(grammar: &Grammar, field: &Field, comparison: Comparison) -> Result<Operand, Problem> {
    let (at, written) = (comparison.value_at, comparison.written);
    match (field, comparison.value) {
        (_, Value::Nothing) => Ok(Operand::Nothing),
        (Field::Metric(_), Value::Number(text)) => float(&text, at),
        (Field::Metric(_), _) => {
            Err(Problem::new(at, format!("Expected numeric value type for metric. Found {written}")))
        }
        (Field::Attribute(a), Value::Number(text)) if a.kind.is_numeric() => {
            text.parse().map_or_else(|_| float(&text, at), |number| Ok(Operand::Int(number)))
        }
        (Field::Attribute(a), Value::Text(text))
            if a.kind == Kind::AnyInt && text.trim().parse::<i64>().is_ok() =>
        {
            Ok(Operand::Int(text.trim().parse().unwrap_or_default()))
        }
        (Field::Attribute(a), _) if a.kind.is_numeric() => {
            let text =
                format!("Expected numeric value type for numeric attribute: {}. Found {written}", a.name);
            Err(Problem::new(at, text))
        }
        (Field::Param(_), Value::List(_)) if !grammar.lists_everywhere => {
            Err(Problem::new(at, expected_text("parameter", &written)))
        }
        (Field::Tag(_), Value::List(_)) if !grammar.lists_everywhere => {
            Err(Problem::new(at, expected_text("tag", &written)))
        }
        (_, Value::List(items)) => list(field, items, at, &written),
        (Field::Attribute(a), Value::Text(text)) if a.kind == Kind::Id => id(&text, at).map(Operand::Int),
        (_, Value::Text(text)) => Ok(Operand::Text(text)),
        (_, Value::Number(text) | Value::Word(text)) if grammar.lists_everywhere => Ok(Operand::Text(text)),
        (_, Value::Word(text)) => Err(Problem::new(at, unquoted(&text))),
        (field, Value::Number(text)) => Err(Problem::new(
            at,
            match field {
                Field::Attribute(_) => {
                    format!("Expected a quoted string value for attributes. Got value {}", short(&text))
                }
                Field::Dataset(_) => {
                    format!(
                        "Expected a quoted string value for dataset attributes. Got value {}",
                        short(&text)
                    )
                }
                Field::Param(_) => expected_text("parameter", &text),
                Field::Tag(_) | Field::Metric(_) | Field::Trace(_) => expected_text("tag", &text),
            },
        )),
    }
}

pub(super) fn unquoted(found: &str) -> String {
    format!(
        "Parameter value is either not quoted or unidentified quote types used for string value {}. \
         Use either single or double quotes.",
        short(found)
    )
}

pub(super) fn expected_text(what: &str, found: &str) -> String {
    format!("Expected a quoted string value for {what} (e.g. 'my-value'). Got value {}", short(found))
}

fn float(text: &str, at: usize) -> Result<Operand, Problem> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Operand::Float(number)),
        _ => Err(Problem::new(at, format!("Number {} is out of range", short(text)))),
    }
}

fn id(text: &str, at: usize) -> Result<i64, Problem> {
    let invalid = || {
        Problem::new(
            at,
            format!("Invalid experiment ID '{}'. Experiment ID must be a valid integer", short(text)),
        )
    };
    text.trim().parse().map_err(|_| invalid())
}

fn list(field: &Field, items: Vec<Value>, at: usize, written: &str) -> Result<Operand, Problem> {
    if items.is_empty() {
        let text = "While parsing a list in the query, expected a non-empty list of string values, \
                    but got empty list";
        return Err(Problem::new(at, text));
    }
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        let Value::Text(text) = item else {
            let text = format!(
                "While parsing a list in the query, expected string value, punctuation, or whitespace, \
                 but got different type in list: {written}"
            );
            return Err(Problem::new(at, text));
        };
        texts.push(text);
    }
    match field {
        Field::Attribute(a) if a.kind == Kind::Id => {
            texts.iter().map(|text| id(text, at)).collect::<Result<_, _>>().map(Operand::Ints)
        }
        _ => Ok(Operand::Texts(texts)),
    }
}

pub(super) fn name(op: Op) -> &'static str {
    match op {
        Op::Eq => "=",
        Op::Ne => "!=",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::Like => "LIKE",
        Op::Ilike => "ILIKE",
        Op::Rlike => "RLIKE",
        Op::In => "IN",
        Op::NotIn => "NOT IN",
        Op::IsNull => "IS NULL",
        Op::IsNotNull => "IS NOT NULL",
    }
}
