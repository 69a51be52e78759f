//! Which condition drives a search: where few rows meet one and an index finds them, starting from
//! those costs less than walking an order's index for few matches.

use super::{
    compile,
    entity::{Attribute, Child, Entity, Indexed},
    query::{Condition, DatasetField, Field, Op, Operand, Query},
    scan,
    select::Base,
    traces::{self, TraceField},
};
use crate::db::{Conn, DbError, PREFIX_CHARS, sql::Sql};

/// Rows that a condition which drives a search may find, whatever the size of the table.
const ROWS_MIN: i64 = 500;
const ROWS_MAX: i64 = 10_000;
/// Conditions that are counted; a filter may have hundreds.
const COUNTED_MAX: usize = 16;

/// Few rows that a search starts from.
pub(super) enum Driver<'q> {
    /// Those that meet a condition, as its index finds them.
    Condition(&'q Condition),
    /// Those of which it is known that no other row meets the query.
    Rows(Vec<i64>),
}

impl<'q> Driver<'q> {
    /// Appends the statement that gives their keys.
    pub fn rows(&self, sql: &mut Sql, entity: &Entity, query: &Query, bases: &[Base<'_>]) {
        match self {
            Self::Condition(condition) => rows(sql, entity, query, bases, condition, true),
            Self::Rows(keys) => {
                sql.bind_keys(keys);
            }
        }
    }

    /// The condition that they all meet.
    pub const fn met(&self) -> Option<&'q Condition> {
        match self {
            Self::Condition(condition) => Some(condition),
            Self::Rows(_) => None,
        }
    }

    /// Whether it is known that no row meets the query.
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::Rows(keys) if keys.is_empty())
    }
}

/// How an index finds the rows that meet a condition.
enum Way<'q> {
    Child(Child, &'q str),
    Attribute(&'static Attribute),
    Dataset,
    Trace(&'q TraceField),
}

fn way<'q>(entity: &Entity, condition: &'q Condition) -> Option<Way<'q>> {
    let equal = condition.op == Op::Eq;
    let listed = equal || condition.op == Op::In;
    let ranged = equal || matches!(condition.op, Op::Lt | Op::Le | Op::Gt | Op::Ge);
    let child = |child: Option<Child>, key: &'q str| {
        child.filter(|child| child.indexed).map(|child| Way::Child(child, key))
    };
    match &condition.field {
        Field::Metric(key) if ranged => child(entity.metrics, key),
        Field::Param(key) if equal => child(entity.params, key),
        Field::Tag(key) if equal => child(entity.tags, key),
        Field::Dataset(DatasetField::Name) if listed && entity.datasets => Some(Way::Dataset),
        Field::Attribute(attribute) => match attribute.indexed {
            Indexed::No => None,
            Indexed::Whole => (listed || ranged).then_some(Way::Attribute(attribute)),
            Indexed::Prefix | Indexed::Unique => listed.then_some(Way::Attribute(attribute)),
        },
        Field::Trace(field) if traces::can_drive(field, condition) => Some(Way::Trace(field)),
        _ => None,
    }
}

/// The rows of the condition that the fewest meet, when an index tells so cheaply.
pub(super) async fn choose<'q>(
    conn: &mut Conn,
    entity: &Entity,
    query: &'q Query,
    bases: &[Base<'_>],
    limit: usize,
) -> Result<Option<Driver<'q>>, DbError> {
    let candidates: Vec<&Condition> =
        query.conditions.iter().filter(|c| way(entity, c).is_some()).take(COUNTED_MAX).collect();
    let named = candidates.iter().find(
        |condition| matches!(way(entity, condition), Some(Way::Attribute(a)) if a.indexed == Indexed::Unique),
    );
    if let Some(condition) = named {
        return Ok(Some(Driver::Condition(condition)));
    }
    let is_scanned = |c: &&Condition| way(entity, c).is_none() && scan::can_drive(entity, c);
    let scanned: Vec<&Condition> = query.conditions.iter().filter(is_scanned).collect();
    if candidates.is_empty() && scanned.is_empty() {
        return Ok(None);
    }
    let extent = Extent::of(conn, entity, limit as i64).await?;
    if let Some(condition) = fewest(conn, entity, query, bases, &candidates, extent.most).await? {
        return Ok(Some(Driver::Condition(condition)));
    }
    Ok(scan::rows(conn, entity, query, bases, &scanned, extent).await?.map(Driver::Rows))
}

/// The one of `candidates` that the fewest rows meet, where those are fewer than `most`.
pub(super) async fn fewest<'q>(
    conn: &mut Conn,
    entity: &Entity,
    query: &Query,
    bases: &[Base<'_>],
    candidates: &[&'q Condition],
    most: i64,
) -> Result<Option<&'q Condition>, DbError> {
    if candidates.is_empty() {
        return Ok(None);
    }
    // One statement for all: on PostgreSQL each costs a round trip.
    let mut sql = Sql::new(conn.engine(), "");
    for (number, condition) in candidates.iter().enumerate() {
        sql.push(if number == 0 { "" } else { " UNION ALL " });
        sql.push("SELECT COUNT(*) AS found, CAST(").bind(number as i64).push(" AS BIGINT) AS number FROM (");
        rows(&mut sql, entity, query, bases, condition, false);
        sql.push(" LIMIT ").bind(most).push(") matches");
    }
    let counts: Vec<(i64, i64)> = conn.generated(sql).all().await?;
    let least = counts.into_iter().filter(|(found, _)| *found < most).min();
    Ok(least.and_then(|(_, number)| candidates.get(number as usize).copied()))
}

