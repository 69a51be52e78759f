//! What can be asked of traces beyond their own rows: spans, assessments, runs and prompts.

use super::{
    compile::{self, Owner},
    query::{Condition, Field, Op, Operand, Query},
};
use crate::db::{PREFIX_CHARS, sql::Sql};

#[derive(Debug, Clone, PartialEq)]
pub enum TraceField {
    SpanName,
    SpanType,
    SpanStatus,
    /// All of a span, as the text of its JSON.
    SpanContent,
    /// Text of one attribute of a span.
    SpanAttribute(String),
    /// Value of a `feedback` or `expectation` of that name.
    Assessment {
        kind: &'static str,
        name: String,
    },
    /// Id of an issue that was found.
    Issue,
    /// A run in which the trace was made, or to which it was linked.
    Run,
    /// A prompt version, `name/version`, that it used.
    Prompt,
}

/// Metadata that names the run in which a trace was made.
pub const SOURCE_RUN: &str = "mlflow.sourceRun";
/// Metadata that names the session of a trace.
const SESSION: &str = "mlflow.trace.session";

pub(super) fn is_of_span(condition: &Condition) -> bool {
    use TraceField::{SpanAttribute, SpanContent, SpanName, SpanStatus, SpanType};
    matches!(condition.field, Field::Trace(SpanName | SpanType | SpanStatus | SpanContent | SpanAttribute(_)))
}

pub(super) fn of_spans(query: &Query) -> Vec<&Condition> {
    query.conditions.iter().filter(|condition| is_of_span(condition)).collect()
}

/// Appends ` AND …`: some span meets all of `conditions`.
pub(super) fn one_span(sql: &mut Sql, owner: Owner, conditions: &[&Condition]) {
    if conditions.is_empty() {
        return;
    }
    sql.push(" AND EXISTS (SELECT 1 FROM spans s WHERE s.tid = ");
    owner.push(sql);
    for condition in conditions {
        sql.push(" AND ");
        span(sql, condition);
    }
    sql.push(")");
}

fn span(sql: &mut Sql, condition: &Condition) {
    let (op, operand) = (condition.op, &condition.operand);
    match &condition.field {
        Field::Trace(TraceField::SpanName) => compile::compare(sql, "s.name", op, operand),
        Field::Trace(TraceField::SpanType) => compile::compare(sql, "s.type", op, operand),
        Field::Trace(TraceField::SpanStatus) => compile::compare(sql, "s.status", op, operand),
        Field::Trace(TraceField::SpanAttribute(name)) => attribute(sql, name, op, operand),
        _ => compile::compare(sql, "s.content", op, operand),
    }
}

