use crate::db::{
    Conn, Db, DbError, Engine,
    sql::{Sql, Value},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

async fn counter_db() -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&format!("sqlite:{}", dir.path().join("t.db").display())).await.unwrap();
    db.write((), |tx, ()| {
        Box::pin(async move {
            tx.query("CREATE TABLE counted (n BIGINT NOT NULL UNIQUE)").execute().await?;
            Ok::<_, DbError>(())
        })
    })
    .await
    .unwrap();
    (dir, db)
}

async fn insert(tx: &mut Conn, n: i64) -> Result<(), DbError> {
    tx.query("INSERT INTO counted (n) VALUES ($1)").bind(n).execute().await?;
    Ok(())
}

async fn stored(db: &Db) -> Vec<i64> {
    let rows: Vec<(i64,)> =
        db.read().await.unwrap().query("SELECT n FROM counted ORDER BY n").all().await.unwrap();
    rows.into_iter().map(|(n,)| n).collect()
}

#[tokio::test]
async fn one_failing_change_leaves_its_group_alone() {
    let (_dir, db) = counter_db().await;
    let writes = [1, 2, 2, 3, 4].map(|n| {
        let db = db.clone();
        tokio::spawn(async move { db.write(n, |tx, n| Box::pin(insert(tx, *n))).await })
    });
    let outcomes = futures::future::join_all(writes).await;
    let failed = outcomes.iter().filter(|o| matches!(o, Ok(Err(_)))).count();
    assert_eq!(failed, 1, "only the duplicate fails");
    assert_eq!(stored(&db).await, [1, 2, 3, 4]);
}

/// A change that holds the writer, so that what comes after it is a group.
struct Held {
    open: tokio::sync::watch::Sender<bool>,
    change: tokio::task::JoinHandle<Result<(), DbError>>,
}

impl Held {
    /// Lets it insert 0.
    async fn release(self) {
        self.open.send(true).unwrap();
        self.change.await.unwrap().unwrap();
    }
}

async fn held(db: &Db) -> Held {
    let (open, gate) = tokio::sync::watch::channel(false);
    let (began, begun) = tokio::sync::watch::channel(false);
    let db = db.clone();
    let change = tokio::spawn(async move {
        db.write((gate, began), |tx, (gate, began)| {
            Box::pin(async move {
                began.send_replace(true);
                let _ = gate.clone().wait_for(|open| *open).await;
                insert(tx, 0).await
            })
        })
        .await
    });
    let _ = begun.clone().wait_for(|begun| *begun).await;
    Held { open, change }
}

/// However a group fails, the changes of it that do not are committed in their order, and none is run
/// over and over for the others' sake.
#[tokio::test]
async fn failing_changes_split_their_group_and_no_more() {
    let (_dir, db) = counter_db().await;
    let first = held(&db).await;
    let runs: Arc<[AtomicU32; 40]> = Arc::new(std::array::from_fn(|_| AtomicU32::new(0)));
    let mut writes = Vec::new();
    for index in 0..40_usize {
        let (db, runs) = (db.clone(), runs.clone());
        writes.push(tokio::spawn(async move {
            db.write((index, runs), |tx, (index, runs)| {
                runs[*index].fetch_add(1, Ordering::SeqCst);
                // Every fourth repeats the number that the first change has.
                let n = if index % 4 == 3 { 0 } else { *index as i64 + 1 };
                Box::pin(insert(tx, n))
            })
            .await
        }));
        tokio::task::yield_now().await;
    }
    first.release().await;
    let outcomes = futures::future::join_all(writes).await;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.unwrap().is_err(), index % 4 == 3, "change {index}");
        let runs = runs[index].load(Ordering::SeqCst);
        assert!((1..=2).contains(&runs), "change {index} ran {runs} times");
    }
    assert_eq!(stored(&db).await.len(), 31);
}

#[tokio::test]
async fn a_panic_is_rolled_back_and_the_writer_goes_on() {
    let (_dir, db) = counter_db().await;
    let outcome: Result<(), DbError> = db
        .write((), |tx, ()| {
            Box::pin(async move {
                insert(tx, 7).await?;
                panic!("a bug in a change");
            })
        })
        .await;
    assert!(matches!(outcome, Err(DbError::Panicked)), "{outcome:?}");
    db.write(8, |tx, n| Box::pin(insert(tx, *n))).await.unwrap();
    assert_eq!(stored(&db).await, [8]);
}

