//! Reads one page of a search.

use super::{
    driver::{self, Driver},
    entity::Entity,
    query::{Field, Order, Position, Query, Sorted},
    select::{Base, Phase, Select},
    ties::{self, Between},
};
use crate::db::{Conn, DbError, sql::Sql};
use futures::future::BoxFuture;

/// A page, and where the next one begins; `None`: this was the last.
#[derive(Debug)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next: Option<Position>,
}

/// Runs a statement and completes its rows.
pub trait Load<T>: for<'c> Fn(&'c mut Conn, Sql) -> BoxFuture<'c, Result<Vec<T>, DbError>> + Sync {}
impl<T, L> Load<T> for L where
    L: for<'c> Fn(&'c mut Conn, Sql) -> BoxFuture<'c, Result<Vec<T>, DbError>> + Sync
{
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
    L: Load<T>,
{
    page_of_any(conn, entity, query, &[base], position, limit, load).await
}

/// [`page`] of rows that meet any of `bases`, of which no row meets two. Each is read by the index
/// that serves it, which no index does for all of them at once.
pub async fn page_of_any<T, L>(
    conn: &mut Conn,
    entity: &'static Entity,
    query: &Query,
    bases: &[Base<'_>],
    position: Option<&Position>,
    limit: usize,
    load: L,
) -> Result<Page<T>, DbError>
where
    T: Sorted + Send,
    L: Load<T>,
{
    let orders = total_order(entity, query);
    let Some(first) = orders.first() else {
        return Ok(Page { rows: Vec::new(), next: None });
    };
    // A client may write tokens itself: nothing comes after a place that is none.
    if position.is_some_and(|position| !position.fits(&orders)) {
        return Ok(Page { rows: Vec::new(), next: None });
    }
    let driver = driver::choose(conn, entity, query, bases, limit).await?;
    let driver = driver.as_ref();
    if driver.is_some_and(Driver::is_empty) {
        return Ok(Page { rows: Vec::new(), next: None });
    }
    let phases = Phase::of(first);
    let mut rows: Vec<T> = Vec::new();
    let mut last_phase = 0;
    for (number, phase) in phases.iter().enumerate() {
        let begins = position.map_or(0, |position| usize::from(position.phase));
        if number < begins || rows.len() > limit {
            continue;
        }
        let wanted = limit + 1 - rows.len();
        let ids = query.experiment_ids.as_slice();
        let between = Between::default();
        let select =
            Select { entity, query, orders: &orders, ids, bases, driver, limit: wanted as i64, between };
        let after = position.filter(|position| usize::from(position.phase) == number);
        let found = match phase {
            Phase::Present => ties::rows(conn, &select, after, &load).await?,
            Phase::Nan | Phase::Missing => load(conn, select.sql(conn.engine(), *phase, after)).await?,
        };
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
