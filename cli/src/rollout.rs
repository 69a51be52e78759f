//! Watching a rollout until it ends: phases, log lines, outcome.

use crate::{
    commands::{gateway_url, log_line},
    failure::Failure,
    output,
    progress::Activity,
};
use futures::{StreamExt, stream::BoxStream};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use waybill_client::{
    Client, ClientError,
    api::{Deployment, LogLine, Promotion, Rollout, RolloutPhase},
};

const POLL: Duration = Duration::from_millis(300);
/// After the end, lines that were written just before it still arrive.
const LAST_LINES: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub struct WaitArgs {
    /// Wait until the version serves or has failed (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return as soon as the change is recorded
    #[arg(long)]
    no_wait: bool,
    /// Give up waiting after so many seconds; the rollout goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    timeout: u64,
}

/// Waits for the promotion's rollout, where there is one, and tells how it ended.
pub async fn conclude(
    client: &Client,
    promotion: Promotion,
    wait: &WaitArgs,
    json: bool,
) -> Result<(), Failure> {
    if let Some(note) = promotion.note.clone() {
        recorded(&promotion, json, "Recorded.");
        return Err(Failure::Failed(note));
    }
    let Some(rollout_id) = promotion.rollout_id.clone() else {
        recorded(&promotion, json, "Recorded. No environment follows this stage.");
        return Ok(());
    };
    if wait.no_wait {
        let hint = format!("Recorded. Follow the rollout: {}", follow_command(&promotion));
        recorded(&promotion, json, &hint);
        return Ok(());
    }
    if client.info().await?.deployer == "off" {
        let hint = "Recorded, but this server runs no deployer: the rollout waits until one connects.";
        recorded(&promotion, json, hint);
        return Ok(());
    }
    let rollout = watch(client, &promotion, &rollout_id, wait, json).await?;
    let deployment = client.get_deployment(promotion.to.as_str(), &promotion.name).await?;
    let gateway = gateway_url(client).await?;
    let address = gateway.map(|url| format!("{url}{}", deployment.gateway_path));
    if json {
        output::json(&json!({
            "promotion": promotion,
            "rollout": rollout,
            "deployment": deployment,
            "address": address,
        }));
    }
    match rollout.phase {
        RolloutPhase::Succeeded => {
            if !json {
                print_success(&promotion, &rollout, address.as_deref());
            }
            Ok(())
        }
        _ => Err(failure(&promotion, &rollout, &deployment)),
    }
}

fn recorded(promotion: &Promotion, json: bool, hint: &str) {
    if json {
        output::json(&json!({ "promotion": promotion }));
    } else {
        output::line(hint);
    }
}

fn follow_command(promotion: &Promotion) -> String {
    format!("waybill logs {} --env {} -f", promotion.name, promotion.to)
}

/// Shows phases and log lines until the rollout has ended.
async fn watch(
    client: &Client,
    promotion: &Promotion,
    rollout_id: &str,
    wait: &WaitArgs,
    json: bool,
) -> Result<Rollout, Failure> {
    let activity = Activity::new(json);
    let environment = promotion.to.as_str();
    let mut lines = client.follow_log(environment, &promotion.name, 0).boxed();
    let deadline = Instant::now() + Duration::from_secs(wait.timeout);
    loop {
        let rollout = client.get_rollout(rollout_id).await?;
        activity.state(&rollout.phase.as_str().replace('_', " "));
        if rollout.phase.is_terminal() {
            show_lines(&mut lines, rollout_id, &activity, LAST_LINES).await;
            activity.end();
            return Ok(rollout);
        }
        if Instant::now() >= deadline {
            activity.end();
            return Err(Failure::Failed(format!(
                "after {} s the rollout is still {}; it goes on. Follow it: {}",
                wait.timeout,
                rollout.phase.as_str(),
                follow_command(promotion)
            )));
        }
        tokio::select! {
            () = show_lines(&mut lines, rollout_id, &activity, POLL) => {}
            interrupt = tokio::signal::ctrl_c() => {
                interrupt?;
                activity.end();
                let command = follow_command(promotion);
                return Err(Failure::Failed(format!("not waiting any longer; the rollout goes on. Follow it: {command}")));
            }
        }
    }
}

/// Prints the rollout's lines that come within `period`.
async fn show_lines(
    lines: &mut BoxStream<'static, Result<LogLine, ClientError>>,
    rollout_id: &str,
    activity: &Activity,
    period: Duration,
) {
    let until = Instant::now() + period;
    while let Ok(next) = timeout(until.saturating_duration_since(Instant::now()), lines.next()).await {
        match next {
            // Of an event that quotes the log, its first line: the rest stands above.
            Some(Ok(line)) if line.rollout_id == rollout_id => {
                activity.line(&log_line(&line, line.text.lines().next().unwrap_or_default()));
            }
            Some(Ok(_)) => {}
            // Without its log a rollout can still be watched by its phases.
            Some(Err(error)) => activity.line(&format!("no log lines: {error}")),
            None => return sleep(until.saturating_duration_since(Instant::now())).await,
        }
    }
}

fn print_success(promotion: &Promotion, rollout: &Rollout, address: Option<&str>) {
    let took = rollout.ended_at_ms.map_or_else(String::new, |end| {
        format!(", {} after it was asked for", output::duration(end - promotion.applied_at_ms))
    });
    output::line(format!(
        "{} {}@{} serves in {}{took}",
        output::mark(true),
        output::plain(&promotion.name),
        promotion.version,
        promotion.to
    ));
    if let Some(address) = address {
        output::line(format!("  {address}/invocations"));
    }
}

fn failure(promotion: &Promotion, rollout: &Rollout, deployment: &Deployment) -> Failure {
    let name = output::plain(&promotion.name);
    let mut text = match rollout.phase {
        RolloutPhase::Superseded => {
            format!("{name}@{} gave way to a newer change in {}", promotion.version, promotion.to)
        }
        _ => format!(
            "{name}@{} does not serve in {}: {}",
            promotion.version,
            promotion.to,
            rollout.reason_code.as_deref().unwrap_or("no reason given")
        ),
    };
    for line in rollout.message.as_deref().unwrap_or_default().lines() {
        text.push_str("\n  ");
        text.push_str(&output::plain(line));
    }
    let serving = match &deployment.serving {
        Some(serving) => format!("Version {} goes on serving.", serving.version),
        None => format!("Nothing serves in {} now.", promotion.to),
    };
    Failure::Failed(format!("{text}\n{serving}"))
}
