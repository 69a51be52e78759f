//! Searches over models and versions: conditions and order as data, put into SQL here.

use super::versions::{self, Row, select_versions};
use crate::{
    db::{
        Conn, DbError,
        sql::{Sql, Value},
    },
    models::{IS_PROMPT_TAG, Model, Version},
};

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    Name,
    /// Versions only, as are the two below.
    Number,
    RunId,
    Source,
    Tag(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Case counts.
    Like,
    /// Case does not count.
    ILike,
    In,
    NotIn,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    Text(String),
    Number(i64),
    List(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub field: Field,
    pub comparator: Comparator,
    pub operand: Operand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Name,
    Number,
    Created,
    Updated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    pub key: Key,
    pub descending: bool,
}

/// A page of a search.
#[derive(Debug, Clone)]
pub struct Search {
    pub conditions: Vec<Condition>,
    /// The caller adds what makes it total.
    pub order: Vec<Order>,
    /// Whether prompts are searched; else they are left out.
    pub prompts: bool,
    pub limit: i64,
    pub offset: i64,
}

/// Live models that fulfil every condition.
pub async fn models(conn: &mut Conn, search: &Search) -> Result<Vec<Model>, DbError> {
    let mut sql = Sql::new(
        conn.engine(),
        "SELECT m.model_id, m.name, m.description, m.last_version, m.created_at_ms, m.updated_at_ms
         FROM registered_models m WHERE m.deleted_at_ms IS NULL",
    );
    if !search.prompts {
        sql.push(
            " AND m.model_id NOT IN (SELECT model_id FROM registered_model_tags
              WHERE key = 'mlflow.prompt.is_prompt' AND value = 'true')",
        );
    }
    for condition in conditions(search) {
        sql.push(" AND ");
        match &condition.field {
            Field::Tag(key) => {
                sql.push("EXISTS (SELECT 1 FROM registered_model_tags t WHERE t.model_id = m.model_id AND t.key = ");
                sql.bind(key.as_str()).push(" AND ");
                compare(&mut sql, "t.value", condition);
                sql.push(")");
            }
            field => compare(&mut sql, column(field), condition),
        }
    }
    order(&mut sql, &search.order, |key| match key {
        Key::Name | Key::Number => "m.name",
        Key::Created => "m.created_at_ms",
        Key::Updated => "m.updated_at_ms",
    });
    sql.push(" LIMIT ").bind(search.limit).push(" OFFSET ").bind(search.offset);
    let rows: Vec<super::models::Row> = conn.generated(sql).all().await?;
    Ok(rows.into_iter().map(Model::from).collect())
}

/// Live versions that fulfil every condition.
pub async fn versions(conn: &mut Conn, search: &Search) -> Result<Vec<Version>, DbError> {
    let mut sql = Sql::new(conn.engine(), select_versions!("WHERE v.deleted_at_ms IS NULL"));
    if !search.prompts {
        sql.push(
            " AND v.model_id NOT IN (SELECT p.model_id FROM model_version_tags t
              JOIN model_versions p ON p.version_id = t.version_id
              WHERE t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true')",
        );
    }
    for condition in conditions(search) {
        sql.push(" AND ");
        match &condition.field {
            Field::Tag(key) => {
                sql.push("EXISTS (SELECT 1 FROM model_version_tags t WHERE t.version_id = v.version_id AND t.key = ");
                sql.bind(key.as_str()).push(" AND ");
                compare(&mut sql, "t.value", condition);
                sql.push(")");
            }
            field => compare(&mut sql, column(field), condition),
        }
    }
    order(&mut sql, &search.order, |key| match key {
        Key::Name => "m.name",
        Key::Number => "v.version",
        Key::Created => "v.created_at_ms",
        Key::Updated => "v.updated_at_ms",
    });
    sql.push(" LIMIT ").bind(search.limit).push(" OFFSET ").bind(search.offset);
    let rows: Vec<Row> = conn.generated(sql).all().await?;
    versions::read_all(rows)
}

/// The prompt tag chooses between models and prompts; as a filter it would drop every model,
/// which do not have it.
fn conditions(search: &Search) -> impl Iterator<Item = &Condition> {
    let keep = move |condition: &&Condition| {
        search.prompts || !matches!(&condition.field, Field::Tag(key) if key == IS_PROMPT_TAG)
    };
    search.conditions.iter().filter(keep)
}

fn column(field: &Field) -> &'static str {
    match field {
        Field::Name | Field::Tag(_) => "m.name",
        Field::Number => "v.version",
        Field::RunId => "v.run_id",
        Field::Source => "v.source",
    }
}

fn compare(sql: &mut Sql, column: &'static str, condition: &Condition) {
    let operator = match condition.comparator {
        Comparator::Equal => " = ",
        Comparator::NotEqual => " <> ",
        Comparator::Less => " < ",
        Comparator::LessOrEqual => " <= ",
        Comparator::Greater => " > ",
        Comparator::GreaterOrEqual => " >= ",
        Comparator::Like | Comparator::ILike => {
            let case_sensitive = condition.comparator == Comparator::Like;
            sql.like(column, text(&condition.operand), case_sensitive);
            return;
        }
        Comparator::In | Comparator::NotIn => {
            let values: Vec<Value> = match &condition.operand {
                Operand::List(list) => list.iter().map(|item| Value::from(item.as_str())).collect(),
                other => vec![Value::from(text(other))],
            };
            let within = condition.comparator == Comparator::In;
            if values.is_empty() {
                sql.push(if within { "FALSE" } else { "TRUE" });
                return;
            }
            sql.push(column).push(if within { " IN (" } else { " NOT IN (" });
            sql.bind_list(values).push(")");
            return;
        }
    };
    sql.push(column).push(operator);
    match &condition.operand {
        Operand::Number(number) => sql.bind(*number),
        other => sql.bind(text(other)),
    };
}

fn text(operand: &Operand) -> &str {
    match operand {
        Operand::Text(text) => text,
        Operand::Number(_) | Operand::List(_) => "",
    }
}

fn order(sql: &mut Sql, orders: &[Order], column: impl Fn(Key) -> &'static str) {
    sql.push(" ORDER BY ");
    for (at, order) in orders.iter().enumerate() {
        if at > 0 {
            sql.push(", ");
        }
        sql.push(column(order.key)).push(if order.descending { " DESC" } else { " ASC" });
    }
}
