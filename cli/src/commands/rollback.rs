use crate::{
    context::Context,
    failure::Failure,
    output,
    rollout::{self, WaitArgs},
};
use waybill_client::api::CreateRollback;

const EXAMPLES: &str = "\
Examples:
  waybill rollback iris --env production
  waybill rollback iris --env production --to-version 2 --reason 'drift in the second class'

Waits until the earlier version serves. What is rolled back leaves the stage, so MLflow clients
that load by stage get the earlier version too.";

/// Go back to what an environment served before
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The model's name
    name: String,
    /// The environment: test, staging or production
    #[arg(long, value_name = "ENVIRONMENT")]
    env: String,
    /// To this version instead of the one that served before
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(i64).range(1..))]
    to_version: Option<i64>,
    /// Why; kept in the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let request =
        CreateRollback { environment: args.env.clone(), to_version: args.to_version, reason: args.reason };
    let promotion = client.create_rollback(&args.name, &request).await?;
    if !context.json {
        output::line(format!(
            "{} goes back to version {} in {}",
            output::plain(&promotion.name),
            promotion.version,
            args.env
        ));
    }
    rollout::conclude(&client, promotion, &args.wait, context.json).await
}
