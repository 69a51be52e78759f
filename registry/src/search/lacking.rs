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

/// [`ROWS_PER_WANTED`] where the page's order is that in which rows are made: to look at all rows costs half of
/// what that order does.
const PER_WANTED_AS_MADE: i64 = 2;
/// The newest rows, which are looked at one by one before all are. Tests have few rows, and both ways to go.
const SAMPLED: i64 = if cfg!(test) { 4 } else { 10_000 };

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
    let is_as_made = query.orders.first().is_none_or(|first| first.field == Field::Attribute(made));
    let per_wanted = if is_as_made { PER_WANTED_AS_MADE } else { ROWS_PER_WANTED };
    let most = extent.most.min(extent.limit.saturating_mul(per_wanted));
    let search = Lacking { entity, query, bases, child, key, made };
    let merges = conn.engine().merges_tables();
    let found = if !merges && extent.all > 2 * SAMPLED {
        let sampled: Option<i64> = conn.generated(search.sample(conn)).scalar().await?;
        if sampled.unwrap_or_default().saturating_mul(extent.all) / SAMPLED >= most {
            return Ok(None);
        }
        search.marked(conn, extent.all, most).await?
    } else if merges || !is_as_made {
        let found: Vec<(i64,)> = conn.generated(search.merged(conn, most)).all().await?;
        found.into_iter().map(|(key,)| key).collect()
    } else {
        // The order itself looks at the same rows in the same way.
        return Ok(None);
    };
    Ok(Some(found).filter(|found| (found.len() as i64) < most))
}

/// The attribute in whose order rows are made, and with them the primary keys of their children.
pub(super) fn as_made(entity: &Entity) -> Option<&'static Attribute> {
    entity.natural.first().and_then(|(name, _)| entity.attribute(name))
}

struct Lacking<'q> {
    entity: &'q Entity,
    query: &'q Query,
    bases: &'q [Base<'q>],
    child: Child,
    key: &'q str,
    made: &'static Attribute,
}

impl Lacking<'_> {
    /// The first `most` such rows. Both tables are read in the order in which rows are made: where the engine
    /// merges them, in one go.
    fn merged(&self, conn: &Conn, most: i64) -> Sql {
        let mut sql = Sql::new(conn.engine(), "SELECT c.owner FROM (");
        self.owners(&mut sql);
        sql.push(") c");
        self.without(&mut sql, "c.owner");
        sql.push(" LIMIT ").bind(most);
        sql
    }

    /// How many of the newest rows lack the key.
    fn sample(&self, conn: &Conn) -> Sql {
        let mut sql = Sql::new(conn.engine(), "SELECT COUNT(*) FROM (SELECT c.owner FROM (");
        self.owners(&mut sql);
        sql.push(") c LIMIT ").bind(SAMPLED).push(") newest");
        self.without(&mut sql, "newest.owner");
        sql
    }

    /// The first `most` such rows, by a mark for each row that has the key: one pass over two indexes, whose
    /// entries are many to a page, where to look rows up reads the whole table of children.
    async fn marked(&self, conn: &mut Conn, all: i64, most: i64) -> Result<Vec<i64>, DbError> {
        let mut marks = Marks(Vec::new());
        let mut sql = Sql::new(conn.engine(), "SELECT c.owner FROM (");
        self.valued(&mut sql);
        sql.push(") c");
        conn.each_of(sql, all as usize, |(owner,): (i64,)| {
            marks.set(owner as usize);
            Ok(())
        })
        .await?;
        let mut sql = Sql::new(conn.engine(), "SELECT c.owner FROM (");
        self.owners(&mut sql);
        sql.push(") c");
        let mut found = Vec::new();
        conn.each_of(sql, all as usize, |(owner,): (i64,)| {
            if (found.len() as i64) < most && !marks.has(owner as usize) {
                found.push(owner);
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Appends the query of all rows.
    fn owners(&self, sql: &mut Sql) {
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

/// A bit for each row's key: an eighth of a megabyte for a million rows.
struct Marks(Vec<u64>);

impl Marks {
    fn set(&mut self, key: usize) {
        if self.0.len() <= key / 64 {
            self.0.resize(key / 64 + 1, 0);
        }
        if let Some(word) = self.0.get_mut(key / 64) {
            *word |= 1 << (key % 64);
        }
    }

    fn has(&self, key: usize) -> bool {
        self.0.get(key / 64).is_some_and(|word| word & (1 << (key % 64)) != 0)
    }
}
