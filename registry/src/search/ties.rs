//! Pages in an order under which many rows are equal. The index of the order tells which value comes
//! next, not which of its rows: to find the first of a million equal ones, all would be sorted. Where
//! so many share a value they are read in the order that decides among them, by its own index.

use super::{
    driver,
    entity::{Indexed, Kind},
    order,
    page::Load,
    query::{Condition, Field, Key, Op, Operand, Position, Query},
    select::{Phase, Select},
};
use crate::db::{Conn, DbError, PREFIX_CHARS, sql::Sql};
use std::cmp::Ordering;

/// Values of the first order that rows lie between, neither included.
#[derive(Clone, Copy, Default)]
pub(super) struct Between<'q> {
    pub after: Option<&'q Key>,
    pub before: Option<&'q Key>,
}

/// The first rows of the present phase after `position`.
pub(super) async fn rows<T: Send, L: Load<T>>(
    conn: &mut Conn,
    select: &Select<'_>,
    position: Option<&Position>,
    load: &L,
) -> Result<Vec<T>, DbError> {
    let mut rows: Vec<T> = Vec::new();
    let mut passed: Option<Key> = None;
    let mut position = position;
    loop {
        let limit = select.limit - rows.len() as i64;
        let rest = Select { limit, between: Between { after: passed.as_ref(), before: None }, ..*select };
        let tied = if rest.may_tie() { rest.tied(conn, position).await? } else { None };
        let Some((value, equal)) = tied else {
            rows.extend(load(conn, rest.sql(conn.engine(), Phase::Present, position)).await?);
            return Ok(rows);
        };
        if rest.value_at(conn, position, 0).await?.as_ref() != Some(&value) {
            let before = Select { between: Between { before: Some(&value), ..rest.between }, ..rest };
            rows.extend(load(conn, before.sql(conn.engine(), Phase::Present, position)).await?);
        }
        let limit = select.limit - rows.len() as i64;
        if limit > 0 {
            let query = Query { conditions: vec![equal], orders: Vec::new(), ..select.query.clone() };
            let orders = select.orders.get(1..).unwrap_or_default();
            let own = Select { query: &query, orders, limit, between: Between::default(), ..*select };
            let within =
                position.filter(|position| position.keys.first().is_some_and(|key| same(key, &value)));
            let within = within.map(|position| Position {
                phase: 0,
                keys: position.keys.get(1..).unwrap_or_default().to_vec(),
            });
            rows.extend(load(conn, own.sql(conn.engine(), Phase::Present, within.as_ref())).await?);
        }
        if rows.len() as i64 >= select.limit {
            return Ok(rows);
        }
        (passed, position) = (Some(value), None);
    }
}

/// Whether the engines take both for equal, as they do 0 and -0.
fn same(a: &Key, b: &Key) -> bool {
    match (a, b) {
        (Key::Float(a), Key::Float(b)) => {
            f64::from_bits(*a).partial_cmp(&f64::from_bits(*b)) == Some(Ordering::Equal)
        }
        (a, b) => a == b,
    }
}

impl Select<'_> {
    /// Whether rows may be equal under the one order that was asked for, and an index gives the next.
    fn may_tie(&self) -> bool {
        let [asked] = self.query.orders.as_slice() else { return false };
        let has_index = match &asked.field {
            Field::Attribute(attribute) => {
                // What is joined for its attribute comes in the order of its own indexes.
                matches!(attribute.indexed, Indexed::Whole | Indexed::Prefix)
                    && self.entity.walk(attribute, asked.ascending).is_some()
                    // Few are made in the same millisecond: looking for them would only cost.
                    && self.entity.natural.first().is_none_or(|(name, _)| *name != attribute.name)
                    && !self.entity.table.contains(" JOIN ")
            }
            _ => self.child(asked).is_some_and(|child| child.indexed && child.latest.is_none()),
        };
        let natural = self.orders.get(1).is_some_and(|order| {
            matches!(order.field, Field::Attribute(attribute)
                if !attribute.nullable && self.entity.walk(attribute, order.ascending).is_some())
        });
        let one_part = self.bases.len() == 1 && (self.entity.scope.is_none() || self.ids.len() == 1);
        has_index && natural && one_part && self.driver.is_none() && self.query.conditions.is_empty()
    }

    /// The value with which the page ends, and the condition that it is equal, where many rows share it.
    async fn tied(
        &self,
        conn: &mut Conn,
        position: Option<&Position>,
    ) -> Result<Option<(Key, Condition)>, DbError> {
        let Some(order) = self.orders.first() else { return Ok(None) };
        let Some(value) = self.value_at(conn, position, self.limit - 1).await? else { return Ok(None) };
        let operand = match &value {
            // An index may hold only its beginning.
            Key::Text(text) if text.chars().count() >= PREFIX_CHARS => return Ok(None),
            Key::Text(text) => Operand::Text(text.clone()),
            Key::Int(number) => Operand::Int(*number),
            Key::Float(bits) => Operand::Float(f64::from_bits(*bits)),
            Key::Nan | Key::Missing => return Ok(None),
        };
        let equal = Condition { field: order.field.clone(), op: Op::Eq, operand };
        let most = driver::Extent::of(conn, self.entity, self.limit).await?.most;
        let few = driver::fewest(conn, self.entity, self.query, self.bases, &[&equal], most).await?;
        Ok(few.is_none().then_some((value, equal)))
    }

    /// The value that is `offset` rows after the position's, as far as the order's index alone tells.
    async fn value_at(
        &self,
        conn: &mut Conn,
        position: Option<&Position>,
        offset: i64,
    ) -> Result<Option<Key>, DbError> {
        let Some(order) = self.orders.first() else { return Ok(None) };
        let mut sql = Sql::new(conn.engine(), "SELECT ");
        self.indexed(&mut sql, order);
        sql.push(" FROM ");
        self.values(&mut sql, order);
        if let Some(key) = position.and_then(|position| position.keys.first()) {
            self.from(&mut sql, order, key);
        }
        self.between(&mut sql, order);
        sql.push(" ORDER BY ");
        self.indexed(&mut sql, order);
        sql.push(order::direction(order)).push(" LIMIT 1 OFFSET ").bind(offset);
        let query = conn.generated(sql);
        Ok(match order.field {
            Field::Metric(_) => query.optional().await?.map(|(value,): (f64,)| Key::float(value)),
            Field::Attribute(attribute) if attribute.kind != Kind::Text => {
                query.optional().await?.map(|(value,): (i64,)| Key::Int(value))
            }
            _ => query.optional().await?.map(|(value,): (String,)| Key::Text(value)),
        })
    }
}