#[tokio::test]
async fn a_full_disk_ends_one_change_and_not_the_writer() {
    let (_dir, db) = counter_db().await;
    let run = |sql: &'static str| {
        db.write(sql, |tx, sql| {
            Box::pin(async move {
                tx.query(sql).execute().await?;
                Ok::<_, DbError>(())
            })
        })
    };
    run("PRAGMA max_page_count = 1").await.unwrap();
    let outcome = db
        .write((), |tx, ()| {
            Box::pin(async move {
                for n in 0..10_000 {
                    insert(tx, n).await?;
                }
                Ok::<_, DbError>(())
            })
        })
        .await;
    assert!(matches!(&outcome, Err(error) if error.is_full()), "{outcome:?}");
    assert_eq!(stored(&db).await, Vec::<i64>::new());
    run("PRAGMA max_page_count = 1000000").await.unwrap();
    db.write(3, |tx, n| Box::pin(insert(tx, *n))).await.unwrap();
    assert_eq!(stored(&db).await, [3]);
}

#[tokio::test]
async fn a_change_ends_even_when_its_caller_has_gone() {
    let (_dir, db) = counter_db().await;
    let ran = Arc::new(AtomicU32::new(0));
    let write = db.write(ran.clone(), |tx, ran| {
        Box::pin(async move {
            tokio::task::yield_now().await;
            insert(tx, 1).await?;
            ran.fetch_add(1, Ordering::SeqCst);
            Ok::<_, DbError>(())
        })
    });
    assert!(futures::FutureExt::now_or_never(write).is_none(), "the change is queued, its caller dropped");
    db.write(2, |tx, n| Box::pin(insert(tx, *n))).await.unwrap();
    assert_eq!(stored(&db).await, [1, 2]);
    assert!(ran.load(Ordering::SeqCst) >= 1);
}

/// Inserts all of `ns`, and answers with the last.
fn insertion(ns: &[i64]) -> Sql {
    let mut sql = Sql::new(Engine::Sqlite, "");
    for n in ns {
        sql.push("INSERT INTO counted (n) VALUES (").bind(*n).push(")").next_statement();
    }
    sql.push("SELECT n FROM counted WHERE n = ").bind(ns[ns.len() - 1]);
    sql
}

/// Commits, and groups that were split.
fn figures(db: &Db) -> [u64; 2] {
    let mut registry = prometheus_client::registry::Registry::default();
    db.writer_metrics().unwrap().register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    ["sqlite_commit_changes_count ", "sqlite_group_splits_total "].map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    })
}

#[tokio::test]
async fn failing_scripts_split_their_group_and_no_more() {
    let (_dir, db) = counter_db().await;
    let [commits, splits] = figures(&db);
    let first = held(&db).await;
    let mut writes = Vec::new();
    for n in 1..=40 {
        let db = db.clone();
        // Every fourth repeats, after one that does not, the number that the first change has.
        let ns = if n % 4 == 0 { vec![n, 0] } else { vec![n] };
        writes.push(tokio::spawn(async move { db.write_at_once(insertion(&ns)).await }));
        tokio::task::yield_now().await;
    }
    first.release().await;
    for (n, outcome) in (1..).zip(futures::future::join_all(writes).await) {
        match outcome.unwrap() {
            Ok(answer) => assert_eq!(answer, [n]),
            Err(error) => {
                assert_eq!(n % 4, 0, "{error}");
                assert!(error.to_string().contains("UNIQUE constraint failed: counted.n"), "{error}");
            }
        }
    }
    // One for what held the writer, and one for every three between those that fail.
    assert_eq!(figures(&db), [commits + 1 + 10, splits + 10]);
    let kept: Vec<i64> = std::iter::once(0).chain((1..=40).filter(|n| n % 4 != 0)).collect();
    assert_eq!(stored(&db).await, kept);
}

