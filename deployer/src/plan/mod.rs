//! What to do next, decided from what is desired and what is there. Pure: no engine, no clock, no
//! network, so that every situation after a crash is a test.
//!
//! Each model has two slots. The *rollout* slot brings a new revision up; the *upkeep* slot keeps
//! the revision alive that serves now. They run side by side, because a build takes minutes and
//! the old revision must survive them.

mod state;
#[cfg(test)]
mod tests;

pub use state::{Action, Observed, ObservedContainer, RouteState, State, Target, Upkeep};

use std::collections::BTreeSet;
use waybill_client::api::{Deployment, DesiredState, Rollout, RolloutPhase};

/// The actions that bring one environment nearer to what is desired. Asking again after they ran
/// gives the next ones, and none when there is nothing left to do.
pub fn plan(desired: &DesiredState, observed: &Observed) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut known = BTreeSet::new();
    for deployment in &desired.deployments {
        known.insert(deployment.model.as_str());
        let model = Model { deployment, observed };
        match deployment.desired {
            Some(_) => model.keep(&mut actions),
            None => model.empty(&mut actions),
        }
    }
    strangers(&known, observed, &mut actions);
    actions
}

/// The rollout that an environment waits for, if there is one.
pub fn pending(deployment: &Deployment) -> Option<&Rollout> {
    let wanted = &deployment.desired.as_ref()?.rollout_id;
    deployment
        .rollout
        .as_ref()
        .filter(|rollout| rollout.rollout_id == *wanted && !rollout.phase.is_terminal())
}

/// What answers while no rollout has changed it.
struct Serves<'a> {
    /// None where it is not known: no container tells.
    revision_id: Option<&'a str>,
    version: i64,
    version_uid: &'a str,
}

impl Serves<'_> {
    fn is(&self, revision_id: &str) -> bool {
        self.revision_id == Some(revision_id)
    }
}

struct Model<'a> {
    deployment: &'a Deployment,
    observed: &'a Observed,
}