/// Attributes are searched in the span's text, where one is `"name": "\"value\""`.
fn attribute(sql: &mut Sql, name: &str, op: Op, operand: &Operand) {
    const CONTENT: &str = "s.content";
    let key = serde_json::Value::from(name).to_string();
    let stored = |value: &str| {
        let dumped = serde_json::Value::from(value).to_string();
        format!("{key}: {}", serde_json::Value::from(dumped))
    };
    let values: Vec<&str> = match operand {
        Operand::Text(text) => vec![text],
        Operand::Texts(texts) => texts.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    match (op, values.as_slice()) {
        (Op::Like | Op::Ilike, [pattern]) => {
            sql.like(CONTENT, &format!("%{key}{pattern}%"), op == Op::Like);
        }
        (Op::Rlike, [pattern]) => {
            sql.matches(CONTENT, &in_content(name, pattern));
        }
        (op, values) => {
            sql.push(if matches!(op, Op::Ne | Op::NotIn) { "NOT (FALSE" } else { "(FALSE" });
            // In groups, as SQLite refuses an expression a thousand deep.
            for group in values.chunks(100) {
                sql.push(" OR (FALSE");
                for value in group {
                    sql.push(" OR ").contains(CONTENT, &stored(value));
                }
                sql.push(")");
            }
            sql.push(")");
        }
    }
}

/// The pattern of an attribute's value as one of the span's text.
fn in_content(name: &str, pattern: &str) -> String {
    let (open, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => ("\"\\\\\"", rest),
        None => ("\"\\\\\".*", pattern),
    };
    let (pattern, close) = match pattern.strip_suffix('$') {
        Some(rest) => (rest, "\\\\\""),
        None => (pattern, ""),
    };
    format!("\"{}\": {open}{pattern}{close}", regex::escape(name))
}

/// Appends a predicate on the trace's row.
pub(super) fn related(sql: &mut Sql, owner: Owner, query: &Query, field: &TraceField, condition: &Condition) {
    match field {
        TraceField::Assessment { .. } => {
            let absent = condition.op == Op::IsNull;
            sql.push(if absent { "NOT (" } else { "(" });
            sql.push("EXISTS (SELECT 1 FROM trace_assessments a WHERE a.tid = ");
            owner.push(sql).push(" AND ");
            assessment(sql, field, condition);
            // What was said of a session is said of each of its traces.
            sql.push(") OR EXISTS (SELECT 1 FROM trace_metadata own CROSS JOIN trace_metadata m ");
            sql.push("CROSS JOIN trace_assessments a WHERE own.tid = ");
            owner.push(sql).push(" AND own.key = ").bind(SESSION).push(" AND ");
            same_session(sql, query);
            sql.push(" AND a.tid = m.tid AND a.of_session = TRUE AND ");
            assessment(sql, field, condition);
            sql.push("))");
        }
        TraceField::Issue => {
            sql.push("EXISTS (SELECT 1 FROM trace_assessments a WHERE a.tid = ");
            owner.push(sql).push(" AND a.kind = 'issue' AND ");
            compile::compare(sql, "a.name", condition.op, &condition.operand);
            sql.push(")");
        }
        TraceField::Run => {
            sql.push("(EXISTS (SELECT 1 FROM trace_runs l WHERE l.trace_id = t.trace_id AND ");
            compile::compare(sql, "l.run_id", condition.op, &condition.operand);
            sql.push(") OR EXISTS (SELECT 1 FROM trace_metadata m WHERE m.tid = ");
            owner.push(sql).push(" AND m.key = ").bind(SOURCE_RUN).push(" AND ");
            compile::compare(sql, "m.value", condition.op, &condition.operand);
            sql.push("))");
        }
        TraceField::Prompt => {
            sql.push("EXISTS (SELECT 1 FROM trace_prompts p WHERE p.tid = ");
            owner.push(sql).push(" AND ");
            compile::compare(sql, "p.prompt", condition.op, &condition.operand);
            sql.push(")");
        }
        _ => {
            sql.push("TRUE");
            one_span(sql, owner, &[condition]);
        }
    }
}

/// Appends that metadata `m` names the same session as `own`, found by the index of values.
fn same_session(sql: &mut Sql, query: &Query) {
    compile::scope(sql, "m.experiment_id", query);
    sql.push(" AND m.key = ").bind(SESSION);
    if sql.engine().indexes_prefixes() {
        sql.push(" AND substr(m.value, 1, 200) = substr(own.value, 1, 200)");
    }
    sql.push(" AND m.value = own.value");
}

/// Appends that assessment `a` is valid, of that kind and name, and its value as asked.
fn assessment(sql: &mut Sql, field: &TraceField, condition: &Condition) {
    if let TraceField::Assessment { kind, name } = field {
        sql.push("a.kind = ").bind(*kind).push(" AND a.name = ").bind(name.as_str());
    }
    sql.push(" AND a.valid = TRUE");
    match (condition.op, &condition.operand) {
        (Op::IsNull | Op::IsNotNull, _) => {}
        (op @ (Op::Eq | Op::Ne), Operand::Text(text)) => {
            // Values are JSON: text in quotes, the rest without.
            let quoted = serde_json::Value::from(text.as_str()).to_string();
            sql.push(" AND a.value_json ").push(if op == Op::Eq { "IN (" } else { "NOT IN (" });
            sql.bind_list([text.as_str().into(), quoted.into()]).push(")");
        }
        (Op::Lt | Op::Le | Op::Gt | Op::Ge, operand) => {
            sql.push(" AND a.is_number = TRUE AND ");
            compile::compare(sql, "a.number", condition.op, operand);
        }
        (op, operand) => {
            sql.push(" AND ");
            compile::compare(sql, "a.value_json", op, operand);
        }
    }
}

pub(super) fn can_drive(field: &TraceField, condition: &Condition) -> bool {
    match field {
        TraceField::SpanName | TraceField::SpanType | TraceField::Issue => condition.op == Op::Eq,
        TraceField::Assessment { .. } => condition.op != Op::IsNull,
        TraceField::Run | TraceField::Prompt => true,
        TraceField::SpanStatus | TraceField::SpanContent | TraceField::SpanAttribute(_) => false,
    }
}

/// Appends `SELECT … AS owner …`: the traces that meet the condition, by its index.
pub(super) fn by_index(
    sql: &mut Sql,
    query: &Query,
    field: &TraceField,
    condition: &Condition,
    distinct: bool,
) {
    let select = if distinct { "SELECT DISTINCT " } else { "SELECT " };
    let and_also = if distinct { " UNION SELECT " } else { " UNION ALL SELECT " };
    match field {
        TraceField::Assessment { .. } => {
            sql.push(select).push("a.tid AS owner FROM trace_assessments a WHERE ");
            compile::scope(sql, "a.experiment_id", query);
            sql.push(" AND ");
            assessment(sql, field, condition);
            sql.push(and_also).push("m.tid FROM trace_assessments a CROSS JOIN trace_metadata own ");
            sql.push("CROSS JOIN trace_metadata m WHERE ");
            compile::scope(sql, "a.experiment_id", query);
            sql.push(" AND a.of_session = TRUE AND ");
            assessment(sql, field, condition);
            sql.push(" AND own.tid = a.tid AND own.key = ").bind(SESSION).push(" AND ");
            same_session(sql, query);
        }
        TraceField::Issue => {
            sql.push(select).push("a.tid AS owner FROM trace_assessments a WHERE ");
            compile::scope(sql, "a.experiment_id", query);
            sql.push(" AND a.kind = 'issue' AND ");
            compile::compare(sql, "a.name", condition.op, &condition.operand);
        }
        TraceField::Run => {
            sql.push(select).push("l.tid AS owner FROM (SELECT r.run_id, x.tid, x.experiment_id ");
            sql.push("FROM trace_runs r CROSS JOIN traces x WHERE x.trace_id = r.trace_id AND ");
            compile::compare(sql, "r.run_id", condition.op, &condition.operand);
            sql.push(") l WHERE ");
            compile::scope(sql, "l.experiment_id", query);
            sql.push(and_also).push("m.tid FROM trace_metadata m WHERE ");
            compile::scope(sql, "m.experiment_id", query);
            sql.push(" AND m.key = ").bind(SOURCE_RUN);
            prefix(sql, "substr(m.value, 1, 200)", condition);
            sql.push(" AND ");
            compile::compare(sql, "m.value", condition.op, &condition.operand);
        }
        TraceField::Prompt => {
            sql.push(select).push("p.tid AS owner FROM trace_prompts p WHERE ");
            compile::compare(sql, "p.prompt", condition.op, &condition.operand);
        }
        _ => {
            sql.push(select).push("s.tid AS owner FROM spans s WHERE ");
            compile::scope(sql, "s.experiment_id", query);
            let name = *field == TraceField::SpanName;
            prefix(sql, if name { "substr(s.name, 1, 200)" } else { "substr(s.type, 1, 200)" }, condition);
            sql.push(" AND ");
            span(sql, condition);
        }
    }
}

/// Appends what an index of the first characters can seek.
fn prefix(sql: &mut Sql, indexed: &'static str, condition: &Condition) {
    if sql.engine().indexes_prefixes()
        && let Operand::Text(text) = &condition.operand
    {
        let start: String = text.chars().take(PREFIX_CHARS).collect();
        sql.push(" AND ").push(indexed).push(" = ").bind(start);
    }
}
