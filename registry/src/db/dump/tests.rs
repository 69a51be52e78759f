use super::Importer;
use crate::db::{Conn, Db, DbError, testing::each_engine};
use futures::TryStreamExt as _;

async fn fill(tx: &mut Conn) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO audit_events (at_ms, actor, action, subject, reason)
         VALUES (9007199254740993, 'local:zoë', 'model_version.registered', 'iris@1', NULL)",
    )
    .execute()
    .await?;
    Ok(())
}

async fn copy(from: &Db, to: &Db) {
    let mut snapshot = from.dump().await.unwrap();
    let mut importer: Importer = to.import().await.unwrap();
    importer.clear().await.unwrap();
    assert_eq!(importer.tables(), snapshot.tables(), "both engines describe the same tables");
    for table in snapshot.tables().to_vec() {
        let rows: Vec<_> = snapshot.rows(&table).try_collect().await.unwrap();
        importer.insert(&table, 1, &rows).await.unwrap();
    }
    importer.commit().await.unwrap();
}

#[tokio::test]
async fn rows_come_back_as_they_were_on_either_engine() {
    each_engine(|url| async move {
        let dir = tempfile::tempdir().unwrap();
        let origin = Db::open(&format!("sqlite:{}", dir.path().join("origin.db").display())).await.unwrap();
        origin.write((), |tx, ()| Box::pin(fill(tx))).await.unwrap();
        let target = Db::open(&url).await.unwrap();
        copy(&origin, &target).await;

        let mut conn = target.read().await.unwrap();
        let row: (i64, String, Option<String>) =
            conn.query("SELECT at_ms, actor, reason FROM audit_events").one().await.unwrap();
        assert_eq!(row, (9_007_199_254_740_993, "local:zoë".to_owned(), None));
        drop(conn);

        // New rows get numbers after the restored ones.
        target.write((), |tx, ()| Box::pin(fill(tx))).await.unwrap();
        let count: Option<i64> =
            target.read().await.unwrap().query("SELECT COUNT(*) FROM audit_events").scalar().await.unwrap();
        assert_eq!(count, Some(2));
        target.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_import_that_is_dropped_leaves_the_rows() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        db.write((), |tx, ()| Box::pin(fill(tx))).await.unwrap();
        drop(db.import().await.unwrap());
        let count: Option<i64> =
            db.read().await.unwrap().query("SELECT COUNT(*) FROM audit_events").scalar().await.unwrap();
        assert_eq!(count, Some(1));
        db.close().await;
    })
    .await;
}