impl<'a> Model<'a> {
    fn name(&self) -> &'a str {
        &self.deployment.model
    }

    fn containers(&self) -> impl Iterator<Item = &'a ObservedContainer> {
        let name = self.name();
        self.observed.containers.iter().filter(move |c| c.model == name)
    }

    fn route(&self) -> Option<&'a RouteState> {
        self.observed.routes.get(self.name())
    }

    fn target(&self) -> Option<&'a Target> {
        match self.route() {
            Some(RouteState::To(target)) => Some(target),
            _ => None,
        }
    }

    fn rolling(&self) -> Option<&'a String> {
        self.observed.rollouts.get(self.name())
    }

    fn has_ended(&self, rollout_id: &str) -> bool {
        self.deployment.rollout.as_ref().is_some_and(|rollout| {
            rollout.rollout_id == rollout_id
                && matches!(rollout.phase, RolloutPhase::Succeeded | RolloutPhase::Failed)
        })
    }

    fn upkeep(&self) -> Option<&'a Upkeep> {
        self.observed.upkeep.get(self.name())
    }

    fn may_try(&self, what: &str) -> bool {
        self.observed.not_before_ms.get(what).is_none_or(|at| *at <= self.observed.now_ms)
    }

    /// What the registry says serves. Where its record has a gap after a rollout that succeeded,
    /// what that rollout brought up: to stay down or to remove it would make the gap real.
    fn serves(&self) -> Option<Serves<'a>> {
        if let Some(serving) = &self.deployment.serving {
            return Some(Serves {
                revision_id: Some(&serving.revision_id),
                version: serving.version,
                version_uid: &serving.version_uid,
            });
        }
        let wanted = &self.deployment.desired.as_ref()?.rollout_id;
        let rollout = self.deployment.rollout.as_ref().filter(|rollout| {
            rollout.rollout_id == *wanted && matches!(rollout.phase, RolloutPhase::Succeeded)
        })?;
        let made = self.containers().filter(|c| c.rollout_id == rollout.rollout_id).last();
        let found =
            made.or_else(|| self.containers().filter(|c| c.version_uid == rollout.version_uid).last());
        Some(Serves {
            revision_id: found.map(|c| c.revision_id.as_str()),
            version: rollout.version,
            version_uid: &rollout.version_uid,
        })
    }

    fn keep(&self, actions: &mut Vec<Action>) {
        // It ends what was desired before: whatever started now it would take away as well.
        if matches!(self.upkeep(), Some(Upkeep::Stopping)) {
            return;
        }
        let pending = pending(self.deployment);
        self.roll(pending, actions);
        let busy = self.rolling().is_some() || pending.is_some();
        if self.upkeep().is_none() {
            match self.serves() {
                Some(serving) => self.keep_serving(&serving, busy, actions),
                // Callers learn "not ready" instead of "no such model".
                None if !busy || self.route().is_none() => self.hold(actions),
                None => {}
            }
        }
        if !busy && self.upkeep().is_none() {
            self.remove_left_over(actions);
        }
    }

    fn roll(&self, pending: Option<&Rollout>, actions: &mut Vec<Action>) {
        match (self.rolling(), pending) {
            (Some(running), Some(wanted)) if *running == wanted.rollout_id => {}
            // It has reported its end and puts its things away.
            (Some(running), _) if self.has_ended(running) => {}
            (Some(_), _) => actions.push(Action::Abort { model: self.name().to_owned() }),
            // Both would put the route on a container of their own.
            (None, Some(_)) if self.is_restoring() => self.end_restore(actions),
            (None, Some(wanted)) if self.may_try(&wanted.rollout_id) => actions.push(Action::RunRollout {
                model: self.name().to_owned(),
                rollout_id: wanted.rollout_id.clone(),
                version: wanted.version,
                version_uid: wanted.version_uid.clone(),
                generation: wanted.generation,
                serving_revision: self.deployment.serving.as_ref().map(|s| s.revision_id.clone()),
            }),
            (None, _) => {}
        }
    }

    fn is_restoring(&self) -> bool {
        matches!(self.upkeep(), Some(Upkeep::Restoring))
    }

    fn end_restore(&self, actions: &mut Vec<Action>) {
        actions.push(Action::EndRestore { model: self.name().to_owned() });
    }

    fn keep_serving(&self, serving: &Serves<'_>, busy: bool, actions: &mut Vec<Action>) {
        let of_revision = || self.containers().filter(|c| serving.is(&c.revision_id));
        let routed_elsewhere = self.target().is_some_and(|target| !serving.is(&target.revision_id));
        if busy && routed_elsewhere {
            // A rollout has switched and has not ended: the route is its business.
            return;
        }
        if let Some(container) = self.serving_container(serving) {
            if self.target().is_none_or(|t| !container.answers_at(t)) {
                actions
                    .push(Action::Adopt { model: self.name().to_owned(), container: container.name.clone() });
            }
            return;
        }
        if !routed_elsewhere {
            self.hold(actions);
        }
        if !self.may_try(self.name()) {
            return;
        }
        if let Some(stopped) = of_revision().last() {
            actions.push(Action::Restart { model: self.name().to_owned(), container: stopped.name.clone() });
        } else if !busy {
            actions.push(Action::Restore {
                model: self.name().to_owned(),
                version: serving.version,
                version_uid: serving.version_uid.to_owned(),
                rollout_id: self
                    .deployment
                    .rollout
                    .as_ref()
                    .map_or_else(String::new, |r| r.rollout_id.clone()),
                revision_id: serving.revision_id.map(str::to_owned),
                generation: self.deployment.generation,
            });
        }
    }

    /// The running container of the serving revision; of several, the one that has the route.
    fn serving_container(&self, serving: &Serves<'_>) -> Option<&'a ObservedContainer> {
        let running = || {
            self.containers()
                .filter(|c| serving.is(&c.revision_id) && matches!(c.state, State::Running { .. }))
        };
        running().find(|c| self.target().is_some_and(|t| c.answers_at(t))).or_else(|| running().last())
    }

    /// The route stays known and answers 503.
    fn hold(&self, actions: &mut Vec<Action>) {
        if !matches!(self.route(), Some(RouteState::Held)) {
            actions.push(Action::Hold { model: self.name().to_owned() });
        }
    }

    fn remove_left_over(&self, actions: &mut Vec<Action>) {
        let serving = self.serves();
        let keep = serving.as_ref().and_then(|s| self.serving_container(s));
        let restarts = keep.is_none();
        for container in self.containers() {
            let is_kept = keep.is_some_and(|kept| kept.name == container.name);
            let may_restart = restarts && serving.as_ref().is_some_and(|s| s.is(&container.revision_id));
            let routed = self.target().is_some_and(|t| container.answers_at(t));
            let needed = is_kept || may_restart || (routed && serving.is_some());
            if !needed {
                actions.push(Action::Remove { container: container.name.clone() });
            }
        }
    }

    /// Nothing is desired: stop what runs and say so.
    fn empty(&self, actions: &mut Vec<Action>) {
        if self.rolling().is_some() {
            actions.push(Action::Abort { model: self.name().to_owned() });
            return;
        }
        if self.is_restoring() {
            return self.end_restore(actions);
        }
        let anything =
            self.containers().next().is_some() || self.route().is_some() || self.deployment.serving.is_some();
        if anything && self.upkeep().is_none() {
            actions.push(Action::Stop {
                model: self.name().to_owned(),
                generation: self.deployment.generation,
                was_serving: self.deployment.serving.is_some(),
            });
        }
    }
}

/// Containers and routes of models that have no deployment here.
fn strangers(known: &BTreeSet<&str>, observed: &Observed, actions: &mut Vec<Action>) {
    for model in observed.routes.keys() {
        if !known.contains(model.as_str()) {
            actions.push(Action::DropRoute { model: model.clone() });
        }
    }
    for container in &observed.containers {
        if !known.contains(container.model.as_str()) {
            actions.push(Action::Remove { container: container.name.clone() });
        }
    }
}
