//! What is stopped and removed, and when.

use super::*;

#[test]
fn an_emptied_stage_stops_what_serves() {
    let mut emptied = iris(1, RolloutPhase::Succeeded, Some(1));
    emptied.desired = None;
    emptied.generation = 2;
    let observed = seen(vec![running(1)], Some(route(1)));
    assert_debug_snapshot!(plan(&desire(vec![emptied.clone()]), &observed), @r#"
    [
        Stop {
            model: "iris",
            generation: 2,
            was_serving: true,
        },
    ]
    "#);
    emptied.serving = None;
    assert_eq!(plan(&desire(vec![emptied]), &Observed::default()), []);
}

#[test]
fn an_emptied_stage_aborts_its_rollout_first() {
    let mut emptied = iris(2, RolloutPhase::Superseded, Some(1));
    emptied.desired = None;
    let observed = rolling(seen(vec![running(1)], Some(route(1))), "ro_2");
    assert_debug_snapshot!(plan(&desire(vec![emptied]), &observed), @r#"
    [
        Abort {
            model: "iris",
        },
    ]
    "#);
}

#[test]
fn orphans_and_their_routes_go() {
    let observed = seen(vec![running(1)], Some(route(1)));
    assert_debug_snapshot!(plan(&desire(vec![]), &observed), @r#"
    [
        DropRoute {
            model: "iris",
        },
        Remove {
            container: "wb-iris-1",
        },
    ]
    "#);
}

#[test]
fn a_left_over_is_removed_only_after_the_route_has_left_it() {
    let desired = desire(vec![iris(2, RolloutPhase::Succeeded, Some(2))]);
    let both = vec![running(1), running(2)];
    let observed = seen(both.clone(), Some(route(1)));
    assert_debug_snapshot!(plan(&desired, &observed), @r#"
    [
        Adopt {
            model: "iris",
            container: "wb-iris-2",
        },
    ]
    "#);
    assert_debug_snapshot!(plan(&desired, &seen(both, Some(route(2)))), @r#"
    [
        Remove {
            container: "wb-iris-1",
        },
    ]
    "#);
}
