//! The rows that lack a key, on SQLite, whose index of a key's values holds their rows.

use super::lacking::{Lacking, MANY};
use crate::db::{Conn, DbError, sql::Sql};
use std::ops::ControlFlow;

/// The newest rows, which are looked up one by one before all are: where many lack the key, they tell so sooner.
const SAMPLED: i64 = MANY / 2;
/// Keys up to which a bit for each is set aside: 16 MiB. Experiments that were imported have ids of any size.
const MARKED_MAX: i64 = 1 << 27;

impl Lacking<'_> {
    /// The first `most` rows that lack the key, of those up to the key `last`. `None`: a sample says that they are
    /// more, or the page's order finds them as fast.
    pub(super) async fn by_marks(
        &self,
        conn: &mut Conn,
        last: i64,
        most: i64,
    ) -> Result<Option<Vec<i64>>, DbError> {
        if !(MANY..MARKED_MAX).contains(&last) {
            // An order in which rows are made looks at the same rows in the same way.
            return if self.is_as_made { Ok(None) } else { self.merged(conn, most).await.map(Some) };
        }
        let sampled: Option<i64> = conn.generated(self.sample(conn, most)).scalar().await?;
        if sampled.unwrap_or_default() >= most {
            return Ok(None);
        }
        self.marked(conn, last, most).await.map(Some)
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
