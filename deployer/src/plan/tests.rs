mod removal;
mod slots;

use super::*;
use insta::assert_debug_snapshot;
use waybill_client::api::{DesiredRevision, RolloutPhase, ServingRevision, Stage};
use waybill_proof::Digest;

/// A deployment whose `version` is desired by generation and rollout of the same number.
fn iris(version: i64, phase: RolloutPhase, serving: Option<i64>) -> Deployment {
    let rollout_id = format!("ro_{version}");
    Deployment {
        deployment_id: "dep_iris".into(),
        environment: "production".into(),
        model: "iris".into(),
        follows: Stage::Production,
        desired: Some(DesiredRevision {
            version,
            version_uid: format!("uid_{version}"),
            manifest_digest: Digest::of(b"manifest"),
            rollout_id: rollout_id.clone(),
            served_as: None,
        }),
        serving: serving.map(|version| ServingRevision {
            revision_id: format!("rev_{version}"),
            version,
            version_uid: format!("uid_{version}"),
            since_ms: 1,
            revision: None,
            outage: None,
        }),
        rollout: Some(Rollout {
            rollout_id,
            deployment_id: "dep_iris".into(),
            generation: version,
            version,
            version_uid: format!("uid_{version}"),
            phase,
            reason_code: None,
            message: None,
            actor: "ada".into(),
            reason: None,
            revision: None,
            started_at_ms: 1,
            ended_at_ms: None,
        }),
        generation: version,
        observed_generation: if phase.is_terminal() { version } else { version - 1 },
        gateway_path: "/production/iris".into(),
    }
}

fn desire(deployments: Vec<Deployment>) -> DesiredState {
    DesiredState { environment: "production".into(), revision: 1, deployments }
}

fn container(version: i64, state: State) -> ObservedContainer {
    ObservedContainer {
        name: format!("wb-iris-{version}"),
        model: "iris".into(),
        revision_id: format!("rev_{version}"),
        version_uid: format!("uid_{version}"),
        rollout_id: format!("ro_{version}"),
        state,
    }
}

fn running(version: i64) -> ObservedContainer {
    let upstream = upstream(version);
    container(version, State::Running { upstream })
}

fn upstream(version: i64) -> String {
    format!("http://172.17.0.{version}:8080")
}

fn route(version: i64) -> RouteState {
    RouteState::To(Target {
        revision_id: format!("rev_{version}"),
        upstream: upstream(version),
        tells_revision: true,
    })
}

fn seen(containers: Vec<ObservedContainer>, route: Option<RouteState>) -> Observed {
    Observed {
        containers,
        routes: route.into_iter().map(|r| ("iris".to_owned(), r)).collect(),
        ..Observed::default()
    }
}

fn rolling(mut observed: Observed, rollout_id: &str) -> Observed {
    observed.rollouts.insert("iris".into(), rollout_id.into());
    observed
}

#[test]
fn nothing_desired_and_nothing_there() {
    assert_eq!(plan(&desire(vec![]), &Observed::default()), []);
}

