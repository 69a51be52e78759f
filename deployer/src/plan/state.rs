//! What the plan sees and what it answers.

use std::collections::BTreeMap;

/// One environment as it is.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Ours in this environment, by name.
    pub containers: Vec<ObservedContainer>,
    /// By model.
    pub routes: BTreeMap<String, RouteState>,
    /// Rollout that is being carried out, by model.
    pub rollouts: BTreeMap<String, String>,
    /// Upkeep that is being carried out, by model.
    pub upkeep: BTreeMap<String, Upkeep>,
    /// Not to be tried again before: rollouts by their id, upkeep by model.
    pub not_before_ms: BTreeMap<String, i64>,
    pub now_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedContainer {
    pub name: String,
    pub model: String,
    pub revision_id: String,
    pub version_uid: String,
    /// The rollout that made it; one that found it running has not relabelled it.
    pub rollout_id: String,
    pub state: State,
}

impl ObservedContainer {
    pub fn answers_at(&self, target: &Target) -> bool {
        matches!(&self.state, State::Running { upstream } if *upstream == target.upstream)
            && self.revision_id == target.revision_id
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Created and never started, or exited.
    Stopped,
    Running {
        /// `http://172.17.0.5:8080`
        upstream: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteState {
    /// Known, and answers 503.
    Held,
    To(Target),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub revision_id: String,
    pub upstream: String,
    /// Answers name the revision.
    pub tells_revision: bool,
}

/// What the upkeep slot of a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    Adopting,
    Restarting,
    Restoring,
    Stopping,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    RunRollout {
        model: String,
        rollout_id: String,
        version: i64,
        version_uid: String,
        generation: i64,
        serving_revision: Option<String>,
    },
    /// Stop carrying out the model's rollout: it is not wanted any more.
    Abort { model: String },
    /// Stop making the serving revision's container again: something newer waits for the slot.
    EndRestore { model: String },
    /// Check that the container answers and route to it.
    Adopt { model: String, container: String },
    /// Start a container that has ended, check that it answers and route to it.
    Restart { model: String, container: String },
    /// Make the container of the serving revision again: it has gone.
    Restore {
        model: String,
        version: i64,
        version_uid: String,
        /// Of the newest rollout: whose log it writes.
        rollout_id: String,
        /// None where the registry's record has a gap: then it is whatever the version makes now.
        revision_id: Option<String>,
        generation: i64,
    },
    /// Answer 503 until something runs.
    Hold { model: String },
    /// Take the route away, drain, stop and remove every container, and report.
    Stop { model: String, generation: i64, was_serving: bool },
    /// Drain and remove a container that nothing needs.
    Remove { container: String },
    /// Forget the route of a model that has no deployment here.
    DropRoute { model: String },
}
