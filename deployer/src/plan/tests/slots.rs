//! What waits for what, and records with gaps.

use super::*;

#[test]
fn upkeep_under_way_is_not_started_twice() {
    let desired = desire(vec![iris(1, RolloutPhase::Succeeded, Some(1))]);
    let mut observed = seen(vec![container(1, State::Stopped)], Some(RouteState::Held));
    observed.upkeep.insert("iris".into(), Upkeep::Restarting);
    assert_eq!(plan(&desired, &observed), []);
}

fn upkeep(mut observed: Observed, kind: Upkeep) -> Observed {
    observed.upkeep.insert("iris".into(), kind);
    observed
}

#[test]
fn nothing_new_starts_while_what_was_desired_before_is_stopped() {
    let desired = desire(vec![iris(2, RolloutPhase::Pending, Some(1))]);
    let observed = upkeep(seen(vec![running(1)], None), Upkeep::Stopping);
    assert_eq!(plan(&desired, &observed), []);
    let stopped = plan(&desired, &Observed::default());
    assert!(matches!(stopped[0], Action::RunRollout { generation: 2, .. }), "{stopped:?}");
}

#[test]
fn a_rollout_ends_a_restore_and_waits_for_it() {
    let desired = desire(vec![iris(2, RolloutPhase::Pending, Some(1))]);
    let observed = upkeep(seen(vec![], Some(RouteState::Held)), Upkeep::Restoring);
    assert_debug_snapshot!(plan(&desired, &observed), @r#"
    [
        EndRestore {
            model: "iris",
        },
    ]
    "#);
}

#[test]
fn an_emptied_stage_ends_a_restore_first() {
    let mut emptied = iris(1, RolloutPhase::Succeeded, Some(1));
    emptied.desired = None;
    let observed = upkeep(seen(vec![], Some(RouteState::Held)), Upkeep::Restoring);
    assert_eq!(plan(&desire(vec![emptied]), &observed), [Action::EndRestore { model: "iris".into() }]);
}

#[test]
fn other_upkeep_goes_on_beside_a_rollout() {
    let desired = desire(vec![iris(2, RolloutPhase::Pending, Some(1))]);
    let stopped = vec![container(1, State::Stopped)];
    let observed = upkeep(seen(stopped, Some(RouteState::Held)), Upkeep::Restarting);
    assert!(matches!(plan(&desired, &observed)[..], [Action::RunRollout { .. }]));
}

#[test]
fn what_a_succeeded_rollout_made_is_kept_although_the_record_says_that_nothing_serves() {
    let desired = desire(vec![iris(2, RolloutPhase::Succeeded, None)]);
    let routed = seen(vec![running(2)], Some(route(2)));
    assert_eq!(plan(&desired, &routed), []);
    let both = seen(vec![running(1), running(2)], None);
    assert_eq!(
        plan(&desired, &both),
        [
            Action::Adopt { model: "iris".into(), container: "wb-iris-2".into() },
            Action::Remove { container: "wb-iris-1".into() },
        ]
    );
    let ended = seen(vec![container(2, State::Stopped)], Some(RouteState::Held));
    assert_eq!(
        plan(&desired, &ended),
        [Action::Restart { model: "iris".into(), container: "wb-iris-2".into() }]
    );
}

#[test]
fn a_container_that_a_succeeded_rollout_found_running_is_kept_as_well() {
    let desired = desire(vec![iris(2, RolloutPhase::Succeeded, None)]);
    let mut taken_over = running(2);
    taken_over.rollout_id = "ro_1".into();
    assert_eq!(
        plan(&desired, &seen(vec![taken_over], None)),
        [Action::Adopt { model: "iris".into(), container: "wb-iris-2".into() }]
    );
}

#[test]
fn a_succeeded_rollout_whose_container_has_gone_is_made_again_from_its_version() {
    let desired = desire(vec![iris(2, RolloutPhase::Succeeded, None)]);
    assert_debug_snapshot!(plan(&desired, &seen(vec![], Some(RouteState::Held))), @r#"
    [
        Restore {
            model: "iris",
            version: 2,
            version_uid: "uid_2",
            rollout_id: "ro_2",
            revision_id: None,
            generation: 2,
        },
    ]
    "#);
}
