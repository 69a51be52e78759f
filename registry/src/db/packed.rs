//! Small rows of one owner as one text, put together by the engine: a page has a dozen such rows for each
//! of its own, and to hand one over costs more than to read it. Numbers end with a colon; a text has its
//! length in bytes before it, as a netstring has.

use super::{DbError, sql::Sql};

/// A column to pack. No floats: SQLite has no text of them that always reads back as the same.
#[derive(Clone, Copy)]
pub enum Packed {
    /// The same in every row, without a colon.
    Word(&'static str),
    Int(&'static str),
    Text(&'static str),
}

impl Sql {
    /// Appends an expression: these columns of all `rows` (` FROM …`), in any order; empty where there are none.
    pub fn pack(&mut self, columns: &[Packed], rows: &'static str) -> &mut Self {
        self.push("COALESCE((SELECT string_agg(");
        for (number, column) in columns.iter().enumerate() {
            self.push(if number == 0 { "" } else { " || " });
            match column {
                Packed::Word(word) => self.push("'").push(word).push(":'"),
                Packed::Int(name) => self.push(name).push(" || ':'"),
                Packed::Text(name) => self.push("octet_length(").push(name).push(") || ':' || ").push(name),
            };
        }
        self.push(", '')").push(rows).push("), '')")
    }
}

/// Reads what [`Sql::pack`] packed, column by column.
pub struct Unpacked<'t> {
    rest: &'t str,
}

impl<'t> Unpacked<'t> {
    pub const fn new(packed: &'t str) -> Self {
        Self { rest: packed }
    }

    /// Whether all rows are read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn word(&mut self) -> Result<&'t str, DbError> {
        let (word, rest) = self.rest.split_once(':').ok_or_else(|| corrupt(self.rest))?;
        self.rest = rest;
        Ok(word)
    }

    pub fn int(&mut self) -> Result<i64, DbError> {
        let text = self.word()?;
        text.parse().map_err(|_| corrupt(text))
    }

    pub fn text(&mut self) -> Result<&'t str, DbError> {
        let length = self.word()?;
        let size = length.parse().map_err(|_| corrupt(length))?;
        let (text, rest) = self.rest.split_at_checked(size).ok_or_else(|| corrupt(length))?;
        self.rest = rest;
        Ok(text)
    }
}

/// A packed value that reads on where none can.
pub fn corrupt(text: &str) -> DbError {
    DbError::Corrupt { what: "packed value", detail: text.chars().take(80).collect() }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Db, Engine, testing::each_engine},
        *,
    };
    use proptest::prelude::*;

    /// Packs the rows with an engine, and reads them again.
    async fn there_and_back(db: &Db, rows: &[(i64, String)]) -> Vec<(i64, String)> {
        let mut conn = db.read().await.unwrap();
        let mut sql = Sql::new(conn.engine(), "WITH i (n, t) AS (");
        for (number, (n, t)) in rows.iter().enumerate() {
            sql.push(if number == 0 { "SELECT " } else { " UNION ALL SELECT " });
            sql.push("CAST(").bind(*n).push(" AS BIGINT), CAST(").bind(t.as_str()).push(" AS TEXT)");
        }
        sql.push(") SELECT ").pack(&[Packed::Word("w"), Packed::Int("i.n"), Packed::Text("i.t")], " FROM i");
        let packed: String = conn.generated(sql).scalar().await.unwrap().unwrap();
        let mut row = Unpacked::new(&packed);
        let mut found = Vec::new();
        while !row.is_empty() {
            assert_eq!(row.word().unwrap(), "w");
            found.push((row.int().unwrap(), row.text().unwrap().to_owned()));
        }
        found
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_value_comes_back() {
        each_engine(|url| async move {
            let db = Db::open(&url).await.unwrap();
            if db.engine() == Engine::Sqlite {
                let rows = [(1, "a\0:b".to_owned())];
                assert_eq!(there_and_back(&db, &rows).await, rows);
            }
            let text = "[^\\x00]{0,12}|[0-9:]{0,6}|(é|𝄞){1,4}:";
            let rows = proptest::collection::vec((any::<i64>(), text), 1..50);
            tokio::task::block_in_place(|| {
                proptest!(|(rows in rows)| {
                    let found = tokio::runtime::Handle::current().block_on(there_and_back(&db, &rows));
                    prop_assert_eq!(found, rows);
                });
            });
            db.close().await;
        })
        .await;
    }

    #[tokio::test]
    async fn no_rows_are_an_empty_text() {
        each_engine(|url| async move {
            let db = Db::open(&url).await.unwrap();
            let mut conn = db.read().await.unwrap();
            let mut sql = Sql::new(conn.engine(), "SELECT ");
            sql.pack(&[Packed::Int("r.rid")], " FROM runs r");
            assert_eq!(conn.generated(sql).scalar().await.unwrap(), Some(String::new()));
            drop(conn);
            db.close().await;
        })
        .await;
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9:a-zé.-]{0,30}") {
            for read in [
                |row: &mut Unpacked<'_>| row.word().is_ok(),
                |row: &mut Unpacked<'_>| row.int().is_ok(),
                |row: &mut Unpacked<'_>| row.text().is_ok(),
            ] {
                let mut row = Unpacked::new(&text);
                while !row.is_empty() && read(&mut row) {}
            }
        }
    }
}
