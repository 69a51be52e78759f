//! The rows that meet a condition that no index seeks, e.g. a LIKE: found by looking at all values of
//! its key, which lie together in an index, before rows that lie apart are read one by one.

use super::{
    compile,
    entity::{Attribute, Child, Entity, Indexed},
    query::{Condition, Field, Op, Query},
    select::Base,
};
use crate::db::{Conn, DbError, Engine, sql::Sql};

/// Conditions of one search whose values are looked at.
const SCANNED_MAX: usize = 4;
/// To look at a value in its index costs a thirtieth of what it costs in a row that an order gives:
/// where more rows than this for each of the page match, the order gives a full page sooner.
const ROWS_PER_WANTED: usize = 30;

fn child<'q>(entity: &Entity, condition: &'q Condition) -> Option<(Child, &'q str)> {
    let (child, key) = match &condition.field {
        Field::Metric(key) => (entity.metrics, key),
        Field::Param(key) => (entity.params, key),
        Field::Tag(key) => (entity.tags, key),
        Field::Attribute(_) | Field::Dataset(_) | Field::Trace(_) => return None,
    };
    child.filter(|child| child.indexed).map(|child| (child, key.as_str()))
}

/// Whether an index holds what the condition compares.
pub(super) fn can_drive(entity: &Entity, condition: &Condition) -> bool {
    // What lacks a value is in no index of values.
    if condition.op == Op::IsNull {
        return false;
    }
    match condition.field {
        Field::Attribute(attribute) => {
            matches!(attribute.indexed, Indexed::Prefix | Indexed::Whole)
                && entity.walk(attribute, true).is_some()
        }
        _ => child(entity, condition).is_some(),
    }
}

/// Keys of all rows that meet the first of `conditions` that few meet; `None`: many meet each.
pub(super) async fn rows(
    conn: &mut Conn,
    entity: &Entity,
    query: &Query,
    bases: &[Base<'_>],
    conditions: &[&Condition],
    most: i64,
    limit: usize,
) -> Result<Option<Vec<i64>>, DbError> {
    if conditions.is_empty() {
        return Ok(None);
    }
    let most = most.min((limit.saturating_mul(ROWS_PER_WANTED)) as i64);
    let mut few = None;
    conn.expect_many_rows(true).await?;
    for condition in conditions.iter().take(SCANNED_MAX) {
        let sql = statement(conn.engine(), entity, query, bases, condition, most);
        let found: Vec<(i64,)> = conn.generated(sql).all().await?;
        if (found.len() as i64) < most {
            few = Some(found.into_iter().map(|(key,)| key).collect());
            break;
        }
    }
    conn.expect_many_rows(false).await?;
    Ok(few)
}

/// The first `most` rows that meet the condition.
fn statement(
    engine: Engine,
    entity: &Entity,
    query: &Query,
    bases: &[Base<'_>],
    condition: &Condition,
    most: i64,
) -> Sql {
    let child = child(entity, condition);
    // Of a key with many values several may meet it.
    let several = child.is_some_and(|(child, _)| child.latest.is_some());
    let mut sql =
        Sql::new(engine, if several { "SELECT DISTINCT c.owner FROM (" } else { "SELECT c.owner FROM (" });
    match (&condition.field, child) {
        (Field::Attribute(attribute), _) => attribute_values(&mut sql, entity, query, bases, attribute),
        (field, Some((child, key))) => {
            child_values(&mut sql, entity, query, child, key, matches!(field, Field::Metric(_)));
        }
        (_, None) => {}
    }
    sql.push(") c WHERE ");
    compile::value(&mut sql, condition);
    sql.push(" LIMIT ").bind(most);
    sql
}

/// Appends the query of an attribute's values.
fn attribute_values(
    sql: &mut Sql,
    entity: &Entity,
    query: &Query,
    bases: &[Base<'_>],
    attribute: &Attribute,
) {
    // Indexes begin with what tells the bases apart.
    for (number, base) in bases.iter().enumerate() {
        sql.push(if number == 0 { "SELECT " } else { " UNION ALL SELECT " });
        sql.push(entity.key).push(" AS owner, ").push(attribute.column).push(" AS value FROM ");
        sql.push_table(entity.table, entity.walk(attribute, true)).push(" WHERE TRUE");
        if let Some(column) = entity.scope {
            sql.push(" AND ");
            compile::scope(sql, column, query);
        }
        base(sql);
    }
}

/// Appends the query of all values of a key.
fn child_values(sql: &mut Sql, entity: &Entity, query: &Query, child: Child, key: &str, is_metric: bool) {
    sql.push("SELECT v.").push(child.owner).push(" AS owner, v.value");
    sql.push(if is_metric { ", v.is_nan FROM " } else { " FROM " });
    sql.push(child.table).push(" v WHERE v.key = ").bind(key);
    if entity.scope.is_some() {
        sql.push(" AND ");
        compile::scope(sql, "v.experiment_id", query);
    }
}
