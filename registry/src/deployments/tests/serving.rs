//! What is on record as serving, since when, and when it did not answer.

use super::{STAGING, lease, staged};
use crate::{
    audit::Cause,
    deployments::{deployment, report_rollout, report_serving, report_stopped},
    error::Failure as _,
    promotion::{history, tests::report},
    testing::{TestRegistry, cause, each_registry},
};
use waybill_client::api::{
    ReportRollout, ReportServing, ReportStopped, Revision, RolloutPhase, ServingInterval,
};

async fn served(registry: &TestRegistry) -> Vec<ServingInterval> {
    history(registry.app(), "iris", Some(STAGING)).await.unwrap().serving
}

/// When `cause()` is.
const NOON: i64 = 1_700_000_000_000;

fn later(ms: i64) -> Cause {
    Cause { at_ms: NOON + ms, ..cause() }
}

fn at(mut report: ReportRollout, switched_at_ms: i64) -> ReportRollout {
    report.switched_at_ms = Some(switched_at_ms);
    report
}

fn seen(fence: i64, version_uid: &str, revision: &Revision, ready: bool, at_ms: i64) -> ReportServing {
    ReportServing {
        fence,
        version_uid: version_uid.to_owned(),
        revision_id: revision.revision_id.clone(),
        revision: Some(revision.clone()),
        ready,
        at_ms,
        message: (!ready).then(|| "it exited with code 137".to_owned()),
    }
}

#[tokio::test]
async fn an_interval_begins_with_the_switch_and_not_with_the_end_of_the_drain() {
    each_registry(|registry| async move {
        let app = registry.app();
        let fence = lease(&registry, "a", 60_000).await.unwrap().fence;
        let first = staged(&registry, "one").await;
        report_rollout(app, cause(), &first, report(fence, RolloutPhase::Succeeded, "rev-1")).await.unwrap();
        let second = staged(&registry, "two").await;
        for (now, phase) in
            [(20, RolloutPhase::Draining), (30, RolloutPhase::Draining), (50, RolloutPhase::Succeeded)]
        {
            let sent = at(report(fence, phase, "rev-2"), NOON + 10);
            report_rollout(app, later(now), &second, sent).await.unwrap();
            let told = served(&registry).await;
            assert_eq!(told.len(), 2, "once");
            assert_eq!((told[1].to_ms, told[0].from_ms), (Some(NOON + 10), NOON + 10), "without a gap");
        }
        let third = staged(&registry, "three").await;
        let sent = at(report(fence, RolloutPhase::Succeeded, "rev-3"), i64::MAX);
        report_rollout(app, later(90), &third, sent).await.unwrap();
        assert_eq!(served(&registry).await[0].from_ms, NOON + 90, "never in the future");
    })
    .await;
}

#[tokio::test]
async fn outages_are_on_record_with_their_reason_and_end() {
    each_registry(|registry| async move {
        let app = registry.app();
        let fence = lease(&registry, "a", 60_000).await.unwrap().fence;
        let rollout_id = staged(&registry, "one").await;
        let done = report(fence, RolloutPhase::Succeeded, "rev-1");
        let revision = done.revision.clone().unwrap();
        report_rollout(app, cause(), &rollout_id, done).await.unwrap();
        let uid = served(&registry).await[0].version_uid.clone();
        let since = NOON;
        let send = |sent: ReportServing| report_serving(app, later(20), STAGING, "iris", sent);
        send(seen(fence, &uid, &revision, false, since + 5)).await.unwrap();
        let mut again = seen(fence, &uid, &revision, false, since + 9);
        again.message = Some("no image".into());
        send(again).await.unwrap();
        let outage = deployment(app, STAGING, "iris").await.unwrap().serving.unwrap().outage.unwrap();
        assert_eq!((outage.from_ms, outage.to_ms), (since + 5, None));
        assert_eq!(outage.reason.as_deref(), Some("no image"));
        send(seen(fence, &uid, &revision, true, since + 12)).await.unwrap();
        send(seen(fence, &uid, &revision, true, since + 13)).await.unwrap();
        assert!(deployment(app, STAGING, "iris").await.unwrap().serving.unwrap().outage.is_none());
        assert_eq!(served(&registry).await[0].outages[0].to_ms, Some(since + 12));

        // One that lasts ends with its interval.
        send(seen(fence, &uid, &revision, false, since + 15)).await.unwrap();
        let generation = deployment(app, STAGING, "iris").await.unwrap().generation;
        let at_ms = Some(since + 18);
        let stopped = ReportStopped { fence, generation, message: "gone".into(), at_ms };
        report_stopped(app, later(20), STAGING, "iris", stopped).await.unwrap();
        let told = served(&registry).await;
        assert_eq!((told.len(), told[0].to_ms), (1, Some(since + 18)));
        let ends: Vec<_> = told[0].outages.iter().map(|outage| outage.to_ms).collect();
        assert_eq!(ends, [Some(since + 18), Some(since + 12)], "newest first");
        let stale = seen(fence + 1, &uid, &revision, true, since);
        assert_eq!(send(stale).await.unwrap_err().code(), "STALE_FENCE");
    })
    .await;
}

