//! Many rows in one statement, and several statements in one: what costs round trips and parsing.

use super::{
    Engine, Query,
    sql::{ROWS_PER_STATEMENT, Sql, Value},
};

/// Rows of one multi-row insert. SQLite parses the values' text, and past this that costs more than
/// another statement; PostgreSQL gets arrays.
pub const fn rows_per_insert(engine: Engine) -> usize {
    match engine {
        Engine::Sqlite => ROWS_PER_STATEMENT,
        Engine::Postgres => 10_000,
    }
}

/// Rows that a write of [`Together`] takes: SQLite reads rows to select from slower than rows to insert.
pub const fn rows_together(engine: Engine) -> usize {
    match engine {
        Engine::Sqlite => 20,
        Engine::Postgres => 10_000,
    }
}

/// One column of rows that PostgreSQL takes as an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    Texts(Vec<Option<String>>),
    Ints(Vec<Option<i64>>),
    Floats(Vec<Option<f64>>),
    Bools(Vec<Option<bool>>),
}

impl Column {
    /// An empty column of what `value` is.
    fn like(value: &Value) -> Self {
        match value {
            Value::Int(_) | Value::OptInt(_) => Self::Ints(Vec::new()),
            Value::Float(_) | Value::OptFloat(_) => Self::Floats(Vec::new()),
            Value::Bool(_) | Value::OptBool(_) => Self::Bools(Vec::new()),
            _ => Self::Texts(Vec::new()),
        }
    }

    fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Texts(column), Value::Text(text)) => column.push(Some(text)),
            (Self::Texts(column), Value::OptText(text)) => column.push(text),
            (Self::Ints(column), Value::Int(number)) => column.push(Some(number)),
            (Self::Ints(column), Value::OptInt(number)) => column.push(number),
            (Self::Floats(column), Value::Float(number)) => column.push(Some(number)),
            (Self::Floats(column), Value::OptFloat(number)) => column.push(number),
            (Self::Bools(column), Value::Bool(flag)) => column.push(Some(flag)),
            (Self::Bools(column), Value::OptBool(flag)) => column.push(flag),
            // A row that does not look like the first: NULL, which the table refuses.
            (Self::Texts(column), _) => column.push(None),
            (Self::Ints(column), _) => column.push(None),
            (Self::Floats(column), _) => column.push(None),
            (Self::Bools(column), _) => column.push(None),
        }
    }

    const fn array_type(&self) -> &'static str {
        match self {
            Self::Texts(_) => "::text[]",
            Self::Ints(_) => "::bigint[]",
            Self::Floats(_) => "::double precision[]",
            Self::Bools(_) => "::boolean[]",
        }
    }

    pub(super) fn bind(self, query: Query<'_>) -> Query<'_> {
        match query {
            Query::Postgres(conn, query) => Query::Postgres(
                conn,
                match self {
                    Self::Texts(column) => query.bind(column),
                    Self::Ints(column) => query.bind(column),
                    Self::Floats(column) => query.bind(column),
                    Self::Bools(column) => query.bind(column),
                },
            ),
            // Rows are written out for it.
            sqlite @ Query::Sqlite(..) => sqlite,
        }
    }
}

impl Sql {
    /// Appends the rows of an insert: `VALUES (?, …), …`, or for PostgreSQL `SELECT * FROM
    /// UNNEST($1::text[], …)`, whose text is the same for any number of rows and is planned once.
    /// Keep to [`rows_per_insert`] rows of the same types.
    pub fn bind_table<const N: usize>(&mut self, rows: impl IntoIterator<Item = [Value; N]>) -> &mut Self {
        match self.engine() {
            Engine::Sqlite => self.push("VALUES ").bind_rows(rows),
            Engine::Postgres => self.push("SELECT * FROM ").bind_arrays(rows),
        }
    }

    /// [`Self::bind_table`] as a table to select from.
    pub fn bind_source<const N: usize>(&mut self, rows: impl IntoIterator<Item = [Value; N]>) -> &mut Self {
        match self.engine() {
            Engine::Sqlite => self.push("(VALUES ").bind_rows(rows).push(")"),
            Engine::Postgres => self.bind_arrays(rows),
        }
    }

