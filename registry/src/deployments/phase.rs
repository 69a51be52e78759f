//! The order of a rollout's phases.

use waybill_client::api::RolloutPhase as Phase;

const ALL: [Phase; 11] = [
    Phase::Pending,
    Phase::Verifying,
    Phase::Resolving,
    Phase::Building,
    Phase::Starting,
    Phase::HealthCheck,
    Phase::Switching,
    Phase::Draining,
    Phase::Succeeded,
    Phase::Failed,
    Phase::Superseded,
];

/// Reads the stored text, which is also the wire's.
pub fn parse(text: &str) -> Option<Phase> {
    ALL.into_iter().find(|phase| phase.as_str() == text)
}

/// What a report means for a rollout in a given phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The rollout moves on, stays where it is with new words, or ends.
    Apply,
    /// The same ending again: an answer that was lost and is given again.
    Repeat,
    /// Backwards.
    OutOfOrder,
    /// The rollout has ended otherwise.
    Ended,
}

/// Phases only go forward and may be skipped. Two exceptions tell the truth after an accident: a
/// deployer that was killed starts over at `verifying`, and a rollout that was superseded while
/// its traffic switched did succeed.
pub fn step(now: Phase, to: Phase) -> Step {
    if now == to && now.is_terminal() {
        return Step::Repeat;
    }
    match (now, to) {
        (Phase::Superseded, Phase::Succeeded) => Step::Apply,
        _ if now.is_terminal() => Step::Ended,
        // Only the registry supersedes, and only the registry makes rollouts.
        (_, Phase::Superseded | Phase::Pending) => Step::OutOfOrder,
        (_, Phase::Verifying) => Step::Apply,
        _ if rank(to) >= rank(now) => Step::Apply,
        _ => Step::OutOfOrder,
    }
}

/// Whether traffic reaches the new revision in this phase, so that it must be known.
pub fn needs_revision(phase: Phase) -> bool {
    matches!(phase, Phase::Switching | Phase::Draining | Phase::Succeeded)
}

fn rank(phase: Phase) -> usize {
    ALL.iter().position(|p| *p == phase).unwrap_or(ALL.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_phase() {
        for phase in ALL {
            assert_eq!(parse(phase.as_str()), Some(phase));
        }
        assert_eq!(parse("done"), None);
    }

    #[test]
    fn steps() {
        for (now, to, expected) in [
            (Phase::Pending, Phase::Verifying, Step::Apply),
            (Phase::Pending, Phase::Starting, Step::Apply),
            (Phase::Building, Phase::Building, Step::Apply),
            (Phase::Building, Phase::Verifying, Step::Apply),
            (Phase::Draining, Phase::Verifying, Step::Apply),
            (Phase::Building, Phase::Resolving, Step::OutOfOrder),
            (Phase::Verifying, Phase::Pending, Step::OutOfOrder),
            (Phase::Verifying, Phase::Superseded, Step::OutOfOrder),
            (Phase::HealthCheck, Phase::Failed, Step::Apply),
            (Phase::Draining, Phase::Succeeded, Step::Apply),
            (Phase::Succeeded, Phase::Succeeded, Step::Repeat),
            (Phase::Failed, Phase::Failed, Step::Repeat),
            (Phase::Failed, Phase::Succeeded, Step::Ended),
            (Phase::Succeeded, Phase::Verifying, Step::Ended),
            (Phase::Superseded, Phase::Building, Step::Ended),
            (Phase::Superseded, Phase::Failed, Step::Ended),
            (Phase::Superseded, Phase::Succeeded, Step::Apply),
        ] {
            assert_eq!(step(now, to), expected, "{now:?} → {to:?}");
        }
    }
}
