//! One condition as SQL. Values are bound, names come from the entity's own description.

use super::{
    entity::{Child, Entity, Kind},
    query::{Condition, DatasetField, DatasetScope, Field, Op, Operand, Query},
    traces,
};
use crate::db::{
    Engine,
    sql::{Sql, Value},
};

/// Where a statement has the internal key of the row that conditions are about.
#[derive(Clone, Copy)]
pub struct Owner {
    /// With its dot, or empty where `column` has one.
    alias: &'static str,
    column: &'static str,
    one_by_one: bool,
}

impl Owner {
    pub const fn new(alias: &'static str, column: &'static str) -> Self {
        Self { alias, column, one_by_one: false }
    }

    /// The entity's own row.
    pub const fn of(entity: &Entity) -> Self {
        Self::new("", entity.key)
    }

    /// Rows are asked one by one, until a page is full.
    pub(super) const fn one_by_one(self) -> Self {
        Self { one_by_one: true, ..self }
    }

    pub(super) fn push(self, sql: &mut Sql) -> &mut Sql {
        sql.push(self.alias).push(self.column)
    }
}

/// Appends ` AND …` for each of the query's conditions on the row with that key, what costs least first.
/// The rows of `driver` meet it already.
pub fn conditions(sql: &mut Sql, entity: &Entity, query: &Query, owner: Owner, driver: Option<&Condition>) {
    of_attributes(sql, query, driver);
    of_children(sql, entity, query, owner, driver);
    of_traces(sql, query, owner, driver);
}

/// The part of [`conditions`] on the row's own columns.
pub(super) fn of_attributes(sql: &mut Sql, query: &Query, driver: Option<&Condition>) {
    for condition in cheap_first(&query.conditions).into_iter().filter(|one| !is(driver, one)) {
        if let Field::Attribute(attribute) = condition.field {
            sql.push(" AND ");
            compare(sql, attribute.column, condition.op, &condition.operand);
        }
    }
}

/// The part of [`conditions`] that needs no more of the row than its key.
pub(super) fn of_children(
    sql: &mut Sql,
    entity: &Entity,
    query: &Query,
    owner: Owner,
    driver: Option<&Condition>,
) {
    for condition in cheap_first(&query.conditions).into_iter().filter(|one| !is(driver, one)) {
        match &condition.field {
            Field::Metric(key) => exists(sql, owner, entity.metrics, query, key, condition),
            Field::Param(key) => exists(sql, owner, entity.params, query, key, condition),
            Field::Tag(key) => exists(sql, owner, entity.tags, query, key, condition),
            Field::Dataset(field) => dataset(sql, owner, *field, condition),
            Field::Attribute(_) | Field::Trace(_) => {}
        }
    }
}

/// The part of [`conditions`] on what only traces have.
pub(super) fn of_traces(sql: &mut Sql, query: &Query, owner: Owner, driver: Option<&Condition>) {
    // One span must meet all that is asked of spans.
    let of_spans = traces::of_spans(query);
    for condition in cheap_first(&query.conditions).into_iter().filter(|one| !is(driver, one)) {
        if let Field::Trace(field) = &condition.field
            && !traces::is_of_span(condition)
        {
            sql.push(" AND ");
            traces::related(sql, owner, query, field, condition);
        }
    }
    let driven = driver.is_some_and(|driver| traces::is_of_span(driver) && of_spans.len() == 1);
    if !driven {
        traces::one_span(sql, owner, &of_spans);
    }
}

fn is(one: Option<&Condition>, other: &Condition) -> bool {
    one.is_some_and(|one| std::ptr::eq(one, other))
}

/// What mostly fails comes first: fewer rows meet an equality than a range, and SQLite looks at
/// conditions in the order in which they are written.
fn cheap_first(conditions: &[Condition]) -> Vec<&Condition> {
    let mut ordered: Vec<&Condition> = conditions.iter().collect();
    ordered.sort_by_key(|condition| match condition.op {
        Op::Eq | Op::In => 0,
        Op::Lt | Op::Le | Op::Gt | Op::Ge => 1,
        _ => 2,
    });
    ordered
}

/// Appends ` AND …`: a child with that key meets the condition, or none has it.
fn exists(
    sql: &mut Sql,
    owner: Owner,
    child: Option<Child>,
    query: &Query,
    key: &str,
    condition: &Condition,
) {
    sql.push(" AND ");
    let Some(child) = child else {
        sql.push("FALSE");
        return;
    };
    let has = |sql: &mut Sql, wanted: bool| {
        sql.push(if wanted { "EXISTS (SELECT 1 FROM " } else { "NOT EXISTS (SELECT 1 FROM " });
        sql.push(child.table).push(" c WHERE c.").push(child.owner).push(" = ");
        owner.push(sql).push(" AND c.key = ").bind(key);
    };
    if matches!(condition.op, Op::IsNull | Op::IsNotNull) {
        has(sql, condition.op == Op::IsNotNull);
        let one_by_one = owner.one_by_one && condition.op == Op::IsNull;
        sql.push(if one_by_one { one_by_one_end(sql.engine()) } else { ")" });
        return;
    }
    has(sql, true);
    sql.push(" AND ");
    value(sql, condition);
    if matches!(condition.field, Field::Metric(_)) {
        measured_on(sql, "c", &query.datasets);
    }
    sql.push(")");
}

