//! The rows that lack a key, on PostgreSQL, whose index of a key's values does not hold their rows: rows and values
//! are counted by class, whatever order they lie in, and what both counts differ by tells the rows.

use super::{
    compile::{self, one_by_one},
    lacking::Lacking,
};
use crate::db::{Conn, DbError, sql::Sql};

/// A row's class is the end of its key, in binary; its place in the class is the rest. Migration 18 names the class
/// too: only with statistics of it does PostgreSQL know how few there are, and counts with several processes. Of an
/// expression it keeps none of more than 3,000 values. Tests have few rows.
const CLASS: &str = if cfg!(test) { " & 15" } else { " & 2047" };
const PLACE: &str = if cfg!(test) { " >> 4" } else { " >> 11" };
const CLASS_BITS: u32 = if cfg!(test) { 4 } else { 11 };
/// Keys up to which the squares of all places of a class add up to 63 bits.
const SUMMED_MAX: i64 = 1 << 32;
/// Stretches, even over the table, of which rows are sampled, and how many rows of each.
const SAMPLES: i64 = if cfg!(test) { 4 } else { 64 };
const SAMPLE_ROWS: i64 = if cfg!(test) { 1 } else { 64 };
/// How many times the bound an estimate has to be to be believed.
const BEYOND: i64 = 2;
/// To look a row up costs as much as to pass so many of them when all are read in order.
const PASSED_PER_LOOKUP: usize = 4;

/// What the rows of a class have more than the values of the key: their number, the sum of their places, and that of
/// the squares of their places.
#[derive(sqlx::FromRow)]
struct Tally {
    class: i64,
    rows: i64,
    places: i64,
    squares: i64,
}

impl Tally {
    /// The keys of the rows that have no value, and of more than two all of the class up to `last`.
    fn keys(&self, last: i64) -> Vec<i64> {
        let key = |place: i64| place << CLASS_BITS | self.class;
        match self.rows {
            1 => vec![key(self.places)],
            // Of places a and b, (b - a)² = 2 (a² + b²) - (a + b)².
            2 => {
                let difference = (2 * self.squares - self.places * self.places).isqrt();
                let larger = i64::midpoint(self.places, difference);
                vec![key(self.places - larger), key(larger)]
            }
            _ => (0..=last >> CLASS_BITS).map(key).collect(),
        }
    }
}

