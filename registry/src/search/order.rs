//! The parts of a page's statement that put its rows in order and go on after a position.

use super::{
    compile,
    entity::{Child, Indexed},
    query::{Field, Key, Order, Position},
    select::{Phase, Select},
};
use crate::db::{PREFIX_CHARS, sql::Sql};

impl Select<'_> {
    /// Rows of `phase` of the first order; `read`: whether a child's values are limited to it already.
    pub(super) fn first_order(&self, sql: &mut Sql, order: &Order, phase: Phase, read: bool) {
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
            sql.push(" AND NOT EXISTS (SELECT 1 FROM ").push(child.table).push(" c WHERE c.");
            sql.push(child.owner).push(" = ").push(self.entity.key);
            sql.push(" AND c.key = ").bind(key_name(order));
            compile::measured_on(sql, "c", order.dataset.as_slice());
            sql.push(")");
            return;
        }
        self.of_row(sql, child, 0);
        if !read {
            self.first_values(sql, order, child, phase);
        }
    }

    /// Appends ` AND …`: `o0` is a value under the first order, of rows of that phase.
    pub(super) fn first_values(&self, sql: &mut Sql, order: &Order, child: Child, phase: Phase) {
        counted(sql, order, child, 0);
        if self.entity.scope.is_some() && child.indexed {
            sql.push(" AND ");
            compile::scope_to(sql, "o0.experiment_id", self.ids);
        }
        if matches!(order.field, Field::Metric(_)) {
            sql.push(if phase == Phase::Nan { " AND o0.is_nan = TRUE" } else { " AND o0.is_nan = FALSE" });
        }
    }

    /// Appends ` AND ` and that `o<i>` belongs to the row.
    pub(super) fn of_row(&self, sql: &mut Sql, child: Child, i: usize) {
        sql.push(" AND ").push_alias("o", i).push(".").push(child.owner).push(" = ").push(self.entity.key);
    }

    /// Rows after `position`: `a > $a OR (a = $a AND (b > $b OR (…)))`.
    pub(super) fn after(&self, sql: &mut Sql, phase: Phase, position: &Position) {
        if let (Phase::Present, Some(key), Some(order)) = (phase, position.keys.first(), self.orders.first())
        {
            // The exact predicate follows.
            self.from(sql, order, key);
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
                class(sql, i, order);
                sql.push(" > ").bind(class_of(key)).push(" OR (");
                open += 1;
                class(sql, i, order);
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
        let sought = matches!(op, " >= " | " <= ") && matches!(key, Key::Text(_));
        let prefix = sought && self.has_prefix(sql, order);
        if prefix {
            prefix_of(sql, i, order);
        } else {
            value(sql, i, order);
        }
        sql.push(op);
        match key {
            Key::Text(text) if prefix => {
                sql.bind(text.chars().take(PREFIX_CHARS).collect::<String>());
            }
            key => bind_key(sql, key),
        }
    }

    /// Whether rows may lack a value under this order.
    fn has_class(&self, order: &Order) -> bool {
        match order.field {
            Field::Attribute(attribute) => attribute.nullable,
            _ => self.child(order).is_some(),
        }
    }

    /// Whether the order's index holds a prefix of its text.
    fn has_prefix(&self, sql: &Sql, order: &Order) -> bool {
        let is_text = match order.field {
            Field::Attribute(attribute) => attribute.indexed == Indexed::Prefix,
            Field::Metric(_) => false,
            _ => self.child(order).is_some(),
        };
        is_text && sql.engine().indexes_prefixes()
    }

    pub(super) fn order(&self, sql: &mut Sql, phase: Phase) {
        sql.push(" ORDER BY ");
        let mut separator = "";
        for (i, order) in self.orders.iter().enumerate() {
            if i == 0 && phase != Phase::Present {
                continue;
            }
            sql.push(separator);
            separator = ", ";
            if i > 0 && self.has_class(order) {
                class(sql, i, order);
                sql.push(", ");
            }
            // An index of prefixes gives the order but for longer values.
            if i == 0 && self.has_prefix(sql, order) {
                prefix_of(sql, 0, order);
                sql.push(direction(order)).push(", ");
            }
            value(sql, i, order);
            sql.push(direction(order));
        }
    }

    /// Appends ` AND …`: the first order's value is that of `key` or comes later, as its index can seek.
    pub(super) fn from(&self, sql: &mut Sql, order: &Order, key: &Key) {
        sql.push(" AND ");
        self.bound(sql, 0, order, key, if order.ascending { " >= " } else { " <= " });
    }

    /// Appends ` AND …`: the first order's value lies between what [`Select::between`] says, which are
    /// values that an index holds whole.
    pub(super) fn between(&self, sql: &mut Sql, order: &Order) {
        let (later, earlier) = if order.ascending { (" > ", " < ") } else { (" < ", " > ") };
        for (key, op) in [(self.between.after, later), (self.between.before, earlier)] {
            let Some(key) = key else { continue };
            sql.push(" AND ");
            self.indexed(sql, order);
            sql.push(op);
            bind_key(sql, key);
        }
    }

    /// Appends the first order's value as its index holds it.
    pub(super) fn indexed(&self, sql: &mut Sql, order: &Order) {
        if self.has_prefix(sql, order) {
            prefix_of(sql, 0, order);
        } else {
            value(sql, 0, order);
        }
    }

    /// Appends from where the first order's values are read, where one index gives them, with what
    /// limits them to this search.
    pub(super) fn values(&self, sql: &mut Sql, order: &Order) {
        let scope = self.entity.scope;
        match (&order.field, self.child(order)) {
            (Field::Attribute(attribute), _) => {
                sql.push_table(self.entity.table, self.entity.walk(attribute, order.ascending));
                sql.push(" WHERE TRUE");
                if let Some(column) = scope {
                    sql.push(" AND ");
                    compile::scope_to(sql, column, self.ids);
                }
                self.first_order(sql, order, Phase::Present, false);
                for base in self.bases {
                    base(sql);
                }
            }
            (field, Some(child)) => {
                sql.push(child.table).push(" o0 WHERE o0.key = ").bind(key_name(order));
                if scope.is_some() {
                    sql.push(" AND ");
                    compile::scope_to(sql, "o0.experiment_id", self.ids);
                }
                sql.push(if matches!(field, Field::Metric(_)) { " AND o0.is_nan = FALSE" } else { "" });
            }
            (_, None) => {}
        }
    }
}