#[tokio::test]
async fn another_revision_of_what_serves_has_an_interval_of_its_own() {
    each_registry(|registry| async move {
        let app = registry.app();
        let fence = lease(&registry, "a", 60_000).await.unwrap().fence;
        let rollout_id = staged(&registry, "one").await;
        let done = report(fence, RolloutPhase::Succeeded, "rev-1");
        let first = done.revision.clone().unwrap();
        report_rollout(app, cause(), &rollout_id, done).await.unwrap();
        let uid = served(&registry).await[0].version_uid.clone();
        let other =
            Revision { revision_id: "rev-other".into(), image_digest: "sha256:1".into(), ..first.clone() };
        let send = |sent: ReportServing| report_serving(app, cause(), STAGING, "iris", sent);
        send(seen(fence, &uid, &other, false, i64::MAX)).await.unwrap();
        assert_eq!(served(&registry).await.len(), 1, "what never served has no outage");
        let mut bare = seen(fence, &uid, &other, true, i64::MAX);
        bare.revision = None;
        assert_eq!(send(bare).await.unwrap_err().code(), "REVISION_MISSING");
        assert_eq!(send(seen(fence, "nobody", &other, true, 1)).await.unwrap_err().code(), "FIELD_INVALID");
        for _ in 0..2 {
            send(seen(fence, &uid, &other, true, i64::MAX)).await.unwrap();
        }
        let told = served(&registry).await;
        let ids: Vec<_> = told.iter().map(|interval| interval.revision_id.as_str()).collect();
        assert_eq!(ids, ["rev-other", "rev-1"]);
        assert_eq!(told[0].revision.as_ref(), Some(&other));
        assert_eq!(told[1].revision.as_ref(), Some(&first));
        assert_eq!(told[1].to_ms, Some(told[0].from_ms));
    })
    .await;
}

#[tokio::test]
async fn what_a_version_ran_is_told_where_it_is_desired_again() {
    each_registry(|registry| async move {
        let app = registry.app();
        let fence = lease(&registry, "a", 60_000).await.unwrap().fence;
        let rollout_id = staged(&registry, "one").await;
        let served_as =
            || async { deployment(app, STAGING, "iris").await.unwrap().desired.unwrap().served_as };
        assert_eq!(served_as().await, None);
        let failed = report(fence, RolloutPhase::Failed, "rev-0");
        report_rollout(app, cause(), &rollout_id, failed).await.unwrap();
        assert_eq!(served_as().await, None, "what failed served nobody");
        let second = staged(&registry, "two").await;
        let done = report(fence, RolloutPhase::Succeeded, "rev-1");
        let ended = report_rollout(app, cause(), &second, done.clone()).await.unwrap();
        assert_eq!(ended.revision, done.revision);
        assert_eq!(served_as().await, done.revision);
    })
    .await;
}
