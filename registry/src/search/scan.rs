//! The rows that meet a condition that no index seeks. A LIKE is looked for among all values of its
//! key, which lie together in an index, before rows that lie apart are read one by one.

use super::{
    compile,
    driver::Extent,
    entity::{Attribute, Child, Entity, Indexed},
    lacking,
    query::{Condition, Field, Op, Query},
    select::Base,
};
use crate::db::{Conn, DbError, Engine, sql::Sql};

/// Conditions of one search whose values are looked at.
const SCANNED_MAX: usize = 4;
/// To look at a value in its index costs a thirtieth of what it costs in a row that an order gives:
/// where more rows than this for each of the page match, the order gives a full page sooner.
pub(super) const ROWS_PER_WANTED: i64 = 30;

pub(super) fn child<'q>(entity: &Entity, condition: &'q Condition) -> Option<(Child, &'q str)> {
    let (child, key) = match &condition.field {
        Field::Metric(key) => (entity.metrics, key),
        Field::Param(key) => (entity.params, key),
        Field::Tag(key) => (entity.tags, key),
        Field::Attribute(_) | Field::Dataset(_) | Field::Trace(_) => return None,
    };
    child.filter(|child| child.indexed).map(|child| (child, key.as_str()))
}

/// Whether indexes hold what the condition compares.
pub(super) fn can_drive(entity: &Entity, condition: &Condition) -> bool {
    if condition.op == Op::IsNull {
        return child(entity, condition).is_some() && lacking::as_made(entity).is_some();
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
    extent: Extent,
) -> Result<Option<Vec<i64>>, DbError> {
    let engine = conn.engine();
    let (absent, valued): (Vec<&Condition>, Vec<&Condition>) =
        conditions.iter().take(SCANNED_MAX).partition(|condition| condition.op == Op::IsNull);
    if !valued.is_empty() {
        let most = extent.most.min(extent.limit.saturating_mul(ROWS_PER_WANTED));
        conn.expect_many_rows(true).await?;
        let statements = valued.into_iter().map(|c| statement(engine, entity, query, bases, c, most));
        let few = first_of_few(conn, statements, most).await?;
        conn.expect_many_rows(false).await?;
        if few.is_some() {
            return Ok(few);
        }
    }
    for condition in absent {
        let few = lacking::rows(conn, entity, query, bases, condition, extent).await?;
        if few.is_some() {
            return Ok(few);
        }
    }
    Ok(None)
}

/// What the first statement gives that gives fewer than `most` rows.
async fn first_of_few(
    conn: &mut Conn,
    statements: impl Iterator<Item = Sql> + Send,
    most: i64,
) -> Result<Option<Vec<i64>>, DbError> {
    for sql in statements {
        let found: Vec<(i64,)> = conn.generated(sql).all().await?;
        if (found.len() as i64) < most {
            return Ok(Some(found.into_iter().map(|(key,)| key).collect()));
        }
    }
    Ok(None)
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
pub(super) fn attribute_values(
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
pub(super) fn child_values(
    sql: &mut Sql,
    entity: &Entity,
    query: &Query,
    child: Child,
    key: &str,
    is_metric: bool,
) {
    sql.push("SELECT v.").push(child.owner).push(" AS owner, v.value");
    sql.push(if is_metric { ", v.is_nan FROM " } else { " FROM " });
    sql.push(child.table).push(" v WHERE v.key = ").bind(key);
    if entity.scope.is_some() {
        sql.push(" AND ");
        compile::scope(sql, "v.experiment_id", query);
    }
}
