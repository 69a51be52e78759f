//! Reads one page of a search.

use super::{
    compile,
    entity::Entity,
    query::{Condition, Field, Order, Position, Query, Sorted},
    select::{Base, Phase, Select},
};
use crate::db::{Conn, DbError, sql::Sql};
use futures::future::BoxFuture;

/// A condition that at most so many rows meet drives the search itself: that many rows are sorted
/// faster than an order's index is walked for few matches.
const DRIVER_ROWS_MAX: i64 = 10_000;

/// A page, and where the next one begins; `None`: this was the last.
#[derive(Debug)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next: Option<Position>,
}

/// Rows of `entity` that meet `query` and `base`, after `position`. `load` runs the statement and
/// completes its rows, which must know their sort keys.
pub async fn page<T, L>(
    conn: &mut Conn,
    entity: &'static Entity,
    query: &Query,
    base: Base<'_>,
    position: Option<&Position>,
    limit: usize,
    load: L,
) -> Result<Page<T>, DbError>
where
    T: Sorted + Send,
    L: for<'c> Fn(&'c mut Conn, Sql) -> BoxFuture<'c, Result<Vec<T>, DbError>> + Sync,
{
    let orders = total_order(entity, query);
    let Some(first) = orders.first() else {
        return Ok(Page { rows: Vec::new(), next: None });
    };
    // A token holds one key per order; one with another number of keys is not ours.
    let position = position.filter(|position| position.keys.len() == orders.len());
    let driver = driver(conn, entity, query).await?;
    let phases = Phase::of(first);
    let mut rows: Vec<T> = Vec::new();
    let mut last_phase = 0;
    for (number, phase) in phases.iter().enumerate() {
        let begins = position.map_or(0, |position| usize::from(position.phase));
        if number < begins || rows.len() > limit {
            continue;
        }
        let wanted = limit + 1 - rows.len();
        let select = Select { entity, query, orders: &orders, base, driver, limit: wanted as i64 };
        let after = position.filter(|position| usize::from(position.phase) == number);
        let sql = select.sql(conn.engine(), *phase, after);
        let found = load(conn, sql).await?;
        // The row that only tells that there is more does not decide where the page ends.
        if rows.len() < limit && !found.is_empty() {
            last_phase = number;
        }
        rows.extend(found);
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| Position {
        phase: last_phase as u8,
        keys: orders.iter().map(|order| row.key(order)).collect(),
    });
    Ok(Page { rows, next })
}

/// The orders asked for, then the natural ones that are not among them.
fn total_order(entity: &'static Entity, query: &Query) -> Vec<Order> {
    let mut orders = query.orders.clone();
    for (name, ascending) in entity.natural {
        let Some(attribute) = entity.attribute(name) else {
            continue;
        };
        let field = Field::Attribute(attribute);
        if !orders.iter().any(|order| order.field == field) {
            orders.push(Order { field, ascending: *ascending, dataset: None });
        }
    }
    orders
}

/// The condition that the fewest rows meet, when an index tells so cheaply.
async fn driver<'q>(
    conn: &mut Conn,
    entity: &'static Entity,
    query: &'q Query,
) -> Result<Option<&'q Condition>, DbError> {
    let mut best: Option<(i64, &Condition)> = None;
    for condition in &query.conditions {
        if !compile::can_drive(entity, condition) {
            continue;
        }
        let cap = best.map_or(DRIVER_ROWS_MAX, |(count, _)| count);
        let mut sql = Sql::new(conn.engine(), "SELECT COUNT(*) FROM (");
        compile::by_index(&mut sql, entity, query, condition, false);
        sql.push(" LIMIT ").bind(cap).push(") matches");
        let count: i64 = conn.generated(sql).scalar().await?.unwrap_or(cap);
        if count < cap {
            best = Some((count, condition));
        }
    }
    Ok(best.map(|(_, condition)| condition))
}