impl Lacking<'_> {
    /// Whether rows are numbered here from one on up to `last`, each with one value of a key at most.
    pub(super) fn has_classes(&self, last: i64) -> bool {
        self.child.latest.is_none() && self.entity.scope.is_some() && last < SUMMED_MAX
    }

    /// The first `most` rows that lack the key, of those up to the key `last`, and maybe some that do not. `None`:
    /// more than `most`.
    pub(super) async fn by_class(
        &self,
        conn: &mut Conn,
        last: i64,
        most: i64,
    ) -> Result<Option<Vec<i64>>, DbError> {
        let sampled: Option<i64> = conn.generated(self.sample_evenly(conn, last)).scalar().await?;
        let estimated = sampled.unwrap_or_default() * (last / (SAMPLES * SAMPLE_ROWS));
        if estimated >= most * BEYOND {
            return Ok(None);
        }
        let tallies = self.tallies(conn).await?;
        let mut keys: Vec<i64> = tallies.iter().flat_map(|tally| tally.keys(last)).collect();
        let found = if (keys.len() as i64) < most {
            keys
        } else if keys.len() * PASSED_PER_LOOKUP < last as usize {
            // Neighbours lie together.
            keys.sort_unstable();
            let found: Vec<(i64,)> = conn.generated(self.among(conn, &keys, most)).all().await?;
            found.into_iter().map(|(key,)| key).collect()
        } else {
            self.merged(conn, most).await?
        };
        Ok(Some(found))
    }

    /// How many of a few rows all over the table lack the key.
    fn sample_evenly(&self, conn: &Conn, last: i64) -> Sql {
        let firsts: Vec<i64> = (0..SAMPLES).map(|number| last / SAMPLES * number).collect();
        let mut sql = Sql::new(conn.engine(), "SELECT COUNT(*) FROM (");
        sql.bind_keys(&firsts).push(") asked (first) CROSS JOIN LATERAL (SELECT c.owner FROM (");
        self.owners(&mut sql);
        sql.push(") c WHERE ");
        sampled(&mut sql, "c.", "owner");
        sql.push(" AND NOT EXISTS (");
        self.valued(&mut sql);
        sql.push(" AND ");
        sampled(&mut sql, "v.", self.child.owner);
        sql.push(" AND v.").push(self.child.owner).push(" = c.owner)) lacking");
        sql
    }

    /// The classes of which rows lack the key. Rows of every base are counted: values do not tell whose they are.
    async fn tallies(&self, conn: &mut Conn) -> Result<Vec<Tally>, DbError> {
        // A third of the work, where none lacks it: indexes alone tell how many there are.
        let lacking: Option<i64> = conn.generated(self.number(conn)).scalar().await?;
        if lacking == Some(0) {
            return Ok(Vec::new());
        }
        conn.expect_many_rows(true).await?;
        let tallies = conn.generated(self.tally(conn)).all().await?;
        conn.expect_many_rows(false).await?;
        Ok(tallies)
    }

    /// How many rows lack the key.
    fn number(&self, conn: &Conn) -> Sql {
        let mut sql = Sql::new(conn.engine(), "SELECT (SELECT COUNT(*) FROM ");
        sql.push(self.entity.table).push(" WHERE TRUE");
        self.scoped(&mut sql, self.entity.scope);
        sql.push(") - (SELECT COUNT(*) FROM ")
            .push(self.child.table)
            .push(" v WHERE v.key = ")
            .bind(self.key);
        self.scoped(&mut sql, self.entity.scope.map(|_| "v.experiment_id"));
        sql.push(")");
        sql
    }

    fn tally(&self, conn: &Conn) -> Sql {
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

    /// The first `most` of the rows with these keys that lack the key of the search, looked up one by one.
    fn among(&self, conn: &Conn, keys: &[i64], most: i64) -> Sql {
        let engine = conn.engine();
        let mut sql = Sql::new(engine, "SELECT c.owner FROM (");
        sql.bind_keys(keys).push(") asked (key) CROSS JOIN LATERAL (SELECT c.owner FROM (");
        self.owners(&mut sql);
        sql.push(") c WHERE c.owner = asked.key OFFSET 0) c WHERE NOT EXISTS (SELECT 1 FROM ");
        sql.push(self.child.table)
            .push(" v WHERE v.")
            .push(self.child.owner)
            .push(" = asked.key AND v.key = ");
        sql.bind(self.key).push(one_by_one(engine)).push(" LIMIT ").bind(most);
        sql
    }

    fn scoped(&self, sql: &mut Sql, column: Option<&'static str>) {
        if let Some(column) = column {
            sql.push(" AND ");
            compile::scope(sql, column, self.query);
        }
    }
}

/// Appends that a key is in the sample that begins with `asked.first`.
fn sampled(sql: &mut Sql, alias: &'static str, column: &'static str) {
    sql.push(alias).push(column).push(" >= asked.first AND ");
    sql.push(alias).push(column).push(" < asked.first + ").bind(SAMPLE_ROWS);
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
            prop_assert_eq!(tally.keys(SUMMED_MAX), keys);
        }

        #[test]
        fn of_more_rows_all_keys_of_the_class_are_asked(class in 0_i64..1 << CLASS_BITS, last in 1_i64..9999) {
            let tally = Tally { class, rows: 3, places: 0, squares: 0 };
            let keys = tally.keys(last);
            prop_assert!((0..=last).filter(|key| key % (1 << CLASS_BITS) == class).all(|key| keys.contains(&key)));
            prop_assert!(keys.iter().all(|key| *key % (1 << CLASS_BITS) == class && *key < last + (1 << CLASS_BITS)));
        }
    }
}