/// How far a search reaches, in rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Of the table, about.
    pub all: i64,
    /// Of the page.
    pub limit: i64,
    /// A condition that fewer meet drives the search: those are sorted faster than an order's index is walked
    /// for few matches. To fill a page of `limit` rows of which one in n meets the condition, the walk reads n
    /// times as many; both cost the same where the square of what is found is `limit` times all. Half of that,
    /// because counting costs as well.
    pub most: i64,
}

impl Extent {
    pub async fn of(conn: &mut Conn, entity: &Entity, limit: i64) -> Result<Self, DbError> {
        let mut sql = Sql::new(conn.engine(), "SELECT MAX(");
        sql.push(entity.key).push(") FROM ").push(entity.table.split(" JOIN ").next().unwrap_or_default());
        let (newest,): (Option<i64>,) = conn.generated(sql).one().await?;
        let all = newest.unwrap_or_default();
        let most = (limit.saturating_mul(all) / 4).isqrt().clamp(ROWS_MIN, ROWS_MAX);
        Ok(Self { all, limit, most })
    }
}

/// Appends the statement that finds the rows that meet `condition` by its index, as `owner`. Nothing
/// is appended where none serves it. Only where they are to be `distinct` does none come twice, and
/// is text compared beyond what the index holds where that is all of what is asked for.
pub(super) fn rows(
    sql: &mut Sql,
    entity: &Entity,
    query: &Query,
    bases: &[Base<'_>],
    condition: &Condition,
    distinct: bool,
) {
    match way(entity, condition) {
        Some(Way::Child(child, key)) => {
            // Of a key with many values several may meet it.
            sql.push(if child.latest.is_some() { "SELECT DISTINCT c." } else { "SELECT c." });
            sql.push(child.owner).push(" AS owner FROM ").push(child.table).push(" c WHERE ");
            if entity.scope.is_some() {
                compile::scope(sql, "c.experiment_id", query);
                sql.push(" AND ");
            }
            sql.push("c.key = ").bind(key).push(" AND ");
            let by_prefix = sql.engine().indexes_prefixes()
                && condition.op == Op::Eq
                && matches!(condition.operand, Operand::Text(_));
            if by_prefix {
                prefixed(sql, "c.value", condition);
            }
            if distinct || !by_prefix || !is_short(&condition.operand) {
                sql.push(if by_prefix { " AND " } else { "" });
                compile::value(sql, condition);
            }
            if matches!(condition.field, Field::Metric(_)) {
                compile::measured_on(sql, "c", &query.datasets);
            }
        }
        // Indexes begin with what tells the bases apart.
        Some(Way::Attribute(attribute)) => {
            for (number, base) in bases.iter().enumerate() {
                sql.push(if number == 0 { "SELECT " } else { " UNION ALL SELECT " });
                sql.push(entity.key).push(" AS owner FROM ");
                sql.push_table(entity.table, entity.walk(attribute, true)).push(" WHERE ");
                if let Some(column) = entity.scope {
                    compile::scope(sql, column, query);
                    sql.push(" AND ");
                }
                let by_prefix = sql.engine().indexes_prefixes() && attribute.indexed == Indexed::Prefix;
                if by_prefix {
                    prefixed(sql, attribute.column, condition);
                }
                if distinct || !by_prefix || !is_short(&condition.operand) {
                    sql.push(if by_prefix { " AND " } else { "" });
                    compile::compare(sql, attribute.column, condition.op, &condition.operand);
                }
                base(sql);
            }
        }
        Some(Way::Dataset) => {
            sql.push("SELECT DISTINCT i.rid AS owner FROM datasets d");
            sql.push(" CROSS JOIN run_datasets i WHERE i.dataset_rid = d.dataset_rid AND ");
            compile::scope(sql, "d.experiment_id", query);
            sql.push(" AND ");
            compile::compare(sql, "d.name", condition.op, &condition.operand);
        }
        Some(Way::Trace(field)) => traces::by_index(sql, query, field, condition, distinct),
        None => {}
    }
}

/// Whether all of the text that is asked for fits into an index's prefix.
fn is_short(operand: &Operand) -> bool {
    let short = |text: &String| text.chars().count() < PREFIX_CHARS;
    match operand {
        Operand::Text(text) => short(text),
        Operand::Texts(texts) => texts.iter().all(short),
        _ => false,
    }
}

/// Appends what an index that holds a prefix of the column can seek.
fn prefixed(sql: &mut Sql, column: &'static str, condition: &Condition) {
    let prefix = |text: &String| -> String { text.chars().take(PREFIX_CHARS).collect() };
    let prefixes = match &condition.operand {
        Operand::Text(text) => vec![prefix(text)],
        Operand::Texts(texts) => texts.iter().map(prefix).collect(),
        _ => return,
    };
    sql.push("substr(").push(column).push(", 1, 200) IN (");
    sql.bind_list(prefixes.into_iter().map(Into::into)).push(")");
}
