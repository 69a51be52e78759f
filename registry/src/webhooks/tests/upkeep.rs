//! Outbox and history stay bounded.

use super::{create_model, history, receivers::Receiver, settings, settled, subscribe};
use crate::{
    db::testing::each_engine,
    testing::TestRegistry,
    webhooks::{duty::run_upkeep, types::DeliveryState},
};

const CREATED: &[&str] = &["registered_model.created"];

async fn set(registry: &TestRegistry, sql: &'static str) {
    let changed = registry.app().db.write(sql, |tx, sql| Box::pin(tx.query(sql).execute()));
    assert!(changed.await.unwrap() > 0, "{sql}");
}

#[tokio::test]
async fn history_and_outbox_have_an_end() {
    each_engine(|url| async move {
        let registry = TestRegistry::open_with(url, settings()).await;
        let receiver = Receiver::good().await;
        let id = subscribe(&registry, &receiver, CREATED).await;
        let _other = subscribe(&registry, &receiver, CREATED).await;
        for n in 0..7 {
            create_model(&registry, &format!("model-{n}")).await;
        }
        // The oldest is two days old.
        set(
            &registry,
            "UPDATE webhook_deliveries SET created_at_ms = created_at_ms - 172800000
             WHERE id = (SELECT MIN(id) FROM webhook_deliveries)",
        )
        .await;
        run_upkeep(registry.app(), 100, 4).await.unwrap();
        let told = history(&registry, &id).await;
        let states: Vec<&str> = told.iter().map(|delivery| delivery["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["pending", "pending", "pending", "pending", "failed", "failed", "failed"]);
        assert_eq!(told[6]["error"], "given up: it was pending for 24 hours");
        assert_eq!(told[5]["error"], "given up: 10,000 newer ones were pending");
        registry.registry.start_duties();
        receiver.wait(8).await;
        registry.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn only_the_newest_of_the_history_are_kept() {
    each_engine(|url| async move {
        let registry = TestRegistry::open_with(url, settings()).await;
        registry.registry.start_duties();
        let receiver = Receiver::good().await;
        let id = subscribe(&registry, &receiver, CREATED).await;
        for n in 0..6 {
            create_model(&registry, &format!("model-{n}")).await;
        }
        let all = settled(&registry, &id, 6, DeliveryState::Delivered).await;
        run_upkeep(registry.app(), 4, 100).await.unwrap();
        let kept = history(&registry, &id).await;
        assert_eq!(kept, all[..4]);
        set(
            &registry,
            "UPDATE webhook_deliveries SET ended_at_ms = ended_at_ms - 2678400000
             WHERE id = (SELECT MAX(id) FROM webhook_deliveries)",
        )
        .await;
        run_upkeep(registry.app(), 100, 100).await.unwrap();
        assert_eq!(history(&registry, &id).await, all[1..4], "31 days are too long");
        registry.registry.close().await;
    })
    .await;
}
