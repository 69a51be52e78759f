//! Between bollard's types and ours.

use super::Purpose;
use crate::engine::{Container, ContainerSpec, ContainerState, EngineError, Exit, LogLine};
use bollard::{
    container::LogOutput,
    errors::Error,
    models::{
        ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, HostConfig,
        HostConfigLogConfig, Mount, MountType, PortBinding,
    },
};
use std::collections::HashMap;
use waybill_client::api::LogStream;

/// Root of what every container of ours may not do. A log file is rotated by the engine, so that
/// a chatty model cannot fill the disk.
pub fn create_body(spec: &ContainerSpec, purpose: Purpose, cpus: Option<u64>) -> ContainerCreateBody {
    let interactive = purpose != Purpose::Serve;
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        user: Some(spec.user.clone()),
        // An image's entrypoint would take the command as its arguments.
        entrypoint: Some(Vec::new()),
        cmd: Some(spec.command.clone()),
        env: Some(spec.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        exposed_ports: spec.publish.map(|(_, inner)| vec![format!("{inner}/tcp")]),
        attach_stdin: Some(interactive),
        attach_stdout: Some(interactive),
        attach_stderr: Some(interactive),
        open_stdin: Some(interactive),
        stdin_once: Some(interactive),
        host_config: Some(HostConfig {
            readonly_rootfs: Some(purpose != Purpose::Install),
            ..host_config(spec, cpus)
        }),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec, cpus: Option<u64>) -> HostConfig {
    let cpu_millis = cpus.map_or(spec.limits.cpu_millis, |count| spec.limits.cpu_millis.min(count * 1_000));
    let mounts = spec.mounts.iter().map(|mount| Mount {
        typ: Some(MountType::BIND),
        source: Some(mount.host.to_string_lossy().into_owned()),
        target: Some(mount.container.clone()),
        read_only: Some(true),
        ..Mount::default()
    });
    let tmpfs = spec.tmpfs.iter().map(|tmpfs| {
        let options = format!("rw,nosuid,nodev,mode=1777,size={}", tmpfs.size_bytes);
        (tmpfs.path.clone(), options)
    });
    let bindings = spec.publish.map(|(host, inner)| {
        let binding =
            PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(host.to_string()) };
        HashMap::from([(format!("{inner}/tcp"), Some(vec![binding]))])
    });
    HostConfig {
        mounts: Some(mounts.collect()),
        tmpfs: Some(tmpfs.collect()),
        port_bindings: bindings,
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        memory: Some(spec.limits.memory_bytes as i64),
        // Equal to the memory limit: no swap, so that the limit means what it says.
        memory_swap: Some(spec.limits.memory_bytes as i64),
        nano_cpus: Some(cpu_millis as i64 * 1_000_000),
        pids_limit: Some(i64::from(spec.limits.pids)),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "3".to_owned()),
            ])),
        }),
        ..HostConfig::default()
    }
}

pub fn container(answer: ContainerInspectResponse) -> Container {
    let networks = answer.network_settings.as_ref().and_then(|n| n.networks.as_ref());
    let address = networks
        .into_iter()
        .flat_map(HashMap::values)
        .filter_map(|endpoint| endpoint.ip_address.as_ref())
        .find_map(|text| text.parse().ok());
    let host_port = first_port(answer.network_settings.as_ref().and_then(|n| n.ports.as_ref()));
    let published = first_port(answer.host_config.as_ref().and_then(|h| h.port_bindings.as_ref()));
    let state = answer.state.unwrap_or_default();
    let state = match state.status {
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        Some(
            ContainerStateStatusEnum::RUNNING
            | ContainerStateStatusEnum::PAUSED
            | ContainerStateStatusEnum::RESTARTING,
        ) => ContainerState::Running { address, host_port },
        _ => ContainerState::Exited(Exit {
            code: state.exit_code.unwrap_or(-1),
            out_of_memory: state.oom_killed.unwrap_or(false),
            at_ms: state
                .finished_at
                .and_then(|at| at.parse::<jiff::Timestamp>().ok())
                .map(jiff::Timestamp::as_millisecond)
                .filter(|at| *at > 0),
        }),
    };
    Container {
        id: answer.id.unwrap_or_default(),
        name: answer.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image_id: answer.image.unwrap_or_default(),
        labels: answer.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
        published,
        state,
    }
}

