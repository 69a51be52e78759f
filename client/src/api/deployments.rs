//! What environments desire, what runs, and what the deployer reports.

use super::Stage;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use waybill_proof::Digest;

/// A model in an environment. Made by the first promotion into the environment's stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    pub deployment_id: String,
    pub environment: String,
    pub model: String,
    pub follows: Stage,
    /// What the environment desires; absent after the stage was emptied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredRevision>,
    /// What serves now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<ServingRevision>,
    /// The newest rollout, running or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Goes up with every change of `desired`.
    pub generation: i64,
    /// The generation whose rollout ended last, well or not.
    pub observed_generation: i64,
    /// Path below the gateway's address: `/production/iris`.
    pub gateway_path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesiredRevision {
    pub version: i64,
    pub version_uid: String,
    #[schema(value_type = String)]
    pub manifest_digest: Digest,
    pub rollout_id: String,
    /// What this version ran when it served last, in any environment: a rollout runs the same
    /// lockfile and image again. Absent for a version that has never served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_as: Option<Revision>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServingRevision {
    pub revision_id: String,
    pub version: i64,
    pub version_uid: String,
    pub since_ms: i64,
    /// What it runs; absent for what started before this was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Set while it does not answer, and the gateway says 503 instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Outage>,
}

/// A time in which what should have served did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outage {
    pub from_ms: i64,
    /// Absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<i64>,
    /// For people: what ended, and why it does not come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutPhase {
    Pending,
    Verifying,
    Resolving,
    Building,
    Starting,
    HealthCheck,
    Switching,
    Draining,
    Succeeded,
    Failed,
    /// A newer change of the same deployment took its place.
    Superseded,
}

impl RolloutPhase {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verifying => "verifying",
            Self::Resolving => "resolving",
            Self::Building => "building",
            Self::Starting => "starting",
            Self::HealthCheck => "health_check",
            Self::Switching => "switching",
            Self::Draining => "draining",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }

    /// Whether the rollout has ended and frees its slot.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Superseded)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    pub rollout_id: String,
    pub deployment_id: String,
    pub generation: i64,
    pub version: i64,
    pub version_uid: String,
    pub phase: RolloutPhase,
    /// Set when it failed: stable, e.g. `HEALTH_CHECK_FAILED`, `SIGNATURE_INVALID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// For people: what happened, the last log lines and the probe's answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it runs, once the deployer has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    pub started_at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeploymentList {
    pub deployments: Vec<Deployment>,
}

/// The deployer's lease on an environment. Every report carries `fence`; a stale one is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    pub environment: String,
    pub holder: String,
    pub fence: i64,
    pub expires_at_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AcquireLease {
    pub holder: String,
    /// 1,000 to 60,000.
    pub ttl_ms: i64,
}

/// What an environment desires. Asked with `?after_revision=N&wait_ms=…`, the answer waits until
/// something changed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DesiredState {
    pub environment: String,
    /// Goes up with any change in the environment.
    pub revision: i64,
    pub deployments: Vec<Deployment>,
}

/// The immutable recipe that a rollout runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    pub revision_id: String,
    #[schema(value_type = String)]
    pub manifest_digest: Digest,
    #[schema(value_type = String)]
    pub lock_digest: Digest,
    /// `mlflow-pyfunc`, …
    pub runtime: String,
    pub image_digest: String,
    #[schema(value_type = String)]
    pub spec_hash: Digest,
    /// Whether the environment image existed already.
    pub image_reused: bool,
    /// Whether the lockfile existed already.
    pub lock_reused: bool,
}

/// A step of a rollout, reported by the deployer. `draining`, which says that traffic has switched,
/// closes the serving interval of the revision before and opens one for `revision`; so does
/// `succeeded` where `draining` was not reported.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReportRollout {
    pub fence: i64,
    pub phase: RolloutPhase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Required with `switching` and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// When the gateway was seen to serve the new revision; the time of the report when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switched_at_ms: Option<i64>,
}

/// What the deployer sees of a deployment outside of rollouts: that the revision on record stopped
/// answering or answers again, or that another revision of the same version took its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportServing {
    pub fence: i64,
    pub version_uid: String,
    pub revision_id: String,
    /// Required for a revision that is not on record as serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Whether the gateway sends requests there and they are answered.
    pub ready: bool,
    /// Since when; never before the interval or outage that it ends.
    pub at_ms: i64,
    /// Why it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The deployer stopped serving (stage emptied, container gone for good): closes the interval.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReportStopped {
    pub fence: i64,
    pub generation: i64,
    pub message: String,
    /// When the route was taken away; the time of the report when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Phase changes and probe answers.
    Event,
    /// Resolver output.
    Resolve,
    /// Image build output.
    Build,
    Stdout,
    Stderr,
}

impl LogStream {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Resolve => "resolve",
            Self::Build => "build",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A line of a rollout's or container's log, in the order the registry received it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Position in the deployment's log; replay with `?after_seq=`.
    pub seq: i64,
    pub rollout_id: String,
    pub at_ms: i64,
    pub stream: LogStream,
    pub text: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AppendLog {
    pub fence: i64,
    pub rollout_id: String,
    pub lines: Vec<AppendLogLine>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AppendLogLine {
    pub at_ms: i64,
    pub stream: LogStream,
    pub text: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    pub lines: Vec<LogLine>,
}

#[cfg(test)]
mod tests {
    use super::{LogStream as L, RolloutPhase as P, *};

    #[test]
    fn words_are_those_on_the_wire() {
        for phase in [
            P::Pending,
            P::Verifying,
            P::Resolving,
            P::Building,
            P::Starting,
            P::HealthCheck,
            P::Switching,
            P::Draining,
            P::Succeeded,
            P::Failed,
            P::Superseded,
        ] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
        for stream in [L::Event, L::Resolve, L::Build, L::Stdout, L::Stderr] {
            assert_eq!(serde_json::to_value(stream).unwrap(), stream.as_str());
        }
        for stage in Stage::ALL {
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
        }
    }
}
