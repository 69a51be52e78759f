//! The statement that reads one page: driven either by the index that gives its order, stopping
//! at the limit, or by the index of a condition that few rows meet.

use super::{
    compile::{self, PREFIX_CHARS},
    entity::{Child, Entity},
    query::{Condition, Field, Key, Order, Position, Query},
};
use crate::db::{Engine, sql::Sql};

const INDEXED_TEXT: &str = ".value, 1, 200)";

/// Predicates that every row must meet besides the query's, appended with a leading ` AND `.
pub type Base<'b> = &'b (dyn Fn(&mut Sql) + Sync);

pub(super) struct Select<'q> {
    pub entity: &'static Entity,
    pub query: &'q Query,
    /// The orders asked for, then the natural ones.
    pub orders: &'q [Order],
    pub base: Base<'q>,
    /// A condition that few rows meet.
    pub driver: Option<&'q Condition>,
    pub limit: i64,
}

/// Where the first order's value is: rows that have one come before NaN before those that lack it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Present,
    Nan,
    Missing,
}

impl Phase {
    /// The phases that rows pass under this first order.
    pub fn of(order: &Order) -> &'static [Self] {
        match &order.field {
            Field::Attribute(attribute) if !attribute.nullable => &[Self::Present],
            Field::Metric(_) => &[Self::Present, Self::Nan, Self::Missing],
            _ => &[Self::Present, Self::Missing],
        }
    }
}