fn first_port(bindings: Option<&HashMap<String, Option<Vec<PortBinding>>>>) -> Option<u16> {
    let bindings = bindings.into_iter().flat_map(HashMap::values).flatten().flatten();
    bindings.filter_map(|binding| binding.host_port.as_ref()?.parse().ok()).find(|port| *port > 0)
}

/// A line of a log asked for with timestamps: `2026-11-22T17:45:29.123456789Z text`.
pub fn log_line(output: LogOutput) -> LogLine {
    let stream = match output {
        LogOutput::StdErr { .. } => LogStream::Stderr,
        _ => LogStream::Stdout,
    };
    let text = String::from_utf8_lossy(&output.into_bytes()).into_owned();
    let text = text.trim_end_matches(['\n', '\r']);
    let dated = text.split_once(' ').unwrap_or((text, ""));
    match dated.0.parse::<jiff::Timestamp>() {
        Ok(at) => LogLine { stream, at_ns: at.as_nanosecond(), text: dated.1.to_owned() },
        Err(_) => LogLine { stream, at_ns: 0, text: text.to_owned() },
    }
}

pub fn error(endpoint: &str, action: String, error: Error) -> EngineError {
    let unavailable = |detail: String| EngineError::Unavailable { endpoint: endpoint.to_owned(), detail };
    match error {
        Error::SocketNotFoundError(path) => unavailable(format!("{path} does not exist")),
        Error::HyperLegacyError { err } => unavailable(chain(&err)),
        Error::HyperResponseError { err } => unavailable(chain(&err)),
        Error::IOError { err } => unavailable(chain(&err)),
        Error::RequestTimeoutError => EngineError::TimedOut { action },
        Error::DockerResponseServerError { status_code: 500, message }
            if message.contains("port is already allocated")
                || message.contains("address already in use") =>
        {
            EngineError::PortTaken { port: taken_port(&message) }
        }
        Error::DockerResponseServerError { status_code: 404, message } => {
            EngineError::NotFound { what: message }
        }
        Error::DockerResponseServerError { status_code, message } => {
            EngineError::Refused { action, status: status_code, message }
        }
        other => EngineError::Other { action, message: other.to_string() },
    }
}

/// hyper's outer error says only "client error (Connect)"; its sources say why.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

/// `… Bind for 127.0.0.1:18080 failed: port is already allocated` → `18080`.
fn taken_port(message: &str) -> String {
    message
        .split(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.'))
        .filter_map(|word| word.trim_matches(':').rsplit_once(':'))
        .map(|(_, port)| port)
        .rfind(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
        .unwrap_or("?")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn log_lines_lose_their_timestamp_and_keep_their_stream() {
        let line = log_line(LogOutput::StdErr {
            message: Bytes::from_static(b"2026-11-22T17:45:29.000000005Z hello  world\n"),
        });
        assert_eq!(line.stream, LogStream::Stderr);
        assert_eq!(line.text, "hello  world");
        assert_eq!(line.at_ns % 1_000_000_000, 5);
    }

    #[test]
    fn a_taken_port_is_its_own_error_and_names_the_port() {
        let from = |message: &str| {
            error(
                "unix:///x",
                "start it".into(),
                Error::DockerResponseServerError { status_code: 500, message: message.to_owned() },
            )
        };
        let taken = from(
            "driver failed programming external connectivity on endpoint x (8ff): Bind for \
             127.0.0.1:18080 failed: port is already allocated",
        );
        assert_eq!(taken.to_string(), "host port 18080 is taken by another program");
        let proxy = from(
            "driver failed: Error starting userland proxy: listen tcp4 127.0.0.1:18081: bind: \
             address already in use",
        );
        assert_eq!(proxy.to_string(), "host port 18081 is taken by another program");
        assert!(matches!(from("disk full"), EngineError::Refused { status: 500, .. }));
    }

    #[test]
    fn a_container_that_has_ended_keeps_the_port_that_it_was_made_with() {
        let binding = PortBinding { host_port: Some("20001".to_owned()), ..PortBinding::default() };
        let host_config = HostConfig {
            port_bindings: Some(HashMap::from([("8080/tcp".to_owned(), Some(vec![binding]))])),
            ..HostConfig::default()
        };
        let answer = ContainerInspectResponse {
            host_config: Some(host_config),
            ..ContainerInspectResponse::default()
        };
        let ended = container(answer);
        assert!(matches!(ended.state, ContainerState::Exited(_)));
        assert_eq!(ended.published, Some(20_001));
    }
}
