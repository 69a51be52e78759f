//! The rows that lack a key, which are in no index of its values. Where many do, any order soon gives a page of
//! them; where few do, each engine finds them in the way in which it looks at all rows fastest.

use super::{
    driver::Extent,
    entity::{Attribute, Child, Entity},
    query::{Condition, Field, Query},
    scan::{ROWS_PER_WANTED, attribute_values, child, child_values},
    select::Base,
};
use crate::db::{Conn, DbError, sql::Sql};
use std::ops::ControlFlow;

/// [`ROWS_PER_WANTED`] where the page's order is that in which rows are made, on SQLite: to look at all rows costs
/// half of what that order does.
const PER_WANTED_AS_MADE: i64 = 2;
/// The newest rows, which are looked up one by one before all are: where many lack the key, they tell so sooner.
/// Tests have few rows, and both ways to go.
const SAMPLED: i64 = if cfg!(test) { 4 } else { 30_000 };
/// Keys up to which a bit for each is set aside: 16 MiB. Experiments that were imported have ids of any size.
const MARKED_MAX: i64 = 1 << 27;

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
    let search = Lacking { entity, query, bases, child, key, made };
    let has_many = extent.all >= 2 * SAMPLED;
    let found = if merges && has_many && search.has_classes(extent.all) {
        search.by_class(conn, extent.all, most).await?
    } else if !merges && has_many && extent.all < MARKED_MAX {
        let sampled: Option<i64> = conn.generated(search.sample(conn, most)).scalar().await?;
        if sampled.unwrap_or_default() >= most {
            return Ok(None);
        }
        Some(search.marked(conn, extent.all, most).await?)
    } else if merges || !is_as_made {
        Some(search.merged(conn, most).await?)
    } else {
        // The order itself looks at the same rows in the same way.
        None
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

    /// How many of the newest rows lack the key, up to `most`.
    fn sample(&self, conn: &Conn, most: i64) -> Sql {
        let mut sql = Sql::new(conn.engine(), "SELECT COUNT(*) FROM (SELECT 1 FROM (SELECT c.owner FROM (");
        self.owners(&mut sql);
        sql.push(") c LIMIT ").bind(SAMPLED).push(") newest");
        self.without(&mut sql, "newest.owner");
        sql.push(" LIMIT ").bind(most).push(") matches");
        sql
    }

    /// The first `most` such rows, by a mark for each row up to `last` that has the key: one pass over two
    /// indexes, whose entries are many to a page, where to look rows up reads the whole table of children.
    async fn marked(&self, conn: &mut Conn, last: i64, most: i64) -> Result<Vec<i64>, DbError> {
        let mut marks = Marks::up_to(last);
        let mut sql = Sql::new(conn.engine(), "SELECT c.owner FROM (");
        self.valued(&mut sql);
        sql.push(") c");
        conn.each_of(sql, last as usize, |(owner,): (i64,)| {
            marks.set(owner);
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        let mut sql = Sql::new(conn.engine(), "SELECT c.owner FROM (");
        self.owners(&mut sql);
        sql.push(") c");
        let mut found = Vec::new();
        conn.each_of(sql, last as usize, |(owner,): (i64,)| {
            if !marks.has(owner) {
                found.push(owner);
            }
            Ok(if found.len() as i64 == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .await?;
        Ok(found)
    }

    /// Appends the query of all rows.
    pub fn owners(&self, sql: &mut Sql) {
        attribute_values(sql, self.entity, self.query, self.bases, self.made);
    }

    /// Appends the query of the rows that have the key.
    fn valued(&self, sql: &mut Sql) {
        child_values(sql, self.entity, self.query, self.child, self.key, false);
    }

    /// Appends that a row lacks the key.
    fn without(&self, sql: &mut Sql, owner: &'static str) {
        sql.push(" WHERE NOT EXISTS (");
        self.valued(sql);
        sql.push(" AND v.").push(self.child.owner).push(" = ").push(owner).push(")");
    }
}

/// A bit for each key of a row: an eighth of a megabyte for a million.
struct Marks(Vec<u64>);

impl Marks {
    fn up_to(last: i64) -> Self {
        Self(vec![0; last as usize / 64 + 1])
    }

    /// Children of no row that is searched may have larger keys.
    fn set(&mut self, key: i64) {
        if let Some(word) = self.0.get_mut(key as usize / 64) {
            *word |= 1 << (key % 64);
        }
    }

    fn has(&self, key: i64) -> bool {
        self.0.get(key as usize / 64).is_some_and(|word| word & (1 << (key % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_are_those_that_were_set(keys in proptest::collection::btree_set(0_i64..300, 0..60)) {
            let mut marks = Marks::up_to(299);
            for key in &keys {
                marks.set(*key);
            }
            marks.set(i64::MAX);
            for key in 0..400 {
                prop_assert_eq!(marks.has(key), keys.contains(&key), "{}", key);
            }
        }
    }
}
