use crate::db::{Conn, Db, DbError};
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

/// However a group fails, the changes of it that do not are committed in their order, and none is run
/// over and over for the others' sake.
#[tokio::test]
async fn failing_changes_split_their_group_and_no_more() {
    let (_dir, db) = counter_db().await;
    let (open, gate) = tokio::sync::watch::channel(false);
    let first = tokio::spawn({
        let db = db.clone();
        async move {
            db.write(gate, |tx, gate| {
                Box::pin(async move {
                    let _ = gate.clone().wait_for(|open| *open).await;
                    insert(tx, 0).await
                })
            })
            .await
        }
    });
    tokio::task::yield_now().await;
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
    open.send(true).unwrap();
    first.await.unwrap().unwrap();
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
