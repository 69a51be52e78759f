//! The rows that lack a key, on PostgreSQL, whose index of a key's values does not hold their rows: rows and values
//! are counted by class, whatever order they lie in, and what both counts differ by tells the rows.

use super::{
    compile::{self, one_by_one_end},
    lacking::{Lacking, MANY},
};
use crate::db::{Conn, DbError, sql::Sql};

/// A row's class is the end of its key, in binary; its place in the class is the rest.
struct Classes {
    bits: u32,
    /// What makes a class, and a place, of a key.
    class: &'static str,
    place: &'static str,
}

/// Migration 18 names the class too: only with statistics of it does PostgreSQL know how few there are, and counts
/// with several processes. Of an expression it counts no more values than a tenth of the 30,000 rows that it samples.
const OF_MANY: Classes = Classes { bits: 11, class: " & 2047", place: " >> 11" };
/// Tests have few rows.
const OF_FEW: Classes = Classes { bits: 4, class: " & 15", place: " >> 4" };
const CLASSES: Classes = if cfg!(test) { OF_FEW } else { OF_MANY };
/// Keys up to which the squares of all places of a class add up to 63 bits.
const SUMMED_MAX: i64 = 1 << 32;
/// Rows that are sampled, evenly over the table.
const SAMPLED: i64 = if cfg!(test) { 4 } else { 2_048 };
/// How many of them have to lack the key, and how many times the bound what they tell of all has to be, to be
/// believed.
const SAMPLED_MIN: i64 = if cfg!(test) { 2 } else { 8 };
const BEYOND: i64 = 2;
/// Where the search is of a smaller part of the table than one in so many, all of its rows are looked at.
const PART_MIN: i64 = 8;
/// To look a row up costs as much as to pass so many of them when all are read in order.
const PASSED_PER_LOOKUP: i64 = 4;
/// Rows that are looked up at most: 1 MiB of keys.
const LOOKED_UP_MAX: i64 = 1 << 17;

/// What the rows of a class have more than the values of the key: their number, the sum of their places, and that of
/// the squares of their places.
#[derive(Clone, Copy)]
struct Tally {
    class: i64,
    rows: i64,
    places: i64,
    squares: i64,
}

impl Tally {
    fn key(self, place: i64) -> i64 {
        place << CLASSES.bits | self.class
    }

    /// The keys of the rows that have no value, where the sums tell them.
    fn told(self) -> Option<Vec<i64>> {
        match self.rows {
            1 => Some(vec![self.key(self.places)]),
            // Of places a and b, (b - a)² = 2 (a² + b²) - (a + b)².
            2 => {
                let square = 2 * self.squares - self.places * self.places;
                let difference = square.checked_isqrt().filter(|root| root * root == square)?;
                let larger = i64::midpoint(self.places, difference);
                Some(vec![self.key(self.places - larger), self.key(larger)])
            }
            _ => None,
        }
    }
}