    fn bind_arrays<const N: usize>(&mut self, rows: impl IntoIterator<Item = [Value; N]>) -> &mut Self {
        let mut columns: Vec<Column> = Vec::with_capacity(N);
        for row in rows {
            if columns.is_empty() {
                columns.extend(row.iter().map(Column::like));
            }
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        self.push("UNNEST(");
        for (number, column) in columns.into_iter().enumerate() {
            self.push(if number == 0 { "" } else { ", " });
            let array_type = column.array_type();
            self.bind(Value::Column(column)).push(array_type);
        }
        self.push(")")
    }
}

impl Sql {
    /// Appends a query of these keys, in one column. Of many its text is the same, with one bound
    /// value; of one PostgreSQL keeps the plan.
    pub fn bind_keys(&mut self, keys: &[i64]) -> &mut Self {
        match (self.engine(), keys) {
            (_, [one]) => self.push("VALUES (").bind(*one).push(")"),
            (Engine::Sqlite, keys) => {
                let json = serde_json::Value::from(keys).to_string();
                self.push("SELECT value FROM json_each(").bind(json).push(")")
            }
            (Engine::Postgres, keys) => {
                let keys = keys.iter().copied().map(Some).collect();
                self.push("SELECT * FROM UNNEST(").bind(Value::Column(Column::Ints(keys))).push("::bigint[])")
            }
        }
    }
}

/// One statement that finds rows, or makes one, and writes more of what it then has as `found`: a `WITH`
/// on PostgreSQL; on SQLite, which writes in none, several statements one after the other.
pub struct Together<'t> {
    /// An `INSERT` of the row that is then found, of which there may be none before. When it makes none, nothing
    /// is found.
    pub make: Option<&'t dyn Fn(&mut Sql)>,
    /// What `found` has, and the statement answers with.
    pub columns: &'static str,
    /// ` FROM … WHERE …`, of what is there, or was just made: that PostgreSQL has without asking.
    pub find: &'t dyn Fn(&mut Sql),
    /// Each an `INSERT … SELECT … FROM found WHERE TRUE …`. None may depend on another: SQLite makes them
    /// one after the other, PostgreSQL in the opposite order, and each sees the tables as they were before.
    pub writes: &'t [&'t dyn Fn(&mut Sql)],
}

impl Together<'_> {
    pub fn sql(&self, engine: Engine) -> Sql {
        let mut sql = Sql::new(engine, "");
        match engine {
            Engine::Sqlite => {
                if let Some(make) = self.make {
                    make(&mut sql);
                    sql.next_statement();
                }
                for write in self.writes {
                    self.found(&mut sql).push(" ");
                    write(&mut sql);
                    sql.next_statement();
                }
                self.found(&mut sql);
            }
            Engine::Postgres => {
                self.found(&mut sql);
                for (number, write) in self.writes.iter().enumerate() {
                    sql.push(", ").push_alias("write", number).push(" AS (");
                    write(&mut sql);
                    sql.push(")");
                }
            }
        }
        sql.push(" SELECT * FROM found");
        sql
    }

    fn found<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        sql.push("WITH found AS (");
        match self.make.filter(|_| sql.engine() == Engine::Postgres) {
            Some(make) => {
                make(sql);
                sql.push(" RETURNING ").push(self.columns);
            }
            None => {
                sql.push("SELECT ").push(self.columns);
                (self.find)(sql);
            }
        }
        sql.push(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_insert() {
        for (engine, expected) in [
            (Engine::Sqlite, "INSERT INTO t VALUES (?, ?), (?, ?)"),
            (Engine::Postgres, "INSERT INTO t SELECT * FROM UNNEST($1::bigint[], $2::text[])"),
        ] {
            let mut sql = Sql::new(engine, "INSERT INTO t ");
            sql.bind_table([[Value::from(1), "a".into()], [2.into(), Value::OptText(None)]]);
            assert_eq!(sql.text(), expected);
        }
    }

    #[test]
    fn keys_of_a_page() {
        for (engine, expected) in [
            (Engine::Sqlite, "SELECT value FROM json_each(?)"),
            (Engine::Postgres, "SELECT * FROM UNNEST($1::bigint[])"),
        ] {
            assert_eq!(Sql::new(engine, "").bind_keys(&[1, 2]).text(), expected);
        }
    }

    #[test]
    fn statements_together() {
        let find = |sql: &mut Sql| {
            sql.push(" FROM t WHERE b = ").bind(1);
        };
        let write = |sql: &mut Sql| {
            sql.push("INSERT INTO u SELECT a, ").bind(2).push(" FROM found WHERE TRUE");
        };
        let together = Together { make: None, columns: "a", find: &find, writes: &[&write] };
        for (engine, expected) in [
            (
                Engine::Sqlite,
                "WITH found AS (SELECT a FROM t WHERE b = ?) INSERT INTO u SELECT a, ? FROM found WHERE TRUE;\
                 WITH found AS (SELECT a FROM t WHERE b = ?) SELECT * FROM found",
            ),
            (
                Engine::Postgres,
                "WITH found AS (SELECT a FROM t WHERE b = $1), write0 AS (INSERT INTO u SELECT a, $2 FROM found \
                 WHERE TRUE) SELECT * FROM found",
            ),
        ] {
            assert_eq!(together.sql(engine).text(), expected);
        }
        let make = |sql: &mut Sql| {
            sql.push("INSERT INTO t (b) VALUES (").bind(1).push(")");
        };
        let together = Together { make: Some(&make), ..together };
        for (engine, expected) in [
            (
                Engine::Sqlite,
                "INSERT INTO t (b) VALUES (?);\
                 WITH found AS (SELECT a FROM t WHERE b = ?) INSERT INTO u SELECT a, ? FROM found WHERE TRUE;\
                 WITH found AS (SELECT a FROM t WHERE b = ?) SELECT * FROM found",
            ),
            (
                Engine::Postgres,
                "WITH found AS (INSERT INTO t (b) VALUES ($1) RETURNING a), write0 AS (INSERT INTO u SELECT a, $2 \
                 FROM found WHERE TRUE) SELECT * FROM found",
            ),
        ] {
            assert_eq!(together.sql(engine).text(), expected);
        }
    }
}