/// The end of a `NOT EXISTS (…` that is asked row by row. Where tables are merged the engine takes it that next to no
/// row lacks a key, and would join both whole; what has an offset it leaves as it is.
pub(super) const fn one_by_one_end(engine: Engine) -> &'static str {
    if engine.merges_tables() { " LIMIT 1 OFFSET 0)" } else { ")" }
}

/// Appends the comparison of a child's value; of metrics NaN differs from everything.
pub(super) fn value(sql: &mut Sql, condition: &Condition) {
    match (&condition.field, condition.op) {
        (Field::Metric(_), Op::Ne) => {
            sql.push("(c.is_nan = TRUE OR ");
            compare(sql, "c.value", condition.op, &condition.operand);
            sql.push(")");
        }
        (Field::Metric(_), op) => {
            sql.push("c.is_nan = FALSE AND ");
            compare(sql, "c.value", op, &condition.operand);
        }
        (_, op) => compare(sql, "c.value", op, &condition.operand),
    }
}

/// Limits metrics to those measured on one of `datasets`.
pub fn measured_on(sql: &mut Sql, alias: &'static str, datasets: &[DatasetScope]) {
    let alias = |sql: &mut Sql| {
        sql.push(alias);
    };
    measured(sql, &alias, datasets);
}

/// [`measured_on`] for any alias.
pub(super) fn measured(sql: &mut Sql, alias: &dyn Fn(&mut Sql), datasets: &[DatasetScope]) {
    for (i, dataset) in datasets.iter().enumerate() {
        sql.push(if i == 0 { " AND ((TRUE" } else { " OR (TRUE" });
        for (column, value) in [(".dataset_name", &dataset.name), (".dataset_digest", &dataset.digest)] {
            if let Some(value) = value {
                sql.push(" AND ");
                alias(sql);
                sql.push(column).push(" = ").bind(value.as_str());
            }
        }
        sql.push(")");
    }
    sql.push(if datasets.is_empty() { "" } else { ")" });
}

/// Appends ` AND …`: a dataset of the run meets the condition.
fn dataset(sql: &mut Sql, owner: Owner, field: DatasetField, condition: &Condition) {
    sql.push(" AND EXISTS (SELECT 1 FROM run_datasets i ");
    match field {
        DatasetField::Name | DatasetField::Digest => {
            sql.push("JOIN datasets d ON d.dataset_rid = i.dataset_rid WHERE i.rid = ");
            owner.push(sql);
        }
        DatasetField::Context => {
            sql.push(
                "JOIN run_dataset_tags d ON d.rid = i.rid AND d.dataset_rid = i.dataset_rid WHERE i.rid = ",
            );
            owner.push(sql).push(" AND d.key = 'mlflow.data.context'");
        }
    }
    sql.push(" AND ");
    let column = match field {
        DatasetField::Name => "d.name",
        DatasetField::Digest => "d.digest",
        DatasetField::Context => "d.value",
    };
    compare(sql, column, condition.op, &condition.operand);
    sql.push(")");
}

pub(super) fn compare(sql: &mut Sql, column: &'static str, op: Op, operand: &Operand) {
    match (op, operand) {
        (Op::Like, Operand::Text(pattern)) => {
            sql.like(column, pattern, true);
        }
        (Op::Ilike, Operand::Text(pattern)) => {
            sql.like(column, pattern, false);
        }
        (Op::Rlike, Operand::Text(pattern)) => {
            sql.matches(column, pattern);
        }
        (Op::In | Op::NotIn, _) => {
            sql.push(column).push(if op == Op::In { " IN (" } else { " NOT IN (" });
            sql.bind_list(list(operand)).push(")");
        }
        (Op::IsNull, _) => {
            sql.push(column).push(" IS NULL");
        }
        (Op::IsNotNull, _) => {
            sql.push(column).push(" IS NOT NULL");
        }
        (op, operand) => {
            sql.push(column).push(symbol(op)).bind(scalar(operand));
        }
    }
}

fn symbol(op: Op) -> &'static str {
    match op {
        Op::Ne => " <> ",
        Op::Lt => " < ",
        Op::Le => " <= ",
        Op::Gt => " > ",
        Op::Ge => " >= ",
        _ => " = ",
    }
}

fn scalar(operand: &Operand) -> Value {
    match operand {
        Operand::Text(text) => text.as_str().into(),
        Operand::Int(number) => (*number).into(),
        Operand::Float(number) => (*number).into(),
        Operand::Nothing | Operand::Texts(_) | Operand::Ints(_) => Value::OptText(None),
    }
}

fn list(operand: &Operand) -> Vec<Value> {
    match operand {
        Operand::Texts(texts) => texts.iter().map(|text| text.as_str().into()).collect(),
        Operand::Ints(numbers) => numbers.iter().map(|number| (*number).into()).collect(),
        one => vec![scalar(one)],
    }
}

/// Appends `<column> IN (…)`: the experiments that are searched.
pub fn scope(sql: &mut Sql, column: &'static str, query: &Query) {
    scope_to(sql, column, &query.experiment_ids);
}

/// [`scope`] for some of the experiments.
pub(super) fn scope_to(sql: &mut Sql, column: &'static str, ids: &[i64]) {
    match ids {
        [] => {
            sql.push("FALSE");
        }
        // Equality lets the index give the order.
        [one] => {
            sql.push(column).push(" = ").bind(*one);
        }
        many => {
            sql.push(column).push(" IN (").bind_list(many.iter().map(|id| Value::from(*id))).push(")");
        }
    }
}

impl Kind {
    /// Whether values are compared as numbers.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Int | Self::AnyInt)
    }
}
