use crate::{context::Context, failure::Failure, output};
use waybill_client::{
    Client,
    api::{Deployment, RolloutPhase},
};

const EXAMPLES: &str = "\
Examples:
  waybill status
  waybill status iris --env production --json";

/// Show what each environment should serve and what it serves
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only this model
    name: Option<String>,
    /// Only this environment: test, staging or production
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let mut deployments = client.list_deployments(args.env.as_deref()).await?;
    if let Some(name) = &args.name {
        deployments.retain(|deployment| deployment.model == *name);
        if deployments.is_empty() {
            return Err(Failure::NotFound(format!("{name} has no deployment here; promote a version first")));
        }
    }
    if context.json {
        output::json(&deployments);
        return Ok(());
    }
    let gateway = gateway_url(&client).await?;
    let rows = deployments.iter().map(|deployment| row(deployment, gateway.as_deref())).collect();
    let header = [
        "ENVIRONMENT",
        "MODEL",
        "DESIRED",
        "SERVING",
        "READY",
        "SINCE",
        "ROLLOUT",
        "LOCKFILE",
        "IMAGE",
        "ADDRESS",
    ];
    let nothing = "Nothing is deployed. `waybill promote NAME@VERSION --to staging` deploys.";
    output::table(header, rows, nothing);
    for deployment in &deployments {
        print_outage(deployment);
        print_failure(deployment);
    }
    Ok(())
}

/// The gateway's address without a slash at its end, where one runs.
pub async fn gateway_url(client: &Client) -> Result<Option<String>, Failure> {
    let url = client.info().await?.gateway_url;
    Ok(url.map(|url| url.trim_end_matches('/').to_owned()))
}

fn row(deployment: &Deployment, gateway: Option<&str>) -> [String; 10] {
    let serving = deployment.serving.as_ref();
    let [lockfile, image] = output::digests(serving.and_then(|serving| serving.revision.as_ref()));
    let rollout = deployment.rollout.as_ref().map(|rollout| rollout.phase.as_str().replace('_', " "));
    [
        deployment.environment.clone(),
        output::plain(&deployment.model),
        output::or_dash(deployment.desired.as_ref().map(|desired| desired.version)),
        output::or_dash(serving.map(|serving| serving.version)),
        output::or_dash(serving.map(|serving| if serving.outage.is_none() { "yes" } else { "no" })),
        output::or_dash(serving.map(|serving| output::time(serving.since_ms))),
        output::or_dash(rollout),
        lockfile,
        image,
        format!("{}{}", gateway.unwrap_or_default(), deployment.gateway_path),
    ]
}

fn print_outage(deployment: &Deployment) {
    let Some(serving) = &deployment.serving else { return };
    let Some(outage) = &serving.outage else { return };
    output::line(format!(
        "\n{} {} in {}: version {} has not answered since {}: {}",
        output::mark(false),
        output::plain(&deployment.model),
        deployment.environment,
        serving.version,
        output::time(outage.from_ms),
        output::plain(
            outage.reason.as_deref().unwrap_or("no reason given").lines().next().unwrap_or_default()
        ),
    ));
}

fn print_failure(deployment: &Deployment) {
    let Some(rollout) = &deployment.rollout else { return };
    if rollout.phase != RolloutPhase::Failed {
        return;
    }
    output::line(format!(
        "\n{} {} in {}: the rollout of version {} failed: {}",
        output::mark(false),
        output::plain(&deployment.model),
        deployment.environment,
        rollout.version,
        rollout.reason_code.as_deref().unwrap_or("no reason given"),
    ));
    for line in rollout.message.as_deref().unwrap_or_default().lines() {
        output::line(format!("  {}", output::plain(line)));
    }
}
