//! A deployment's log: appended by its deployer, replayed and followed by anyone.

use super::{
    DeploymentsError, check_environment,
    leases::check_fence,
    signals::Woken,
    store::{deployments, logs, rollouts},
};
use crate::{app::App, db::Conn};
use futures::Stream;
use waybill_client::api::{AppendLog, LogLine, LogStream};

/// Newest lines that a deployment's log keeps.
pub const LOG_LINES_MAX: i64 = 20_000;
/// Lines over the cap that may stand before the oldest are dropped, so that not every append
/// deletes.
const SLACK: i64 = 1_000;
/// Lines of one append.
const APPEND_MAX: usize = 1_000;
/// A longer line is cut: whole files end up on one line.
const TEXT_MAX_BYTES: usize = 8 * 1024;
const PAGE_MAX: i64 = 1_000;

/// Appends lines. `key` makes a retry of the newest append harmless.
pub async fn append_log(
    app: &App,
    environment: &str,
    model: &str,
    key: Option<String>,
    mut append: AppendLog,
) -> Result<(), DeploymentsError> {
    check_environment(environment)?;
    if append.lines.len() > APPEND_MAX {
        return Err(DeploymentsError::Invalid {
            field: "lines",
            value: format!("{} lines", append.lines.len()),
            expected: "at most 1,000",
        });
    }
    if append.lines.is_empty() {
        return Ok(());
    }
    for line in &mut append.lines {
        line.text = cut(&line.text);
    }
    let input = (environment.to_owned(), model.to_owned(), key, append);
    app.db
        .write(input, |tx, (environment, model, key, append)| {
            Box::pin(write(tx, environment, model, key.as_deref(), append))
        })
        .await?;
    app.signals.log_appended();
    Ok(())
}

/// The line without NUL (PostgreSQL cannot hold it), at most [`TEXT_MAX_BYTES`] of it.
fn cut(text: &str) -> String {
    let clean = text.replace('\0', "\u{fffd}");
    if clean.len() <= TEXT_MAX_BYTES {
        return clean;
    }
    let end = clean.floor_char_boundary(TEXT_MAX_BYTES);
    format!("{} … [{} more bytes]", &clean[..end], clean.len() - end)
}

async fn write(
    tx: &mut Conn,
    environment: &str,
    model: &str,
    key: Option<&str>,
    append: &AppendLog,
) -> Result<(), DeploymentsError> {
    check_fence(tx, environment, append.fence).await?;
    let not_found = || DeploymentsError::DeploymentNotFound {
        environment: environment.to_owned(),
        model: model.to_owned(),
    };
    let deployment = deployments::find(tx, environment, model).await?.ok_or_else(not_found)?.id;
    let rollout = rollouts::find(tx, &append.rollout_id).await?;
    if rollout.is_none_or(|found| found.deployment != deployment) {
        let rollout_id = append.rollout_id.chars().take(100).collect();
        return Err(DeploymentsError::RolloutNotFound { rollout_id });
    }
    let count = append.lines.len() as i64;
    let Some(last_seq) = logs::reserve(tx, deployment, count, key).await? else {
        return Ok(());
    };
    logs::insert(tx, deployment, &append.rollout_id, last_seq, &append.lines).await?;
    let head = logs::head(tx, deployment).await?;
    if last_seq - head.dropped_to > LOG_LINES_MAX + SLACK {
        logs::drop_to(tx, deployment, last_seq - LOG_LINES_MAX).await?;
    }
    Ok(())
}

/// Lines after `after_seq`. Where older ones were dropped, the first line says so.
pub async fn log_page(
    app: &App,
    environment: &str,
    model: &str,
    after_seq: i64,
    limit: Option<u32>,
) -> Result<Vec<LogLine>, DeploymentsError> {
    check_environment(environment)?;
    let mut conn = app.db.snapshot().await?;
    let deployment = find(&mut conn, environment, model).await?;
    let limit = limit.map_or(PAGE_MAX, i64::from).clamp(1, PAGE_MAX);
    read(&mut conn, deployment, after_seq, limit).await
}

async fn find(conn: &mut Conn, environment: &str, model: &str) -> Result<i64, DeploymentsError> {
    deployments::find(conn, environment, model).await?.map(|row| row.id).ok_or_else(|| {
        DeploymentsError::DeploymentNotFound { environment: environment.to_owned(), model: model.to_owned() }
    })
}

async fn read(
    conn: &mut Conn,
    deployment: i64,
    after_seq: i64,
    limit: i64,
) -> Result<Vec<LogLine>, DeploymentsError> {
    let head = logs::head(conn, deployment).await?;
    let mut lines = logs::page(conn, deployment, after_seq, limit).await?;
    if after_seq < head.dropped_to {
        let marker = LogLine {
            seq: head.dropped_to,
            rollout_id: lines.first().map(|line| line.rollout_id.clone()).unwrap_or_default(),
            at_ms: lines.first().map_or(0, |line| line.at_ms),
            stream: LogStream::Event,
            text: format!("… {} earlier lines were dropped …", head.dropped_to - after_seq.max(0)),
        };
        lines.insert(0, marker);
        lines.truncate(limit as usize);
    }
    Ok(lines)
}

/// Lines after `after_seq`, those of the past first, then every new one as it comes; each once, in
/// order. Ends when the server shuts down.
pub async fn follow_log(
    app: App,
    environment: &str,
    model: &str,
    after_seq: i64,
) -> Result<impl Stream<Item = Result<LogLine, DeploymentsError>> + Send + use<>, DeploymentsError> {
    check_environment(environment)?;
    let deployment = find(&mut app.db.read().await?, environment, model).await?;
    let start = (app, after_seq, Vec::new().into_iter());
    Ok(futures::stream::try_unfold(start, move |(app, mut seen, mut lines)| async move {
        loop {
            if let Some(line) = lines.next() {
                let line: LogLine = line;
                seen = line.seq;
                return Ok(Some((line, (app, seen, lines))));
            }
            // Subscribed before the look, so that no line falls between look and wait.
            let woken = {
                let mut appended = std::pin::pin!(app.signals.on_log());
                appended.as_mut().enable();
                let found = read(&mut app.db.snapshot().await?, deployment, seen, PAGE_MAX).await?;
                if found.is_empty() {
                    app.signals.wait(appended, super::signals::POLL).await
                } else {
                    lines = found.into_iter();
                    Woken::Look
                }
            };
            if woken == Woken::Closing {
                return Ok(None);
            }
        }
    }))
}