#[test]
fn first_rollout_starts_and_callers_learn_that_it_is_not_ready() {
    let desired = desire(vec![iris(1, RolloutPhase::Pending, None)]);
    assert_debug_snapshot!(plan(&desired, &Observed::default()), @r#"
    [
        RunRollout {
            model: "iris",
            rollout_id: "ro_1",
            version: 1,
            version_uid: "uid_1",
            generation: 1,
            serving_revision: None,
        },
        Hold {
            model: "iris",
        },
    ]
    "#);
}

#[test]
fn a_rollout_under_way_is_left_alone() {
    let desired = desire(vec![iris(2, RolloutPhase::Building, Some(1))]);
    let observed = rolling(seen(vec![running(1)], Some(route(1))), "ro_2");
    assert_eq!(plan(&desired, &observed), []);
}

#[test]
fn a_rollout_that_has_reported_its_end_may_put_its_things_away() {
    let desired = desire(vec![iris(2, RolloutPhase::Succeeded, Some(2))]);
    let observed = rolling(seen(vec![running(1), running(2)], Some(route(2))), "ro_2");
    assert_eq!(plan(&desired, &observed), []);
}

#[test]
fn what_serves_and_is_routed_needs_nothing() {
    let desired = desire(vec![iris(1, RolloutPhase::Succeeded, Some(1))]);
    assert_eq!(plan(&desired, &seen(vec![running(1)], Some(route(1)))), []);
}

#[test]
fn after_a_restart_what_runs_is_adopted() {
    let desired = desire(vec![iris(1, RolloutPhase::Succeeded, Some(1))]);
    assert_debug_snapshot!(plan(&desired, &seen(vec![running(1)], None)), @r#"
    [
        Adopt {
            model: "iris",
            container: "wb-iris-1",
        },
    ]
    "#);
}

#[test]
fn a_container_whose_address_changed_is_adopted_again() {
    let desired = desire(vec![iris(1, RolloutPhase::Succeeded, Some(1))]);
    let moved = container(1, State::Running { upstream: upstream(9) });
    assert_debug_snapshot!(plan(&desired, &seen(vec![moved], Some(route(1)))), @r#"
    [
        Adopt {
            model: "iris",
            container: "wb-iris-1",
        },
    ]
    "#);
}

#[test]
fn a_new_version_rolls_out_while_the_old_one_serves() {
    let desired = desire(vec![iris(2, RolloutPhase::Pending, Some(1))]);
    assert_debug_snapshot!(plan(&desired, &seen(vec![running(1)], Some(route(1)))), @r#"
    [
        RunRollout {
            model: "iris",
            rollout_id: "ro_2",
            version: 2,
            version_uid: "uid_2",
            generation: 2,
            serving_revision: Some(
                "rev_1",
            ),
        },
    ]
    "#);
}

#[test]
fn a_container_that_died_is_restarted_and_its_route_answers_not_ready() {
    let desired = desire(vec![iris(1, RolloutPhase::Succeeded, Some(1))]);
    let observed = seen(vec![container(1, State::Stopped)], Some(route(1)));
    assert_debug_snapshot!(plan(&desired, &observed), @r#"
    [
        Hold {
            model: "iris",
        },
        Restart {
            model: "iris",
            container: "wb-iris-1",
        },
    ]
    "#);
}

#[test]
fn a_container_that_keeps_dying_waits_for_its_back_off() {
    let desired = desire(vec![iris(1, RolloutPhase::Succeeded, Some(1))]);
    let mut observed = seen(vec![container(1, State::Stopped)], Some(RouteState::Held));
    observed.now_ms = 1_000;
    observed.not_before_ms.insert("iris".into(), 1_001);
    assert_eq!(plan(&desired, &observed), []);
    observed.now_ms = 1_001;
    assert_eq!(plan(&desired, &observed).len(), 1);
}

#[test]
fn a_container_that_dies_during_the_next_build_is_restarted_as_well() {
    let desired = desire(vec![iris(2, RolloutPhase::Building, Some(1))]);
    let stopped = vec![container(1, State::Stopped)];
    let observed = rolling(seen(stopped, Some(RouteState::Held)), "ro_2");
    assert_debug_snapshot!(plan(&desired, &observed), @r#"
    [
        Restart {
            model: "iris",
            container: "wb-iris-1",
        },
    ]
    "#);
}

#[test]
fn a_container_that_was_removed_is_made_again() {
    let desired = desire(vec![iris(1, RolloutPhase::Succeeded, Some(1))]);
    assert_debug_snapshot!(plan(&desired, &seen(vec![], Some(RouteState::Held))), @r#"
    [
        Restore {
            model: "iris",
            version: 1,
            version_uid: "uid_1",
            rollout_id: "ro_1",
            revision_id: Some(
                "rev_1",
            ),
            generation: 1,
        },
    ]
    "#);
}

#[test]
fn a_failed_rollout_is_not_tried_again_and_the_old_version_serves_on() {
    let desired = desire(vec![iris(2, RolloutPhase::Failed, Some(1))]);
    assert_eq!(plan(&desired, &seen(vec![running(1)], Some(route(1)))), []);
}

#[test]
fn the_container_of_a_failed_rollout_is_removed() {
    let desired = desire(vec![iris(2, RolloutPhase::Failed, Some(1))]);
    let containers = vec![running(1), container(2, State::Stopped)];
    assert_debug_snapshot!(plan(&desired, &seen(containers, Some(route(1)))), @r#"
    [
        Remove {
            container: "wb-iris-2",
        },
    ]
    "#);
}

#[test]
fn a_first_rollout_that_failed_leaves_a_route_that_answers_not_ready() {
    let desired = desire(vec![iris(1, RolloutPhase::Failed, None)]);
    let observed = seen(vec![running(1)], Some(RouteState::Held));
    assert_debug_snapshot!(plan(&desired, &observed), @r#"
    [
        Remove {
            container: "wb-iris-1",
        },
    ]
    "#);
}

#[test]
fn a_superseded_rollout_is_aborted_before_the_next_starts() {
    let desired = desire(vec![iris(3, RolloutPhase::Pending, Some(1))]);
    let observed = rolling(seen(vec![running(1)], Some(route(1))), "ro_2");
    assert_debug_snapshot!(plan(&desired, &observed), @r#"
    [
        Abort {
            model: "iris",
        },
    ]
    "#);
}

#[test]
fn killed_after_the_switch_the_rollout_runs_again_and_the_route_stays() {
    let desired = desire(vec![iris(2, RolloutPhase::Switching, Some(1))]);
    let observed = seen(vec![running(1), running(2)], Some(route(2)));
    assert_debug_snapshot!(plan(&desired, &observed), @r#"
    [
        RunRollout {
            model: "iris",
            rollout_id: "ro_2",
            version: 2,
            version_uid: "uid_2",
            generation: 2,
            serving_revision: Some(
                "rev_1",
            ),
        },
    ]
    "#);
}

#[test]
fn a_rollback_is_a_rollout_of_the_earlier_version() {
    let mut back = iris(3, RolloutPhase::Pending, Some(2));
    let rollout = back.rollout.as_mut().unwrap();
    (rollout.version, rollout.version_uid) = (1, "uid_1".into());
    let observed = seen(vec![running(2)], Some(route(2)));
    assert_debug_snapshot!(plan(&desire(vec![back]), &observed), @r#"
    [
        RunRollout {
            model: "iris",
            rollout_id: "ro_3",
            version: 1,
            version_uid: "uid_1",
            generation: 3,
            serving_revision: Some(
                "rev_2",
            ),
        },
    ]
    "#);
}
