//! Leases, reports and logs, on both engines.

mod serving;

use super::{
    DeploymentsError, LOG_LINES_MAX, acquire_lease, append_log, desired_state, follow_log, log_page,
    report_rollout, report_stopped, rollout,
};
use crate::{
    error::Failure as _,
    promotion::{Others, Transition, promote, tests::report},
    testing::{TestRegistry, cause, each_registry},
};
use futures::StreamExt as _;
use waybill_client::api::{
    AcquireLease, AppendLog, AppendLogLine, Lease, LogStream, ReportStopped, RolloutPhase, Stage,
};

const STAGING: &str = "staging";

async fn lease(registry: &TestRegistry, holder: &str, ttl_ms: i64) -> Result<Lease, DeploymentsError> {
    acquire_lease(registry.app(), STAGING, AcquireLease { holder: holder.into(), ttl_ms }).await
}

/// A frozen version in staging; its rollout.
async fn staged(registry: &TestRegistry, text: &str) -> String {
    let made = registry.frozen("iris", text).await;
    let asked = Transition {
        name: "iris".into(),
        version: made.version,
        to: Stage::Staging,
        others: Others::Yield,
        once: None,
    };
    promote(registry.app(), cause(), asked).await.unwrap().rollout_id.unwrap()
}

fn lines(texts: impl IntoIterator<Item = String>) -> Vec<AppendLogLine> {
    let line = |text| AppendLogLine { at_ms: 1, stream: LogStream::Stdout, text };
    texts.into_iter().map(line).collect()
}

