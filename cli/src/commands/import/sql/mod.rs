//! An MLflow server, read from its database and its artifacts' folder or bucket.

mod db;
mod registry;
mod schema;
mod traces;
mod tracking;

use super::{
    error::SourceError,
    model::{Described, LeftOut},
};
use crate::failure::Failure;
use db::Db;
use schema::Schema;
use std::{path::PathBuf, sync::Arc};

/// Rows of a page.
const ROWS: usize = 200;

#[derive(Clone)]
pub struct Sql {
    db: Db,
    schema: Arc<Schema>,
    source: String,
}

/// Where a database is, as SQLAlchemy writes it.
#[derive(Debug, PartialEq, Eq)]
pub enum Address {
    Sqlite(PathBuf),
    Postgres(String),
}

/// Reads `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://…` and
/// `postgresql+driver://…`; `None` for what names no database.
pub fn address(text: &str) -> Option<Result<Address, Failure>> {
    let (scheme, rest) = text.split_once(':')?;
    let (engine, _driver) = scheme.split_once('+').unwrap_or((scheme, ""));
    match engine {
        "sqlite" => {
            let path = rest.strip_prefix("///").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
            let path = path.split('?').next().unwrap_or_default();
            Some(if path.is_empty() {
                Err(Failure::Usage(format!("--from {text}: it names no file, as in sqlite:///mlflow.db")))
            } else {
                Ok(Address::Sqlite(PathBuf::from(path)))
            })
        }
        "postgresql" | "postgres" => Some(Ok(Address::Postgres(format!("postgres:{rest}")))),
        "mysql" | "mssql" | "oracle" => Some(Err(Failure::Usage(format!(
            "--from: a database of {engine} is not read directly; start `mlflow server` on it and import from its \
             address, e.g. --from http://127.0.0.1:5000"
        )))),
        _ => None,
    }
}

impl Sql {
    pub async fn open(address: Address) -> Result<Self, SourceError> {
        let (db, source) = match address {
            Address::Sqlite(file) => {
                let db = Db::sqlite(&file).await?;
                let whole = std::fs::canonicalize(&file).unwrap_or(file);
                (db, format!("sqlite:///{}", whole.display()))
            }
            Address::Postgres(url) => (Db::postgres(&url).await?, without_credentials(&url)),
        };
        let schema = Arc::new(Schema::read(&db).await?);
        Ok(Self { db, schema, source })
    }

    pub fn describe(&self) -> Described {
        let (version, revision) = (self.schema.version(), &self.schema.revision);
        Described {
            source: self.source.clone(),
            detail: format!("MLflow {version}, read from its database (schema {revision})"),
        }
    }

    /// What is there and cannot be taken.
    pub async fn left_out(&self) -> Result<Vec<LeftOut>, SourceError> {
        let mut found = Vec::new();
        for (table, kind, why) in [
            ("webhooks", "webhook", super::WEBHOOKS),
            ("evaluation_datasets", "evaluation dataset", super::NOT_OFFERED),
            ("scorers", "scorer", super::NOT_OFFERED),
            ("issues", "issue", super::NOT_OFFERED),
            ("endpoints", "gateway endpoint", super::NOT_OFFERED),
        ] {
            if self.schema.has_table(table) {
                let count =
                    self.db.count(format!("SELECT CAST(COUNT(*) AS BIGINT) AS n FROM {table}")).await?;
                found.push(LeftOut { kind, count: Some(count), why });
            }
        }
        for (table, kind) in [("experiments", "experiment"), ("registered_models", "registered model")] {
            if self.schema.has(table, "workspace") {
                let inside = self.schema.default_workspace(table);
                let sql = format!("SELECT CAST(COUNT(*) AS BIGINT) AS n FROM {table} WHERE NOT ({inside})");
                found.push(LeftOut {
                    kind,
                    count: Some(self.db.count(sql).await?),
                    why: super::OTHER_WORKSPACE,
                });
            }
        }
        Ok(found)
    }
}

fn without_credentials(url: &str) -> String {
    match url::Url::parse(url) {
        // An `@` behind the host is the end of a password with a `/`, `?` or `#` in it.
        Ok(mut url) if !url[url::Position::BeforePath..].contains('@') => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        _ => "postgres:".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_sqlalchemy() {
        let read = |text| address(text).map(|found| found.map_err(|error| error.exit_code()));
        let file = |path: &str| Some(Ok(Address::Sqlite(path.into())));
        assert_eq!(read("sqlite:///mlflow.db"), file("mlflow.db"));
        assert_eq!(read("sqlite:////srv/mlflow.db"), file("/srv/mlflow.db"));
        assert_eq!(read("sqlite+pysqlite:///a.db?mode=ro"), file("a.db"));
        let postgres = Some(Ok(Address::Postgres("postgres://u:p@h/d".to_owned())));
        assert_eq!(read("postgresql+psycopg2://u:p@h/d"), postgres);
        assert_eq!(read("mysql://h/d"), Some(Err(2)));
        assert_eq!(read("sqlite://"), Some(Err(2)));
        assert_eq!(read("http://old:5000"), None);
        assert_eq!(without_credentials("postgres://u:p@h:1/d"), "postgres://h:1/d");
    }
}
