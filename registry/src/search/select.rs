//! The statement that reads one page. It starts from the index that gives its order, stopping at
//! the limit; or from the rows that a condition's index finds, where few meet it; or, where no
//! index gives the order of several experiments together, from the first rows of each.

use super::{
    compile::{self, Owner},
    driver::Driver,
    entity::{Child, Entity},
    order,
    query::{Field, Order, Position, Query},
    ties::Between,
};
use crate::db::{Engine, sql::Sql};

/// Predicates that every row must meet besides the query's, appended with a leading ` AND `.
pub type Base<'b> = &'b (dyn Fn(&mut Sql) + Sync);

/// Parts that are read apart and merged; more are read as one and sorted.
const PARTS_MAX: usize = 64;
/// Rows of all parts together.
const PARTS_ROWS_MAX: i64 = 100_000;
/// Values of lists in all parts together: each part binds them, and SQLite takes 32,766 in a statement.
const PARTS_LISTED_MAX: usize = 10_000;

#[derive(Clone, Copy)]
pub(super) struct Select<'q> {
    pub entity: &'static Entity,
    pub query: &'q Query,
    /// The orders asked for, then the natural ones.
    pub orders: &'q [Order],
    /// Experiments to search.
    pub ids: &'q [i64],
    /// Rows meet one of them.
    pub bases: &'q [Base<'q>],
    /// Few rows, which are all that can meet the query.
    pub driver: Option<&'q Driver<'q>>,
    pub limit: i64,
    /// Of the first order's values, in its present phase.
    pub between: Between<'q>,
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

/// What a statement starts from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Order,
    /// `driver`: few rows that can meet the query.
    Driver,
    /// `driver`: the page's rows, which are only to be put in order.
    Parts,
}

