//! The one place that generates SQL text: filters and multi-row inserts. It only ever binds.

use super::{Engine, Query, rows::Column};
use std::fmt::Write as _;
use std::sync::Arc;

/// A bound value of generated text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    OptText(Option<String>),
    Int(i64),
    OptInt(Option<i64>),
    Float(f64),
    OptFloat(Option<f64>),
    Bool(bool),
    OptBool(Option<bool>),
    OptBytes(Option<Vec<u8>>),
    /// A column of many rows, of PostgreSQL only; see [`Sql::bind_table`].
    Column(Column),
}

impl Value {
    pub(super) fn bind(self, query: Query<'_>) -> Query<'_> {
        match self {
            Self::Text(v) => query.bind(v),
            Self::OptText(v) => query.bind(v),
            Self::Int(v) => query.bind(v),
            Self::OptInt(v) => query.bind(v),
            Self::Float(v) => query.bind(v),
            Self::OptFloat(v) => query.bind(v),
            Self::Bool(v) => query.bind(v),
            Self::OptBool(v) => query.bind(v),
            Self::OptBytes(v) => query.bind(v),
            Self::Column(v) => v.bind(query),
        }
    }
}

macro_rules! from_value {
    ($($type:ty => $variant:ident),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}
from_value!(String => Text, &str => Text, Option<String> => OptText, i64 => Int, Option<i64> => OptInt, f64 => Float, bool => Bool, Column => Column);

/// Text and its bound values, in order.
#[derive(Debug, Clone)]
pub struct Sql {
    engine: Engine,
    text: String,
    values: Vec<Value>,
    /// Where statements end that others follow: lengths of text, with its `;`, and of values.
    ends: Vec<(usize, usize)>,
}

impl Sql {
    pub fn new(engine: Engine, text: &'static str) -> Self {
        Self { engine, text: text.to_owned(), values: Vec::new(), ends: Vec::new() }
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Appends fixed text; nothing that a caller sent can get here.
    pub fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Ends a statement; what is appended from now on is another. SQLite only.
    pub fn next_statement(&mut self) -> &mut Self {
        self.text.push(';');
        self.ends.push((self.text.len(), self.values.len()));
        self
    }

    /// Each statement with its values.
    pub fn statements(&self) -> impl Iterator<Item = (&str, &[Value])> {
        let starts = std::iter::once((0, 0)).chain(self.ends.iter().copied());
        let ends = self.ends.iter().copied().chain([(self.text.len(), self.values.len())]);
        starts.zip(ends).map(|((text, values), (text_end, values_end))| {
            (&self.text[text..text_end], &self.values[values..values_end])
        })
    }

    /// Appends a table; for SQLite, where there is one, the same with hints.
    pub fn push_table(&mut self, table: &'static str, sqlite: Option<&'static str>) -> &mut Self {
        match self.engine {
            Engine::Sqlite => self.push(sqlite.unwrap_or(table)),
            Engine::Postgres => self.push(table),
        }
    }

    /// Appends a table alias number, e.g. `m3`, where a statement joins a table several times.
    pub fn push_alias(&mut self, prefix: &'static str, number: usize) -> &mut Self {
        self.text.push_str(prefix);
        let _ = write!(self.text, "{number}");
        self
    }

    /// Appends an identifier that the engine's own catalogue gave, quoted.
    pub(super) fn push_identifier(&mut self, quoted: &str) -> &mut Self {
        self.text.push_str(quoted);
        self
    }

    /// Appends a placeholder. SQLite gets a bare `?`: it looks every `$n` up by name, which is
    /// quadratic in a multi-row insert.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        match self.engine {
            Engine::Sqlite => self.text.push('?'),
            Engine::Postgres => {
                let _ = write!(self.text, "${}", self.values.len());
            }
        }
        self
    }

    /// Appends `(?, ?, …)`.
    pub fn bind_row(&mut self, row: impl IntoIterator<Item = Value>) -> &mut Self {
        self.text.push('(');
        for (i, value) in row.into_iter().enumerate() {
            if i > 0 {
                self.text.push_str(", ");
            }
            self.bind(value);
        }
        self.text.push(')');
        self
    }

    /// Appends `(?, …), (?, …)` for a multi-row `VALUES`. Keep to [`ROWS_PER_STATEMENT`] rows.
    pub fn bind_rows<R: IntoIterator<Item = Value>>(
        &mut self,
        rows: impl IntoIterator<Item = R>,
    ) -> &mut Self {
        for (i, row) in rows.into_iter().enumerate() {
            if i > 0 {
                self.text.push_str(", ");
            }
            self.bind_row(row);
        }
        self
    }

    /// Appends `?, ?, …` for an `IN (…)`.
    pub fn bind_list(&mut self, values: impl IntoIterator<Item = Value>) -> &mut Self {
        for (i, value) in values.into_iter().enumerate() {
            if i > 0 {
                self.text.push_str(", ");
            }
            self.bind(value);
        }
        self
    }

    /// Appends `<expression> LIKE <pattern>` without an escape character, told apart by case or
    /// not. SQLite's LIKE ignores the case of ASCII; its GLOB does not.
    pub fn like(&mut self, expression: &'static str, pattern: &str, case_sensitive: bool) -> &mut Self {
        self.push(expression);
        match (self.engine, case_sensitive) {
            (Engine::Sqlite, true) => self.push(" GLOB ").bind(glob_of(pattern)),
            (Engine::Sqlite, false) => self.push(" LIKE ").bind(pattern),
            (Engine::Postgres, true) => self.push(" LIKE ").bind(pattern).push(" ESCAPE ''"),
            (Engine::Postgres, false) => self.push(" ILIKE ").bind(pattern).push(" ESCAPE ''"),
        }
    }

    /// Appends whether the regular expression matches some of `expression`. Both engines know the
    /// syntax that [`regex`] has in common with POSIX; callers check that `pattern` is valid.
    pub fn matches(&mut self, expression: &'static str, pattern: &str) -> &mut Self {
        let operator = match self.engine {
            Engine::Sqlite => " REGEXP ",
            Engine::Postgres => " ~ ",
        };
        self.push(expression).push(operator).bind(pattern)
    }

    /// Appends whether `expression` contains `text` as it is.
    pub fn contains(&mut self, expression: &'static str, text: &str) -> &mut Self {
        let function = match self.engine {
            Engine::Sqlite => "instr(",
            Engine::Postgres => "strpos(",
        };
        self.push(function).push(expression).push(", ").bind(text).push(") > 0")
    }

    /// Appends the integers of a column over all rows, as one text with commas; NULL without rows.
    pub fn gathered(&mut self, column: &'static str) -> &mut Self {
        match self.engine {
            Engine::Sqlite => self.push("group_concat(").push(column).push(")"),
            Engine::Postgres => self.push("string_agg(CAST(").push(column).push(" AS TEXT), ',')"),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The statement's plan instead of its rows.
    #[cfg(test)]
    #[must_use]
    pub fn explained(mut self) -> Self {
        let explain = match self.engine {
            Engine::Sqlite => "EXPLAIN QUERY PLAN ",
            Engine::Postgres => "EXPLAIN ",
        };
        self.text.insert_str(0, explain);
        self
    }

    pub(super) fn into_parts(self) -> (Arc<str>, Vec<Value>) {
        (self.text.into(), self.values)
    }
}

/// A LIKE pattern as GLOB has it.
fn glob_of(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '*' | '?' | '[' => glob.extend(['[', c, ']']),
            c => glob.push(c),
        }
    }
    glob
}

/// Rows of one multi-row `VALUES`: past this, parsing the text costs more than another statement.
pub const ROWS_PER_STATEMENT: usize = 250;

/// Keys of one statement that reads what belongs to them. SQLite binds at most 32,766 values, and a
/// page may be longer.
pub const KEYS_PER_STATEMENT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_patterns_become_globs() {
        assert_eq!(glob_of("a%b_c*[x]?"), "a*b?c[*][[]x][?]");
    }

    #[test]
    fn statements_keep_their_own_values() {
        let mut sql = Sql::new(Engine::Sqlite, "a");
        sql.bind(1).bind(2).next_statement().push("b").next_statement().push("c").bind(3);
        let statements: Vec<_> = sql.statements().collect();
        let of = |values: &[i64]| values.iter().copied().map(Value::from).collect::<Vec<_>>();
        assert_eq!(statements, [("a??;", &*of(&[1, 2])), ("b;", &[]), ("c?", &*of(&[3]))]);
    }

    #[test]
    fn placeholders_follow_the_engine() {
        for (engine, expected) in [
            (Engine::Sqlite, "INSERT INTO t VALUES (?, ?), (?, ?)"),
            (Engine::Postgres, "INSERT INTO t VALUES ($1, $2), ($3, $4)"),
        ] {
            let mut sql = Sql::new(engine, "INSERT INTO t VALUES ");
            sql.bind_rows([[Value::from(1), "a".into()], [2.into(), "b".into()]]);
            assert_eq!(sql.text(), expected);
        }
    }
}
