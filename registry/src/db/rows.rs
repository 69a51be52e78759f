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

/// Rows that a write of [`together`] takes: SQLite reads rows to select from slower than rows to insert.
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

/// One statement that finds rows, as `found`, and makes writes of them: a `WITH` on PostgreSQL, on
/// SQLite, which writes in none, several statements that are sent together. It answers with
/// `columns` of what was found. A write is an `INSERT … SELECT … FROM found WHERE TRUE …`, and sees
/// the tables as they were before.
pub fn together(
    engine: Engine,
    find: &dyn Fn(&mut Sql),
    writes: &[&dyn Fn(&mut Sql)],
    columns: &'static str,
) -> Sql {
    let mut sql = Sql::new(engine, "");
    match engine {
        Engine::Sqlite => {
            for write in writes {
                sql.push("WITH found AS (");
                find(&mut sql);
                sql.push(") ");
                write(&mut sql);
                sql.push("; ");
            }
            sql.push("WITH found AS (");
            find(&mut sql);
            sql.push(")");
        }
        Engine::Postgres => {
            sql.push("WITH found AS (");
            find(&mut sql);
            sql.push(")");
            for (number, write) in writes.iter().enumerate() {
                sql.push(", ").push_alias("write", number).push(" AS (");
                write(&mut sql);
                sql.push(")");
            }
        }
    }
    sql.push(" SELECT ").push(columns).push(" FROM found");
    sql
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
            sql.push("SELECT a FROM t WHERE b = ").bind(1);
        };
        let write = |sql: &mut Sql| {
            sql.push("INSERT INTO u SELECT a, ").bind(2).push(" FROM found WHERE TRUE");
        };
        for (engine, expected) in [
            (
                Engine::Sqlite,
                "WITH found AS (SELECT a FROM t WHERE b = ?) INSERT INTO u SELECT a, ? FROM found WHERE TRUE; \
                 WITH found AS (SELECT a FROM t WHERE b = ?) SELECT a FROM found",
            ),
            (
                Engine::Postgres,
                "WITH found AS (SELECT a FROM t WHERE b = $1), write0 AS (INSERT INTO u SELECT a, $2 FROM found \
                 WHERE TRUE) SELECT a FROM found",
            ),
        ] {
            assert_eq!(together(engine, &find, &[&write], "a").text(), expected);
        }
    }
}
