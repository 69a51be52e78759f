use crate::{
    context::{Context, resolve},
    failure::Failure,
    output,
    rollout::{self, WaitArgs},
};
use waybill_client::{
    Reference,
    api::{CreatePromotion, Stage},
};

const EXAMPLES: &str = "\
Examples:
  waybill promote iris@3 --to staging
  waybill promote iris@stage:staging --to production --reason 'accuracy 0.97 on the June set'
  waybill promote iris@3 --to archived

Waits until the version serves, with the phases and log lines as they come, and fails when it
does not: then what served before goes on serving.";

/// Move a version to a stage; the environment of that name follows
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which version, e.g. iris@3
    reference: Reference,
    /// The stage: none, test, staging, production or archived
    #[arg(long, value_name = "STAGE")]
    to: Stage,
    /// Why; kept in the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let version = resolve(&client, &args.reference).await?;
    let request = CreatePromotion { to: args.to, reason: args.reason };
    let promotion = client.create_promotion(&version.name, version.version, &request).await?;
    if !context.json {
        output::line(format!(
            "{}@{} goes from {} to {}",
            output::plain(&promotion.name),
            promotion.version,
            promotion.from,
            promotion.to
        ));
    }
    rollout::conclude(&client, promotion, &args.wait, context.json).await
}