impl Select<'_> {
    /// Rows of one phase, after `position` where the page before ended in this phase.
    pub fn sql(&self, engine: Engine, phase: Phase, position: Option<&Position>) -> Sql {
        let mut sql = Sql::new(engine, "");
        if let Some(driver) = self.driver {
            sql.push("WITH driver AS MATERIALIZED (");
            compile::by_index(&mut sql, self.entity, self.query, driver, true);
            sql.push(") ");
        }
        sql.push("SELECT ").push(self.entity.columns).push(" FROM ");
        self.sources(&mut sql, phase);
        self.predicates(&mut sql, phase);
        if let Some(position) = position {
            self.after(&mut sql, phase, position);
        }
        self.order(&mut sql, phase);
        sql.push(" LIMIT ").bind(self.limit);
        sql
    }

    /// The tables, the one that drives first. CROSS JOIN keeps SQLite from reordering them;
    /// PostgreSQL takes it for any inner join.
    fn sources(&self, sql: &mut Sql, phase: Phase) {
        let first = self.orders.first().and_then(|order| Some((order, self.child(order)?)));
        match (self.driver, first) {
            (Some(_), _) => {
                sql.push("driver CROSS JOIN ").push(self.entity.table);
            }
            (None, Some((order, child))) if phase != Phase::Missing => {
                Self::child_rows(sql, self.query, order, child, 0);
                sql.push(" CROSS JOIN ").push(self.entity.table);
            }
            (None, _) => {
                sql.push(self.entity.table);
            }
        }
        if let (Some(_), Some((order, child))) = (self.driver, first)
            && phase != Phase::Missing
        {
            sql.push(" CROSS JOIN ");
            Self::child_rows(sql, self.query, order, child, 0);
        }
        for (i, order) in self.orders.iter().enumerate().skip(1) {
            if let Some(child) = self.child(order) {
                sql.push(" LEFT JOIN ");
                Self::child_rows(sql, self.query, order, child, i);
                sql.push(" ON ")
                    .push_alias("o", i)
                    .push(".")
                    .push(child.owner)
                    .push(" = ")
                    .push(self.entity.key);
                if child.latest.is_none() {
                    sql.push(" AND ").push_alias("o", i).push(".key = ").bind(key_name(order));
                }
            }
        }
    }

    fn child(&self, order: &Order) -> Option<Child> {
        match order.field {
            Field::Metric(_) => self.entity.metrics,
            Field::Param(_) => self.entity.params,
            Field::Tag(_) => self.entity.tags,
            Field::Attribute(_) | Field::Dataset(_) | Field::Trace(_) => None,
        }
    }

    /// Appends the child's table as `o<i>`; where a key has many values, the one that counts.
    fn child_rows(sql: &mut Sql, query: &Query, order: &Order, child: Child, i: usize) {
        if let Some(latest) = child.latest {
            sql.push("(SELECT c.*, ROW_NUMBER() OVER (PARTITION BY c.").push(child.owner);
            sql.push(" ORDER BY ").push(latest).push(") AS rank FROM ").push(child.table);
            sql.push(" c WHERE ");
            compile::scope(sql, "c.experiment_id", query);
            sql.push(" AND c.key = ").bind(key_name(order));
            let dataset: Vec<_> = order.dataset.iter().cloned().collect();
            compile::measured_on(sql, "c", &dataset);
            sql.push(") ").push_alias("o", i);
        } else {
            sql.push(child.table).push(" ").push_alias("o", i);
        }
    }

    fn predicates(&self, sql: &mut Sql, phase: Phase) {
        sql.push(" WHERE TRUE");
        if self.driver.is_some() {
            sql.push(" AND ").push(self.entity.key).push(" = driver.owner");
        }
        if let Some(order) = self.orders.first() {
            self.first_order(sql, order, phase);
        }
        for i in 1..self.orders.len() {
            if self.child(&self.orders[i]).is_some_and(|child| child.latest.is_some()) {
                sql.push(" AND COALESCE(").push_alias("o", i).push(".rank, 1) = 1");
            }
        }
        if let Some(column) = self.entity.scope {
            sql.push(" AND ");
            compile::scope(sql, column, self.query);
        }
        (self.base)(sql);
        compile::conditions(sql, self.entity, self.query, self.driver);
    }

    /// Rows of `phase` of the first order.
    fn first_order(&self, sql: &mut Sql, order: &Order, phase: Phase) {
        let Some(child) = self.child(order) else {
            if let Field::Attribute(attribute) = order.field
                && attribute.nullable
            {
                sql.push(" AND ").push(attribute.column);
                sql.push(if phase == Phase::Missing { " IS NULL" } else { " IS NOT NULL" });
            }
            return;
        };
        if phase == Phase::Missing {
            sql.push(" AND NOT EXISTS (SELECT 1 FROM ")
                .push(child.table)
                .push(" c WHERE c.")
                .push(child.owner);
            sql.push(" = ").push(self.entity.key).push(" AND c.key = ").bind(key_name(order));
            let dataset: Vec<_> = order.dataset.iter().cloned().collect();
            compile::measured_on(sql, "c", &dataset);
            sql.push(")");
            return;
        }
        sql.push(" AND o0.").push(child.owner).push(" = ").push(self.entity.key);
        if child.latest.is_some() {
            sql.push(" AND o0.rank = 1");
        } else {
            sql.push(" AND o0.key = ").bind(key_name(order));
            if self.entity.scope.is_some() && child.indexed {
                sql.push(" AND ");
                compile::scope(sql, "o0.experiment_id", self.query);
            }
        }
        if matches!(order.field, Field::Metric(_)) {
            sql.push(if phase == Phase::Nan { " AND o0.is_nan = TRUE" } else { " AND o0.is_nan = FALSE" });
        }
    }

    /// Rows after `position`: `a > $a OR (a = $a AND (b > $b OR (…)))`.
    fn after(&self, sql: &mut Sql, phase: Phase, position: &Position) {
        if let (Phase::Present, Some(key), Some(order)) = (phase, position.keys.first(), self.orders.first())
        {
            // What the index can seek to; the exact predicate follows.
            sql.push(" AND ");
            self.bound(sql, 0, order, key, if order.ascending { " >= " } else { " <= " });
        }
        sql.push(" AND ");
        let mut open = 0;
        for (i, (order, key)) in self.orders.iter().zip(&position.keys).enumerate() {
            let last = i + 1 == self.orders.len();
            let valued =
                if i == 0 { phase == Phase::Present } else { !matches!(key, Key::Missing | Key::Nan) };
            sql.push("(");
            open += 1;
            if i > 0 && self.has_class(order) {
                Self::class(sql, i, order);
                sql.push(" > ").bind(class_of(key)).push(" OR (");
                open += 1;
                Self::class(sql, i, order);
                sql.push(" = ").bind(class_of(key)).push(" AND (");
                open += 1;
            }
            if valued {
                self.bound(sql, i, order, key, if order.ascending { " > " } else { " < " });
            } else {
                sql.push("FALSE");
            }
            if !last {
                sql.push(" OR (");
                open += 1;
                if valued {
                    self.bound(sql, i, order, key, " = ");
                } else {
                    sql.push("TRUE");
                }
                sql.push(" AND ");
            }
        }
        for _ in 0..open {
            sql.push(")");
        }
    }

    /// Appends `<value of order i> <op> <key>`.
    fn bound(&self, sql: &mut Sql, i: usize, order: &Order, key: &Key, op: &'static str) {
        let prefix =
            matches!(op, " >= " | " <= ") && matches!(key, Key::Text(_)) && self.child(order).is_some();
        if prefix {
            sql.push("substr(").push_alias("o", i).push(INDEXED_TEXT).push(op);
        } else {
            Self::value(sql, i, order);
            sql.push(op);
        }
        match key {
            Key::Text(text) if prefix => sql.bind(text.chars().take(PREFIX_CHARS).collect::<String>()),
            Key::Text(text) => sql.bind(text.as_str()),
            Key::Int(number) => sql.bind(*number),
            Key::Float(bits) => sql.bind(f64::from_bits(*bits)),
            Key::Nan | Key::Missing => sql.push("NULL"),
        };
    }

    fn value(sql: &mut Sql, i: usize, order: &Order) {
        match order.field {
            Field::Attribute(attribute) => sql.push(attribute.column),
            _ => sql.push_alias("o", i).push(".value"),
        };
    }

    /// Whether rows may lack a value under this order.
    fn has_class(&self, order: &Order) -> bool {
        match order.field {
            Field::Attribute(attribute) => attribute.nullable,
            _ => self.child(order).is_some(),
        }
    }

    /// Appends 0 for rows that have a value, 1 for NaN, 2 for those that lack it.
    fn class(sql: &mut Sql, i: usize, order: &Order) {
        match order.field {
            Field::Attribute(attribute) => {
                sql.push("CASE WHEN ").push(attribute.column).push(" IS NULL THEN 2 ELSE 0 END");
            }
            Field::Metric(_) => {
                sql.push("CASE WHEN ").push_alias("o", i).push(".value IS NULL THEN 2 WHEN ");
                sql.push_alias("o", i).push(".is_nan = TRUE THEN 1 ELSE 0 END");
            }
            _ => {
                sql.push("CASE WHEN ").push_alias("o", i).push(".value IS NULL THEN 2 ELSE 0 END");
            }
        }
    }

    fn order(&self, sql: &mut Sql, phase: Phase) {
        sql.push(" ORDER BY ");
        let mut separator = "";
        for (i, order) in self.orders.iter().enumerate() {
            if i == 0 && phase != Phase::Present {
                continue;
            }
            sql.push(separator);
            separator = ", ";
            if i > 0 && self.has_class(order) {
                Self::class(sql, i, order);
                sql.push(", ");
            }
            // The index of texts holds a prefix: it gives the order but for longer values.
            if i == 0 && matches!(order.field, Field::Param(_) | Field::Tag(_)) {
                sql.push("substr(o0").push(INDEXED_TEXT).push(direction(order)).push(", ");
            }
            Self::value(sql, i, order);
            sql.push(direction(order));
        }
    }
}

fn direction(order: &Order) -> &'static str {
    if order.ascending { " ASC" } else { " DESC" }
}

fn key_name(order: &Order) -> &str {
    match &order.field {
        Field::Metric(key) | Field::Param(key) | Field::Tag(key) => key,
        Field::Attribute(_) | Field::Dataset(_) | Field::Trace(_) => "",
    }
}

fn class_of(key: &Key) -> i64 {
    match key {
        Key::Nan => 1,
        Key::Missing => 2,
        Key::Text(_) | Key::Int(_) | Key::Float(_) => 0,
    }
}
