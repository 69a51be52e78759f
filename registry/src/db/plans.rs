//! Query plans, for tests that say which index serves which search.

use super::{Conn, DbError, Engine, sql::Sql};

/// How the engine runs a statement, one line per step.
pub struct Plan {
    pub text: String,
    pub lines: Vec<String>,
    engine: Engine,
}

impl Conn {
    /// The plan of a generated statement.
    pub async fn plan(&mut self, sql: Sql) -> Result<Plan, DbError> {
        let (engine, text) = (self.engine(), sql.text().to_owned());
        let lines = match engine {
            Engine::Sqlite => {
                let rows: Vec<(i64, i64, i64, String)> = self.generated(sql.explained()).all().await?;
                rows.into_iter().map(|(_, _, _, detail)| detail).collect()
            }
            Engine::Postgres => {
                let rows: Vec<(String,)> = self.generated(sql.explained()).all().await?;
                rows.into_iter().map(|(line,)| line).collect()
            }
        };
        self.take_seen();
        Ok(Plan { text, lines, engine })
    }

    /// Statistics, which PostgreSQL's own maintenance gathers after a while. SQLite plans without.
    pub async fn analyze(&mut self) -> Result<(), DbError> {
        if self.engine() == Engine::Postgres {
            self.query("ANALYZE").execute().await?;
        }
        Ok(())
    }
}

impl Plan {
    /// The first step whose cost grows with a table. `few`: the statement starts from few rows, which
    /// may be sorted. `walk`: what it reads in order until the page is full.
    pub fn grows(&self, few: bool, walk: &str) -> Option<&str> {
        let grows = |line: &&String| match self.engine {
            Engine::Sqlite => sqlite_grows(line, few),
            Engine::Postgres => postgres_grows(line.trim_start_matches([' ', '-', '>']), few),
        };
        self.lines
            .iter()
            .filter(|line| !walk.split('|').any(|step| step == *line))
            .find(grows)
            .map(String::as_str)
    }

    /// The first step that reads rows where an index holds all that is asked for. PostgreSQL reads rows
    /// of what an expression's index finds.
    pub fn beyond_index(&self) -> Option<&str> {
        let beyond = |line: &&String| match self.engine {
            // Tables without row numbers lie in their primary keys.
            Engine::Sqlite => {
                !["USING COVERING INDEX", "USING PRIMARY KEY"].iter().any(|whole| line.contains(whole))
            }
            Engine::Postgres => false,
        };
        self.lines.iter().filter(|line| line.starts_with('S')).find(beyond).map(String::as_str)
    }

    /// Whether one of `indexes` serves it: names with `|` between them, as engines call a primary key
    /// differently.
    pub fn uses(&self, indexes: &str) -> bool {
        self.lines.iter().any(|line| indexes.split('|').any(|index| line.contains(index)))
    }
}

/// Rows that the statement itself lists or limited before.
const OWN_ROWS: [&str; 8] =
    ["driver", "json_each", "page", "asked", "newest", "matches", "part", "(subquery"];

fn sqlite_grows(line: &str, few: bool) -> bool {
    if line.starts_with("USE TEMP B-TREE FOR ORDER BY") {
        return !few;
    }
    let Some(scanned) = line.strip_prefix("SCAN ") else {
        return false;
    };
    let own = OWN_ROWS.iter().any(|name| scanned.starts_with(name)) || scanned.contains("CONSTANT ROW");
    !own && !scanned.contains(" USING ")
}

fn postgres_grows(node: &str, few: bool) -> bool {
    node.starts_with("Seq Scan") || (!few && node.starts_with("Sort  (cost"))
}