/// Appends ` AND ` and that a row meets one of `bases`.
fn any_of(sql: &mut Sql, bases: &[Base<'_>]) {
    if let [only] = bases {
        return only(sql);
    }
    for (i, base) in bases.iter().enumerate() {
        sql.push(if i == 0 { " AND ((TRUE" } else { " OR (TRUE" });
        base(sql);
        sql.push(")");
    }
    sql.push(if bases.is_empty() { " AND FALSE" } else { ")" });
}

impl Select<'_> {
    /// Rows of one phase, after `position` where the page before ended in this phase.
    pub fn sql(&self, engine: Engine, phase: Phase, position: Option<&Position>) -> Sql {
        let mut sql = Sql::new(engine, "");
        let columns = self.entity.columns;
        if let Some(driver) = self.driver {
            sql.push("WITH driver (owner) AS MATERIALIZED (");
            driver.rows(&mut sql, self.entity, self.query, self.bases);
            sql.push(") SELECT ").push(columns);
            self.rows(&mut sql, Start::Driver, phase, position);
        } else if self.has_parts() {
            sql.push("WITH driver AS MATERIALIZED (");
            self.parts(&mut sql, phase, position);
            sql.push(") SELECT ").push(columns);
            self.rows(&mut sql, Start::Parts, phase, position);
        } else {
            sql.push("SELECT ").push(columns);
            self.rows(&mut sql, Start::Order, phase, position);
        }
        sql
    }

    /// Whether the search is a few reads of one experiment and one base each.
    fn has_parts(&self) -> bool {
        let scopes = if self.entity.scope.is_some() { self.ids.len() } else { 1 };
        let parts = scopes * self.bases.len();
        let listed: usize = self.query.conditions.iter().map(|condition| condition.operand.listed()).sum();
        (2..=PARTS_MAX).contains(&parts)
            && parts as i64 * self.limit <= PARTS_ROWS_MAX
            && parts * listed <= PARTS_LISTED_MAX
    }

    /// Appends the keys of the first rows of each part.
    fn parts(&self, sql: &mut Sql, phase: Phase, position: Option<&Position>) {
        let scopes: Vec<&[i64]> = match self.entity.scope {
            Some(_) => self.ids.chunks(1).collect(),
            None => vec![self.ids],
        };
        let mut number = 0;
        for ids in scopes {
            for bases in self.bases.chunks(1) {
                sql.push(if number == 0 {
                    "SELECT owner FROM (SELECT "
                } else {
                    " UNION ALL SELECT owner FROM (SELECT "
                });
                sql.push(self.entity.key).push(" AS owner");
                Select { ids, bases, ..*self }.rows(sql, Start::Order, phase, position);
                sql.push(") ").push_alias("part", number);
                number += 1;
            }
        }
    }

    /// Appends everything after the select list.
    fn rows(&self, sql: &mut Sql, start: Start, phase: Phase, position: Option<&Position>) {
        sql.push(" FROM ");
        self.sources(sql, start, phase);
        sql.push(" WHERE TRUE");
        if start != Start::Order {
            sql.push(" AND ").push(self.entity.key).push(" = driver.owner");
        }
        if let Some(order) = self.orders.first() {
            self.first_order(sql, order, phase, start == Start::Order);
            self.between(sql, order);
        }
        if start != Start::Parts {
            self.predicates(sql, start, phase);
            if let Some(position) = position {
                self.after(sql, phase, position);
            }
        }
        self.order(sql, phase);
        sql.push(" LIMIT ").bind(self.limit);
    }

    /// The tables, the one that drives first. CROSS JOIN keeps SQLite from reordering them;
    /// PostgreSQL takes it for any inner join.
    fn sources(&self, sql: &mut Sql, start: Start, phase: Phase) {
        let table = self.entity.table;
        match (start, self.first_child(phase)) {
            // Rows are looked up of those values only of which the other children meet the query.
            (Start::Order, Some((order, child))) => {
                sql.push("(SELECT o0.* FROM ").push(child.table).push(" o0 WHERE TRUE");
                self.first_values(sql, order, child, phase);
                let owner = Owner::new("o0.", child.owner).one_by_one();
                compile::of_children(sql, self.entity, self.query, owner, None);
                sql.push(") o0 CROSS JOIN ").push(table);
            }
            (Start::Order, None) => {
                sql.push_table(table, self.walk(phase));
            }
            (_, Some((_, child))) => {
                sql.push("driver CROSS JOIN ").push(table).push(" CROSS JOIN ").push(child.table).push(" o0");
            }
            (_, None) => {
                sql.push("driver CROSS JOIN ").push(table);
            }
        }
        for (i, order) in self.orders.iter().enumerate().skip(1) {
            if let Some(child) = self.child(order) {
                sql.push(" LEFT JOIN ").push(child.table).push(" ").push_alias("o", i).push(" ON TRUE");
                self.of_row(sql, child, i);
                order::counted(sql, order, child, i);
            }
        }
    }

    /// The first order and the children that hold its values, where the phase's rows have one.
    fn first_child(&self, phase: Phase) -> Option<(&Order, Child)> {
        let order = self.orders.first().filter(|_| phase != Phase::Missing)?;
        Some((order, self.child(order)?))
    }

    /// The table with the index that gives the order, where the rows come in one of their attributes.
    fn walk(&self, phase: Phase) -> Option<&'static str> {
        let lacking = self.orders.first().is_some_and(|first| self.child(first).is_some());
        let order = match (phase, lacking) {
            (Phase::Missing, true) => self.orders.get(1)?,
            // Few rows lack an attribute, or all do: the engine tells better.
            (Phase::Missing, false) => return None,
            _ => self.orders.first()?,
        };
        match order.field {
            Field::Attribute(attribute) => self.entity.walk(attribute, order.ascending),
            _ => None,
        }
    }

    pub(super) fn child(&self, order: &Order) -> Option<Child> {
        match order.field {
            Field::Metric(_) => self.entity.metrics,
            Field::Param(_) => self.entity.params,
            Field::Tag(_) => self.entity.tags,
            Field::Attribute(_) | Field::Dataset(_) | Field::Trace(_) => None,
        }
    }

    /// What a row must meet, but for what [`Self::sources`] has asked of its children.
    fn predicates(&self, sql: &mut Sql, start: Start, phase: Phase) {
        if let Some(column) = self.entity.scope {
            sql.push(" AND ");
            compile::scope_to(sql, column, self.ids);
        }
        any_of(sql, self.bases);
        let own = Owner::of(self.entity).one_by_one();
        match (start, self.first_child(phase)) {
            (Start::Order, Some(_)) => {
                compile::of_attributes(sql, self.query, None);
                compile::of_traces(sql, self.query, own, None);
            }
            (Start::Order, None) => compile::conditions(sql, self.entity, self.query, own, None),
            (Start::Driver | Start::Parts, _) => {
                let met = self.driver.and_then(Driver::met);
                compile::conditions(
                    sql,
                    self.entity,
                    self.query,
                    Owner::new("driver.", "owner").one_by_one(),
                    met,
                );
            }
        }
    }
}
