//! What an engine is asked for and what it answers, in our own words.

use bytes::Bytes;
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};
use waybill_client::api::LogStream;

/// An engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    pub version: String,
    /// `linux/amd64`, …
    pub platform: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…` of its configuration: what it *is*, whatever its tags.
    pub id: String,
    /// `linux/amd64`, …
    pub platform: String,
    pub size_bytes: u64,
    pub labels: BTreeMap<String, String>,
}

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    pub id: String,
    pub tags: Vec<String>,
    pub size_bytes: u64,
    pub created_at_ms: i64,
    pub labels: BTreeMap<String, String>,
}

/// A tar that the engine reads.
#[derive(Debug, Clone)]
pub enum Context {
    Memory(Bytes),
    File(PathBuf),
}

#[derive(Debug, Clone)]
pub struct Build {
    pub tag: String,
    /// Holds `Dockerfile` at its root.
    pub context: Context,
    /// Reach the build only, not the image: proxies, for example.
    pub arguments: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Run every step, also those that the builder knows the outcome of.
    pub anew: bool,
}

/// What an image made from a container's file system says about itself.
#[derive(Debug, Clone)]
pub struct NewImage {
    pub tag: String,
    pub labels: BTreeMap<String, String>,
    /// Besides that of the image that the container was made from.
    pub environment: BTreeMap<String, String>,
}

/// Everything is hardened alike: read-only root, no capabilities, no new privileges. What is
/// here is what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    pub name: String,
    /// Tag or id.
    pub image: String,
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Numeric `uid:gid`: names may be missing in the image.
    pub user: String,
    pub mounts: Vec<Mount>,
    pub tmpfs: Vec<Tmpfs>,
    pub limits: Limits,
    /// Host port on the loopback address and the container's port; none where the bridge address
    /// is reached.
    pub publish: Option<(u16, u16)>,
}

/// A folder of the host, read-only in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub host: PathBuf,
    pub container: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    pub path: String,
    pub size_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: u64,
    /// Thousandths of a CPU.
    pub cpu_millis: u64,
    pub pids: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub image_id: String,
    pub labels: BTreeMap<String, String>,
    /// Host port that it was made with: it is held, or will be, whether it runs or not.
    pub published: Option<u16>,
    pub state: ContainerState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Created and never started, or its start failed.
    Created,
    Running {
        /// On the default bridge; absent for containers without a network.
        address: Option<IpAddr>,
        host_port: Option<u16>,
    },
    Exited(Exit),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    pub code: i64,
    pub out_of_memory: bool,
    /// When it ended, by the engine's clock; none where the engine does not tell.
    pub at_ms: Option<i64>,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.out_of_memory {
            return write!(
                f,
                "was killed because it used more memory than its limit (exit code {})",
                self.code
            );
        }
        write!(f, "exited with code {}", self.code)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub stream: LogStream,
    /// Nanoseconds since the epoch, by the engine's clock; 0 where the engine gave none.
    pub at_ns: i128,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutput {
    pub exit: Exit,
    pub stdout: Vec<u8>,
}