impl Lacking<'_> {
    /// The first `most` rows that lack the key, of those up to the key `last`, and maybe some that do not. `None`:
    /// a sample says that they are more.
    pub(super) async fn by_tallies(
        &self,
        conn: &mut Conn,
        last: i64,
        most: i64,
    ) -> Result<Option<Vec<i64>>, DbError> {
        if last < MANY || !self.has_classes(last) {
            return self.merged(conn, most).await.map(Some);
        }
        let (sampled, lacking): (i64, i64) = conn.generated(self.sample_evenly(conn, last)).one().await?;
        let each = last / SAMPLED;
        if lacking >= SAMPLED_MIN && lacking * each >= most * BEYOND {
            return Ok(None);
        }
        if sampled * PART_MIN >= SAMPLED
            && let Some(few) = self.few(conn, sampled * each, last, most).await?
        {
            return Ok(Some(few));
        }
        self.merged(conn, most).await.map(Some)
    }

    /// Whether rows have numbers up to `last` that were given one after the other, and one value of a key each at
    /// most, in the same experiment.
    fn has_classes(&self, last: i64) -> bool {
        self.child.latest.is_none() && self.entity.scope.is_some() && last < SUMMED_MAX
    }

    /// [`Self::by_tallies`] where the sums tell most of it, of about so many `rows`. `None`: to look up what they do
    /// not tell would cost more than to merge.
    async fn few(
        &self,
        conn: &mut Conn,
        rows: i64,
        last: i64,
        most: i64,
    ) -> Result<Option<Vec<i64>>, DbError> {
        conn.expect_many_rows(true).await?;
        let tallies: Vec<(i64, i64, i64, i64)> = conn.generated(self.tallies(conn)).all().await?;
        conn.expect_many_rows(false).await?;
        let (mut keys, mut whole) = (Vec::new(), Vec::new());
        for (class, rows, places, squares) in tallies {
            let tally = Tally { class, rows, places, squares };
            match tally.told() {
                Some(told) => keys.extend(told),
                None => whole.push(tally),
            }
        }
        let places = (last >> CLASSES.bits) + 1;
        let asked = keys.len() as i64 + whole.len() as i64 * places;
        if asked > LOOKED_UP_MAX || asked * PASSED_PER_LOOKUP > rows {
            return Ok(None);
        }
        keys.extend(whole.iter().flat_map(|tally| (0..places).map(|place| tally.key(place))));
        if asked < most {
            return Ok(Some(keys));
        }
        // Neighbours lie together.
        keys.sort_unstable();
        let mut sql = Sql::new(conn.engine(), "SELECT c.owner FROM ");
        self.asked(&mut sql, &keys);
        sql.push(" WHERE ");
        self.lacks(&mut sql);
        sql.push(" LIMIT ").bind(most);
        let found: Vec<(i64,)> = conn.generated(sql).all().await?;
        Ok(Some(found.into_iter().map(|(key,)| key).collect()))
    }

    /// How many of a few numbers all over the table are rows of the search, and how many of those lack the key.
    fn sample_evenly(&self, conn: &Conn, last: i64) -> Sql {
        let keys: Vec<i64> = (1..=SAMPLED).map(|number| last / SAMPLED * number).collect();
        let mut sql = Sql::new(conn.engine(), "SELECT COUNT(*), COUNT(*) FILTER (WHERE ");
        self.lacks(&mut sql);
        sql.push(") FROM ");
        self.asked(&mut sql, &keys);
        sql
    }

    /// Rows of every base are counted, values do not tell whose they are: the [`Tally`] of each class of which rows
    /// lack the key.
    fn tallies(&self, conn: &Conn) -> Sql {
        let mut sql = Sql::new(conn.engine(), "SELECT c.class, c.rows - COALESCE(v.rows, 0) AS rows, ");
        sql.push("CAST(c.places - COALESCE(v.places, 0) AS BIGINT) AS places, ");
        sql.push("CAST(c.squares - COALESCE(v.squares, 0) AS BIGINT) AS squares FROM (");
        tally(&mut sql, self.entity.key, "");
        sql.push(self.entity.table).push(" WHERE TRUE");
        self.scoped(&mut sql, self.entity.scope);
        sql.push(" GROUP BY 1) c LEFT JOIN (");
        tally(&mut sql, "v.", self.child.owner);
        sql.push(self.child.table).push(" v WHERE v.key = ").bind(self.key);
        self.scoped(&mut sql, self.entity.scope.map(|_| "v.experiment_id"));
        sql.push(" GROUP BY 1) v ON v.class = c.class WHERE c.rows <> COALESCE(v.rows, 0)");
        sql
    }

    /// Appends the rows of the search that have these keys, as `asked`, each looked up by itself.
    fn asked(&self, sql: &mut Sql, keys: &[i64]) {
        sql.push("(").bind_keys(keys).push(") asked (key) CROSS JOIN LATERAL (SELECT c.owner FROM (");
        self.owners(sql);
        sql.push(") c WHERE c.owner = asked.key OFFSET 0) c");
    }

    /// Appends that a row of `asked` lacks the key.
    fn lacks(&self, sql: &mut Sql) {
        sql.push("NOT EXISTS (SELECT 1 FROM ")
            .push(self.child.table)
            .push(" v WHERE v.")
            .push(self.child.owner);
        let end = one_by_one_end(sql.engine());
        sql.push(" = asked.key AND v.key = ").bind(self.key).push(end);
    }

    fn scoped(&self, sql: &mut Sql, column: Option<&'static str>) {
        if let Some(column) = column {
            sql.push(" AND ");
            compile::scope(sql, column, self.query);
        }
    }
}

/// Appends, up to the name of the table, the query that counts the rows of each class and adds up their places.
fn tally(sql: &mut Sql, alias: &'static str, column: &'static str) {
    let key = |sql: &mut Sql| {
        sql.push(alias).push(column);
    };
    sql.push("SELECT ");
    key(sql);
    sql.push(CLASSES.class).push(" AS class, COUNT(*) AS rows, SUM(");
    key(sql);
    sql.push(CLASSES.place).push(") AS places, SUM((");
    key(sql);
    sql.push(CLASSES.place).push(") * (");
    key(sql);
    sql.push(CLASSES.place).push(")) AS squares FROM ");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_or_two_rows_are_told_by_their_sums(
            class in 0_i64..1 << CLASSES.bits,
            places in proptest::collection::btree_set(0_i64..SUMMED_MAX >> CLASSES.bits, 1..3),
        ) {
            let (sum, squares) = (places.iter().sum(), places.iter().map(|place| place * place).sum());
            let tally = Tally { class, rows: places.len() as i64, places: sum, squares };
            let keys: Vec<i64> = places.iter().map(|place| place << CLASSES.bits | class).collect();
            prop_assert_eq!(tally.told(), Some(keys));
        }
    }

    #[test]
    fn classes_are_what_their_bits_say() {
        for classes in [OF_MANY, OF_FEW] {
            assert_eq!(classes.class, format!(" & {}", (1 << classes.bits) - 1));
            assert_eq!(classes.place, format!(" >> {}", classes.bits));
        }
    }

    #[test]
    fn statistics_are_of_the_classes_that_are_counted() {
        let migration = include_str!("../../../migrations/postgres/0018_tallies.sql");
        let of = format!("ON (%I{})", OF_MANY.class);
        assert!(migration.contains(&of), "0018_tallies.sql has no {of:?}");
    }
}