#[tokio::test]
async fn a_full_disk_ends_one_script_and_not_the_writer() {
    let (_dir, db) = counter_db().await;
    db.write_at_once(Sql::new(Engine::Sqlite, "PRAGMA max_page_count = 1")).await.unwrap();
    let many = Sql::new(
        Engine::Sqlite,
        "INSERT INTO counted (n) WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 10000) \
         SELECT n FROM s",
    );
    let outcome = db.write_at_once(many.clone()).await;
    assert!(matches!(&outcome, Err(error) if error.is_full()), "{outcome:?}");
    assert_eq!(stored(&db).await, Vec::<i64>::new());

    // What there is room for is written also where others of its group find none.
    let first = held(&db).await;
    let fits = tokio::spawn({
        let db = db.clone();
        async move { db.write_at_once(insertion(&[20_000])).await }
    });
    tokio::task::yield_now().await;
    let full = tokio::spawn({
        let db = db.clone();
        async move { db.write_at_once(many).await }
    });
    tokio::task::yield_now().await;
    first.release().await;
    assert_eq!(fits.await.unwrap().unwrap(), [20_000]);
    assert!(full.await.unwrap().unwrap_err().is_full());
    assert_eq!(stored(&db).await, [0, 20_000]);
    db.write_at_once(Sql::new(Engine::Sqlite, "PRAGMA max_page_count = 1000000")).await.unwrap();
    db.write(3, |tx, n| Box::pin(insert(tx, *n))).await.unwrap();
    assert_eq!(db.write_at_once(insertion(&[4])).await.unwrap(), [4]);
    assert_eq!(stored(&db).await, [0, 3, 4, 20_000]);
}

/// A change that fails has ended when its caller is told: what comes next finds the database free.
#[tokio::test]
async fn a_failing_change_holds_up_no_script() {
    let (_dir, db) = counter_db().await;
    db.write_at_once(Sql::new(Engine::Sqlite, "PRAGMA busy_timeout = 0")).await.unwrap();
    for n in 1..200 {
        let failing = db.write((), |tx, ()| {
            Box::pin(async move {
                insert(tx, 0).await?;
                insert(tx, 0).await
            })
        });
        assert!(failing.await.is_err());
        assert_eq!(db.write_at_once(insertion(&[n])).await.unwrap(), [n]);
    }
}

#[tokio::test]
async fn values_of_every_type_are_bound_as_they_are() {
    let (_dir, db) = counter_db().await;
    let none = [Value::OptText(None), Value::OptInt(None), Value::OptFloat(None), Value::OptBool(None)];
    let values = [
        ("text", "a\0b".into()),
        ("text", Value::OptText(Some("a".into()))),
        ("integer", i64::MIN.into()),
        ("real", f64::INFINITY.into()),
        ("integer", true.into()),
        ("blob", Value::OptBytes(Some(vec![0, 255]))),
        ("null", Value::OptBytes(None)),
    ];
    let values = values.into_iter().chain(none.map(|value| ("null", value)));
    for (kind, value) in values {
        let mut sql = Sql::new(Engine::Sqlite, "SELECT typeof(");
        sql.bind(value.clone()).push(") = ").bind(kind);
        assert_eq!(db.write_at_once(sql).await.unwrap(), [1], "{value:?}");
    }
    for (value, literal) in [("a\0b".into(), "char(97, 0, 98)"), (i64::MIN.into(), "-9223372036854775808")] {
        let value: Value = value;
        let mut sql = Sql::new(Engine::Sqlite, "SELECT ");
        sql.bind(value.clone()).push(" = ").push(literal);
        assert_eq!(db.write_at_once(sql).await.unwrap(), [1], "{value:?}");
    }
}

/// A journal left beside the file would be applied to one that is put in its place.
#[tokio::test]
async fn what_waits_is_written_before_the_database_closes() {
    let (dir, db) = counter_db().await;
    let first = held(&db).await;
    let waiting = tokio::spawn({
        let db = db.clone();
        async move { db.write_at_once(insertion(&[1])).await }
    });
    tokio::task::yield_now().await;
    let closing = tokio::spawn({
        let db = db.clone();
        async move { db.close().await }
    });
    tokio::task::yield_now().await;
    first.release().await;
    closing.await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), [1]);
    assert!(matches!(db.write_at_once(insertion(&[2])).await, Err(DbError::Closing)));
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["t.db"]);
}
