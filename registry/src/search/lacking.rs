//! The rows that lack a key, which are in no index of its values. Where many do, any order soon gives a page of
//! them; where few do, each engine finds them in the way in which it looks at all rows fastest: `marks.rs`,
//! `tallies.rs`.

use super::{
    driver::Extent,
    entity::{Attribute, Child, Entity},
    query::{Condition, Field, Query},
    scan::{ROWS_PER_WANTED, attribute_values, child, child_values},
    select::Base,
};
use crate::db::{Conn, DbError, sql::Sql};

/// [`ROWS_PER_WANTED`] where the page's order is that in which rows are made, on SQLite: to look at all rows costs
/// half of what that order does.
const PER_WANTED_AS_MADE: i64 = 2;
/// Rows from which on some of them tell whether many lack the key, before all are looked at. Tests have few rows,
/// and both ways to go.
pub(super) const MANY: i64 = if cfg!(test) { 8 } else { 60_000 };

/// Keys of the rows that lack the condition's key, where those are few.
pub(super) async fn rows(
    conn: &mut Conn,
    entity: &Entity,
    query: &Query,
    bases: &[Base<'_>],
    condition: &Condition,
    extent: Extent,
) -> Result<Option<Vec<i64>>, DbError> {
    let (Some((child, key)), Some(made)) = (child(entity, condition), as_made(entity)) else {
        return Ok(None);
    };
    let merges = conn.engine().merges_tables();
    let is_as_made = query.orders.first().is_none_or(|first| first.field == Field::Attribute(made));
    let per_wanted = if is_as_made && !merges { PER_WANTED_AS_MADE } else { ROWS_PER_WANTED };
    let most = extent.most.min(extent.limit.saturating_mul(per_wanted));
    let search = Lacking { entity, query, bases, child, key, made, is_as_made };
    let found = if merges {
        search.by_tallies(conn, extent.all, most).await?
    } else {
        search.by_marks(conn, extent.all, most).await?
    };
    Ok(found.filter(|found| (found.len() as i64) < most))
}

/// The attribute in whose order rows are made, and with them the primary keys of their children.
pub(super) fn as_made(entity: &Entity) -> Option<&'static Attribute> {
    entity.natural.first().and_then(|(name, _)| entity.attribute(name))
}

pub(super) struct Lacking<'q> {
    pub entity: &'q Entity,
    pub query: &'q Query,
    bases: &'q [Base<'q>],
    pub child: Child,
    pub key: &'q str,
    made: &'static Attribute,
    /// Whether the page's order is that in which rows are made.
    pub is_as_made: bool,
}

impl Lacking<'_> {
    /// The first `most` such rows. Both tables are read in the order in which rows are made: where the engine
    /// merges them, in one go.
    pub async fn merged(&self, conn: &mut Conn, most: i64) -> Result<Vec<i64>, DbError> {
        let mut sql = Sql::new(conn.engine(), "SELECT c.owner FROM (");
        self.owners(&mut sql);
        sql.push(") c");
        self.without(&mut sql, "c.owner");
        sql.push(" LIMIT ").bind(most);
        let found: Vec<(i64,)> = conn.generated(sql).all().await?;
        Ok(found.into_iter().map(|(key,)| key).collect())
    }

    /// Appends the query of all rows.
    pub fn owners(&self, sql: &mut Sql) {
        attribute_values(sql, self.entity, self.query, self.bases, self.made);
    }

    /// Appends the query of the rows that have the key.
    pub fn valued(&self, sql: &mut Sql) {
        child_values(sql, self.entity, self.query, self.child, self.key, false);
    }

    /// Appends that a row lacks the key.
    pub fn without(&self, sql: &mut Sql, owner: &'static str) {
        sql.push(" WHERE NOT EXISTS (");
        self.valued(sql);
        sql.push(" AND v.").push(self.child.owner).push(" = ").push(owner).push(")");
    }
}