#[tokio::test]
async fn one_leads_at_a_time() {
    each_registry(|registry| async move {
        let first = lease(&registry, "a", 60_000).await.unwrap();
        let renewed = lease(&registry, "a", 1_000).await.unwrap();
        assert_eq!(renewed.fence, first.fence, "a renewal keeps the fence");
        let held = lease(&registry, "b", 1_000).await.unwrap_err();
        assert_eq!(held.code(), "LEASE_HELD");
        let taken = loop {
            match lease(&registry, "b", 60_000).await {
                Ok(lease) => break lease,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        };
        assert!(taken.fence > first.fence, "a new holder, a new fence");
        for (holder, ttl_ms) in [("", 1_000), ("a", 999), ("a", 60_001)] {
            assert_eq!(lease(&registry, holder, ttl_ms).await.unwrap_err().code(), "FIELD_INVALID");
        }
        let unknown = AcquireLease { holder: "a".into(), ttl_ms: 1_000 };
        let error = acquire_lease(registry.app(), "moon", unknown).await.unwrap_err();
        assert_eq!(error.code(), "ENVIRONMENT_UNKNOWN");
    })
    .await;
}

#[tokio::test]
async fn reports_need_the_fence_and_the_order() {
    each_registry(|registry| async move {
        let app = registry.app();
        let rollout_id = staged(&registry, "one").await;
        let fence = lease(&registry, "a", 60_000).await.unwrap().fence;
        let send = |phase, fence| report_rollout(app, cause(), &rollout_id, report(fence, phase, "rev-1"));
        assert_eq!(send(RolloutPhase::Verifying, fence + 1).await.unwrap_err().code(), "STALE_FENCE");
        assert_eq!(send(RolloutPhase::Building, fence).await.unwrap().phase, RolloutPhase::Building);
        assert_eq!(send(RolloutPhase::Resolving, fence).await.unwrap_err().code(), "ROLLOUT_PHASE_ORDER");
        assert_eq!(send(RolloutPhase::Verifying, fence).await.unwrap().phase, RolloutPhase::Verifying);
        let mut bare = report(fence, RolloutPhase::Switching, "rev-1");
        bare.revision = None;
        let missing = report_rollout(app, cause(), &rollout_id, bare).await.unwrap_err();
        assert_eq!(missing.code(), "REVISION_MISSING");

        let newer = staged(&registry, "two").await;
        assert_eq!(rollout(app, &rollout_id).await.unwrap().phase, RolloutPhase::Superseded);
        assert_eq!(send(RolloutPhase::Starting, fence).await.unwrap_err().code(), "ROLLOUT_ENDED");
        // Its traffic had switched when it was superseded: that is history, too.
        assert_eq!(send(RolloutPhase::Succeeded, fence).await.unwrap().phase, RolloutPhase::Succeeded);
        let done = report_rollout(app, cause(), &newer, report(fence, RolloutPhase::Succeeded, "rev-2"));
        done.await.unwrap();
        let again = report_rollout(app, cause(), &newer, report(fence, RolloutPhase::Succeeded, "rev-2"));
        assert_eq!(again.await.unwrap().phase, RolloutPhase::Succeeded, "a lost answer is given again");

        let state = desired_state(app, STAGING, None, 0).await.unwrap();
        let deployment = &state.deployments[0];
        assert_eq!(deployment.serving.as_ref().unwrap().revision_id, "rev-2");
        assert_eq!(deployment.observed_generation, deployment.generation);
        let stopped =
            ReportStopped { fence, generation: deployment.generation, message: "gone".into(), at_ms: None };
        report_stopped(app, cause(), STAGING, "iris", stopped).await.unwrap();
        let state = desired_state(app, STAGING, None, 0).await.unwrap();
        assert!(state.deployments[0].serving.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_wait_ends_with_the_change() {
    each_registry(|registry| async move {
        let before = desired_state(registry.app(), STAGING, None, 0).await.unwrap().revision;
        let app = registry.app().clone();
        let waiting = tokio::spawn(async move { desired_state(&app, STAGING, Some(before), 50_000).await });
        staged(&registry, "one").await;
        let after = waiting.await.unwrap().unwrap();
        assert!(after.revision > before);
        assert_eq!(after.deployments[0].desired.as_ref().unwrap().version, 1);
        let unchanged = desired_state(registry.app(), STAGING, Some(after.revision), 1).await.unwrap();
        assert_eq!(unchanged.revision, after.revision, "the wait is bounded");
    })
    .await;
}

#[tokio::test]
async fn a_follower_gets_every_line_once_and_in_order() {
    each_registry(|registry| async move {
        let app = registry.app().clone();
        let rollout_id = staged(&registry, "one").await;
        let fence = lease(&registry, "a", 60_000).await.unwrap().fence;
        let append = |from: i64, count: i64, key: String| {
            let (app, rollout_id) = (app.clone(), rollout_id.clone());
            async move {
                let lines = lines((from..from + count).map(|n| format!("line {n}")));
                let append = AppendLog { fence, rollout_id, lines };
                append_log(&app, STAGING, "iris", Some(key), append).await.unwrap();
            }
        };
        append(1, 700, "first".into()).await;
        let mut followed = Box::pin(
            follow_log(app.clone(), STAGING, "iris", 5).await.unwrap().take(1_995).map(Result::unwrap),
        );
        let writer = tokio::spawn({
            let append: Vec<_> = (0..13).map(|n| append(701 + n * 100, 100, format!("key {n}"))).collect();
            async move {
                for one in append {
                    one.await;
                }
            }
        });
        for expected in 6..=2_000 {
            let line = followed.next().await.unwrap();
            assert_eq!((line.seq, line.text), (expected, format!("line {expected}")));
        }
        writer.await.unwrap();
        append(1_901, 100, "key 12".into()).await;
        let page = log_page(&app, STAGING, "iris", 1_999, None).await.unwrap();
        assert_eq!(page.len(), 1, "a retry of the newest append adds nothing");

        registry.registry.drain();
        let rest: Vec<_> = follow_log(app, STAGING, "iris", 1_990).await.unwrap().collect().await;
        assert_eq!(rest.len(), 10, "a server that stops ends the stream after what there is");
    })
    .await;
}

#[tokio::test]
async fn a_log_keeps_the_newest_lines_and_says_so() {
    each_registry(|registry| async move {
        let app = registry.app();
        let rollout_id = staged(&registry, "one").await;
        let fence = lease(&registry, "a", 60_000).await.unwrap().fence;
        let send = |lines| {
            let append = AppendLog { fence, rollout_id: rollout_id.clone(), lines };
            append_log(app, STAGING, "iris", None, append)
        };
        for _ in 0..=(LOG_LINES_MAX / 1_000 + 1) {
            send(lines((0..1_000).map(|n| n.to_string()))).await.unwrap();
        }
        let page = log_page(app, STAGING, "iris", 0, Some(2)).await.unwrap();
        assert_eq!(page[0].text, "… 2000 earlier lines were dropped …");
        assert_eq!((page[0].seq, page[1].seq), (2_000, 2_001));

        send(lines(["x".repeat(9_000), "a\0b".to_owned()])).await.unwrap();
        let page = log_page(app, STAGING, "iris", 22_000, None).await.unwrap();
        assert!(page[0].text.ends_with("… [808 more bytes]"), "{}", &page[0].text[8_190..]);
        assert_eq!(page[1].text, "a\u{fffd}b");
        let many = send(lines((0..1_001).map(|n| n.to_string()))).await.unwrap_err();
        assert_eq!(many.code(), "FIELD_INVALID");
        let other = AppendLog { fence, rollout_id: "rol-other".into(), lines: lines(["x".to_owned()]) };
        let error = append_log(app, STAGING, "iris", None, other).await.unwrap_err();
        assert_eq!(error.code(), "ROLLOUT_NOT_FOUND");
    })
    .await;
}
