//! The health gate: no traffic before the container has answered, and a reason that helps when
//! it does not.

use super::{RolloutError, launch, reason};
use crate::{
    engine::{ContainerState, EngineError, Exit},
    plan::Target,
    runtime::Runtime,
    shared::Shared,
};
use std::{fmt::Write as _, time::Duration};
use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(100);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const LOG_LINES: usize = 40;
/// Of an answer's body, in the message.
const BODY_BYTES: usize = 300;

/// Waits until the container answers its ready path with 200, `deadline` at the most. Its exit
/// fails at once.
pub async fn wait_until_ready(
    shared: &Shared,
    container_id: &str,
    runtime: &Runtime,
    deadline: Duration,
) -> Result<Target, RolloutError> {
    let mut probe = Probe::default();
    let started = Instant::now();
    let gate = async {
        loop {
            if let Some(target) = ask(shared, container_id, runtime, &mut probe).await? {
                return Ok(target);
            }
            if started.elapsed() >= deadline {
                let message = format!(
                    "the container did not answer {} with 200 within {} s",
                    runtime.ready_path,
                    deadline.as_secs()
                );
                return Err(Verdict::Failed(reason::HEALTH_CHECK_FAILED, message));
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let exit = shared.engine.wait(container_id);
    let (code, message) = tokio::select! {
        result = gate => match result {
            Ok(target) => return Ok(target),
            Err(Verdict::Failed(code, message)) => (code, message),
            Err(Verdict::Unknown(error)) => return Err(error.into()),
        },
        exit = exit => {
            let exit = exit?;
            (reason::CONTAINER_EXITED, ended(&exit, runtime))
        }
    };
    let log = last_log(shared, container_id).await?;
    Err(RolloutError::failed(code, format!("{message}. {}{log}", probe.summary())))
}

/// Why the wait is over without an answer.
enum Verdict {
    Failed(&'static str, String),
    /// The engine cannot tell.
    Unknown(EngineError),
}

fn ended(exit: &Exit, runtime: &Runtime) -> String {
    format!("the container {exit} before it answered {} with 200", runtime.ready_path)
}

/// One probe. The address is read each time: the engine may give it late.
async fn ask(
    shared: &Shared,
    container_id: &str,
    runtime: &Runtime,
    probe: &mut Probe,
) -> Result<Option<Target>, Verdict> {
    let container = match shared.engine.container(container_id).await {
        Ok(Some(container)) => container,
        Ok(None) => {
            let message = "the container was removed by somebody else".to_owned();
            return Err(Verdict::Failed(reason::CONTAINER_EXITED, message));
        }
        Err(error) => return Err(Verdict::Unknown(error)),
    };
    if let ContainerState::Exited(exit) = &container.state {
        return Err(Verdict::Failed(reason::CONTAINER_EXITED, ended(exit, runtime)));
    }
    let Some(target) = launch::target(&container, runtime) else {
        probe.note("no address yet".to_owned());
        return Ok(None);
    };
    let url = format!("{}{}", target.upstream, runtime.ready_path);
    match shared.http.get(&url, PROBE_TIMEOUT).await {
        Ok(answer) if answer.status == 200 => return Ok(Some(target)),
        Ok(answer) => {
            let body = &answer.body[..answer.body.len().min(BODY_BYTES)];
            probe.note(format!("{} {}", answer.status, String::from_utf8_lossy(body).trim()));
        }
        Err(error) => probe.note(error.to_string()),
    }
    Ok(None)
}

/// What the probes saw, equal neighbours counted together.
#[derive(Debug, Default)]
struct Probe {
    seen: Vec<(String, u32)>,
}

impl Probe {
    fn note(&mut self, answer: String) {
        match self.seen.last_mut() {
            Some((last, count)) if *last == answer => *count += 1,
            _ => self.seen.push((answer, 1)),
        }
    }

    fn summary(&self) -> String {
        if self.seen.is_empty() {
            return "It was not probed.".to_owned();
        }
        let parts: Vec<_> = self
            .seen
            .iter()
            .rev()
            .take(5)
            .rev()
            .map(|(answer, count)| format!("{answer} (×{count})"))
            .collect();
        format!("Probe: {}.", parts.join(", then "))
    }
}

/// An engine that goes away takes its containers along: then their end says nothing about them.
async fn last_log(shared: &Shared, container_id: &str) -> Result<String, RolloutError> {
    Ok(match shared.engine.last_logs(container_id, LOG_LINES).await {
        Err(error) if error.is_unavailable() => return Err(error.into()),
        Ok(lines) if lines.is_empty() => " It logged nothing.".to_owned(),
        Ok(lines) => {
            let mut text = " Its last log lines:".to_owned();
            for line in lines {
                let _ = write!(text, "\n{}", line.text);
            }
            text
        }
        Err(error) => format!(" Its log cannot be read: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_answers_are_counted_together() {
        let mut probe = Probe::default();
        for answer in ["refused", "refused", "503 loading", "refused"] {
            probe.note(answer.to_owned());
        }
        assert_eq!(probe.summary(), "Probe: refused (×2), then 503 loading (×1), then refused (×1).");
    }
}
