//! Databases for tests: a fresh one on each engine, so that every suite runs on both.
//!
//! Self-contained, so that integration tests can include the file by path.

use sqlx::{Connection as _, PgConnection};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

/// Address of a PostgreSQL database in which schemas may be made, e.g.
/// `postgres://postgres@127.0.0.1:5432/waybill_test`. Without it tests run on SQLite alone,
/// which is not accepted where `CI` is set.
const POSTGRES_URL: &str = "WAYBILL_TEST_POSTGRES_URL";

/// Runs `test` with the URL of an empty database, once per engine.
pub async fn each_engine<F, Fut>(test: F)
where
    F: Fn(String) -> Fut,
    Fut: Future<Output = ()>,
{
    let dir = tempfile::tempdir().unwrap();
    test(format!("sqlite:{}", dir.path().join("test.db").display())).await;
    if let Some(url) = postgres_url() {
        let schema = create_schema(&url).await;
        let separator = if url.contains('?') { '&' } else { '?' };
        test(format!("{url}{separator}options[search_path]={schema}")).await;
        drop_schema(&url, &schema).await;
    }
}

fn postgres_url() -> Option<String> {
    let url = std::env::var(POSTGRES_URL).ok();
    assert!(
        url.is_some() || std::env::var_os("CI").is_none(),
        "{POSTGRES_URL} must be set where CI is: every suite runs on both engines"
    );
    url
}

async fn create_schema(url: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let schema = format!("test_{}_{number}", std::process::id());
    // A schema of the same name can only be left over from a failed test.
    execute(url, format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await;
    execute(url, format!("CREATE SCHEMA {schema}")).await;
    schema
}

async fn drop_schema(url: &str, schema: &str) {
    execute(url, format!("DROP SCHEMA {schema} CASCADE")).await;
}

async fn execute(url: &str, sql: String) {
    let mut conn = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}