/// Appends ` AND ` and that `o<i>` is a value under `order`; where a key has many, the one that counts.
pub(super) fn counted(sql: &mut Sql, order: &Order, child: Child, i: usize) {
    sql.push(" AND ").push_alias("o", i).push(".key = ").bind(key_name(order));
    let Some(latest) = child.latest else {
        return;
    };
    let datasets = order.dataset.as_slice();
    let alias = |sql: &mut Sql| {
        sql.push_alias("o", i);
    };
    compile::measured(sql, &alias, datasets);
    // No other value counts more; the first column is what the key's index seeks.
    sql.push(" AND NOT EXISTS (SELECT 1 FROM ").push(child.table).push(" n WHERE n.");
    sql.push(child.owner).push(" = ").push_alias("o", i).push(".").push(child.owner);
    sql.push(" AND n.key = ").bind(key_name(order));
    compile::measured_on(sql, "n", datasets);
    if let Some((column, greatest)) = latest.first() {
        sql.push(" AND ");
        against(sql, column, if *greatest { " >= " } else { " <= " }, i);
    }
    for (number, (column, greatest)) in latest.iter().enumerate() {
        sql.push(" AND (");
        against(sql, column, if *greatest { " > " } else { " < " }, i);
        if number + 1 < latest.len() {
            sql.push(" OR (");
            against(sql, column, " = ", i);
        }
    }
    for number in 0..latest.len() {
        sql.push(if number == 0 { ")" } else { "))" });
    }
    sql.push(")");
}

/// Appends `n.<column> <op> o<i>.<column>`.
fn against(sql: &mut Sql, column: &'static str, op: &'static str, i: usize) {
    sql.push("n.").push(column).push(op).push_alias("o", i).push(".").push(column);
}

fn bind_key(sql: &mut Sql, key: &Key) {
    match key {
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

fn prefix_of(sql: &mut Sql, i: usize, order: &Order) {
    sql.push("substr(");
    value(sql, i, order);
    sql.push(", 1, 200)");
}

/// Appends 0 for rows that have a value, 1 for NaN, 2 for those that lack it.
fn class(sql: &mut Sql, i: usize, order: &Order) {
    sql.push("CASE WHEN ");
    value(sql, i, order);
    sql.push(" IS NULL THEN 2 ");
    if matches!(order.field, Field::Metric(_)) {
        sql.push("WHEN ").push_alias("o", i).push(".is_nan = TRUE THEN 1 ");
    }
    sql.push("ELSE 0 END");
}

pub(super) fn direction(order: &Order) -> &'static str {
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
