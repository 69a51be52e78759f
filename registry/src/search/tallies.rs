//! The rows that lack a key, on PostgreSQL, whose index of a key's values does not hold their rows: rows and values
//! are counted by class, whatever order they lie in, and what both counts differ by tells the rows.

use super::{
    compile::{self, one_by_one_end},
    lacking::Lacking,
};
use crate::db::{Conn, DbError, sql::Sql};

/// A row's class is the end of its key, in binary; its place in the class is the rest. Migration 18 names the class
/// too: only with statistics of it does PostgreSQL know how few there are, and counts with several processes. Of an
/// expression it counts no more values than a tenth of the 30,000 rows that it samples. Tests have few rows.
const CLASS: &str = if cfg!(test) { " & 15" } else { " & 2047" };
const PLACE: &str = if cfg!(test) { " >> 4" } else { " >> 11" };
const CLASS_BITS: u32 = if cfg!(test) { 4 } else { 11 };
/// Keys up to which the squares of all places of a class add up to 63 bits.
const SUMMED_MAX: i64 = 1 << 32;
/// Rows that are sampled, evenly over the table.
const SAMPLED: i64 = if cfg!(test) { 4 } else { 2_048 };
/// How many of them have to lack the key, and how many times the bound what they tell of all has to be, to be
/// believed.
const SAMPLED_MIN: i64 = if cfg!(test) { 2 } else { 8 };
const BEYOND: i64 = 2;
/// Where the search is of a smaller part of the table, all of its rows are looked at.
const PART_MIN: i64 = 8;
/// To look a row up costs as much as to pass so many of them when all are read in order.
const PASSED_PER_LOOKUP: i64 = 4;
/// Rows that are looked up at most: 1 MiB of keys.
const LOOKED_UP_MAX: i64 = 1 << 17;

/// How many rows are searched, and how many of them lack the key.
#[derive(Clone, Copy, sqlx::FromRow)]
struct Counts {
    rows: i64,
    lacking: i64,
}

/// What the rows of a class have more than the values of the key: their number, the sum of their places, and that of
/// the squares of their places.
#[derive(Clone, Copy, sqlx::FromRow)]
struct Tally {
    class: i64,
    rows: i64,
    places: i64,
    squares: i64,
}

impl Tally {
    fn key(self, place: i64) -> i64 {
        place << CLASS_BITS | self.class
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
    /// Whether rows have numbers up to `last` that were given one after the other, and one value of a key each at
    /// most, in the same experiment.
    pub(super) fn has_classes(&self, last: i64) -> bool {
        self.child.latest.is_none() && self.entity.scope.is_some() && last < SUMMED_MAX
    }

    /// The first `most` rows that lack the key, of those up to the key `last`, and maybe some that do not. `None`:
    /// a sample says that they are more.
    pub(super) async fn by_class(
        &self,
        conn: &mut Conn,
        last: i64,
        most: i64,
    ) -> Result<Option<Vec<i64>>, DbError> {
        let sampled: Option<i64> = conn.generated(self.sample_evenly(conn, last)).scalar().await?;
        let sampled = sampled.unwrap_or_default();
        if sampled >= SAMPLED_MIN && sampled * (last / SAMPLED) >= most * BEYOND {
            return Ok(None);
        }
        // Where none lacks it that is a third of the work: an index alone tells how many there are.
        let counts: Counts = conn.generated(self.counts(conn)).one().await?;
        if counts.lacking == 0 {
            return Ok(Some(Vec::new()));
        }
        let few = if counts.lacking > 0 && counts.rows * PART_MIN >= last {
            self.few(conn, counts.rows, last, most).await?
        } else {
            None
        };
        match few {
            Some(few) => Ok(Some(few)),
            None => self.merged(conn, most).await.map(Some),
        }
    }

    /// [`Self::by_class`] by the tallies, where those tell most of it.
    async fn few(
        &self,
        conn: &mut Conn,
        rows: i64,
        last: i64,
        most: i64,
    ) -> Result<Option<Vec<i64>>, DbError> {
        conn.expect_many_rows(true).await?;
        let tallies: Vec<Tally> = conn.generated(self.tallies(conn)).all().await?;
        conn.expect_many_rows(false).await?;
        let (mut keys, mut whole) = (Vec::new(), Vec::new());
        for tally in tallies {
            match tally.told() {
                Some(told) => keys.extend(told),
                None => whole.push(tally),
            }
        }
        let places = (last >> CLASS_BITS) + 1;
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
        let mut sql = Sql::new(conn.engine(), "");
        self.among(&mut sql, &keys);
        sql.push(" LIMIT ").bind(most);
        let found: Vec<(i64,)> = conn.generated(sql).all().await?;
        Ok(Some(found.into_iter().map(|(key,)| key).collect()))
    }

    /// How many of a few rows all over the table lack the key.
    fn sample_evenly(&self, conn: &Conn, last: i64) -> Sql {
        let keys: Vec<i64> = (1..=SAMPLED).map(|number| last / SAMPLED * number).collect();
        let mut sql = Sql::new(conn.engine(), "SELECT COUNT(*) FROM (");
        self.among(&mut sql, &keys);
        sql.push(") lacking");
        sql
    }

    /// [`Counts`]. Rows of every base are counted: values do not tell whose they are.
    fn counts(&self, conn: &Conn) -> Sql {
        let mut sql = Sql::new(
            conn.engine(),
            "SELECT rows, rows - valued AS lacking FROM (SELECT COUNT(*) AS rows FROM ",
        );
        sql.push(self.entity.table).push(" WHERE TRUE");
        self.scoped(&mut sql, self.entity.scope);
        sql.push(") c CROSS JOIN (SELECT COUNT(*) AS valued FROM ").push(self.child.table);
        sql.push(" v WHERE v.key = ").bind(self.key);
        self.scoped(&mut sql, self.entity.scope.map(|_| "v.experiment_id"));
        sql.push(") v");
        sql
    }

    /// The [`Tally`] of each class of which rows lack the key.
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

    /// Appends the query of the rows with these keys that lack the key of the search, looked up one by one.
    fn among(&self, sql: &mut Sql, keys: &[i64]) {
        sql.push("SELECT c.owner FROM (").bind_keys(keys).push(") asked (key) CROSS JOIN LATERAL (");
        sql.push("SELECT c.owner FROM (");
        self.owners(sql);
        sql.push(") c WHERE c.owner = asked.key OFFSET 0) c WHERE NOT EXISTS (SELECT 1 FROM ");
        sql.push(self.child.table)
            .push(" v WHERE v.")
            .push(self.child.owner)
            .push(" = asked.key AND v.key = ");
        let end = one_by_one_end(sql.engine());
        sql.bind(self.key).push(end);
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
    sql.push(CLASS).push(" AS class, COUNT(*) AS rows, SUM(");
    key(sql);
    sql.push(PLACE).push(") AS places, SUM((");
    key(sql);
    sql.push(PLACE).push(") * (");
    key(sql);
    sql.push(PLACE).push(")) AS squares FROM ");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_or_two_rows_are_told_by_their_sums(
            class in 0_i64..1 << CLASS_BITS,
            places in proptest::collection::btree_set(0_i64..SUMMED_MAX >> CLASS_BITS, 1..3),
        ) {
            let (sum, squares) = (places.iter().sum(), places.iter().map(|place| place * place).sum());
            let tally = Tally { class, rows: places.len() as i64, places: sum, squares };
            let keys: Vec<i64> = places.iter().map(|place| place << CLASS_BITS | class).collect();
            prop_assert_eq!(tally.told(), Some(keys));
        }
    }
}
