use crate::{context::Context, failure::Failure, output};
use jiff::Timestamp;
use waybill_client::api::{History, Outage, Promotion, PromotionKind, ServingInterval};

const EXAMPLES: &str = "\
Examples:
  waybill history iris --env production
  waybill history iris --env production --json | jq '.serving[0].version'";

/// Show what really served in an environment when, who asked for it, and why
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The model's name
    name: String,
    /// The environment: test, staging or production
    #[arg(long, value_name = "ENVIRONMENT")]
    env: String,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let history = context.client()?.history(&args.name, &args.env).await?;
    if context.json {
        output::json(&history);
    } else {
        print(&history, &args);
    }
    Ok(())
}

fn print(history: &History, args: &Args) {
    output::line(format!("Served in {}, newest first:", args.env));
    let now_ms = Timestamp::now().as_millisecond();
    let rows = history.serving.iter().map(|interval| serving_row(interval, now_ms)).collect();
    let nothing = format!("{} never served there.", args.name);
    output::table(["VERSION", "FROM", "TO", "FOR", "DOWN", "LOCKFILE", "IMAGE", "BY", "WHY"], rows, &nothing);
    print_outages(history, now_ms);
    output::line("\nAsked for, newest first:");
    let rows = history.promotions.iter().map(promotion_row).collect();
    output::table(["AT", "WHAT", "VERSION", "FROM", "TO", "BY", "WHY"], rows, "Nothing.");
}

fn print_outages(history: &History, now_ms: i64) {
    let of = |interval: &ServingInterval| {
        let version = interval.version;
        interval.outages.iter().map(|outage| outage_row(version, outage, now_ms)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = history.serving.iter().flat_map(of).collect();
    if !rows.is_empty() {
        output::line("\nDid not answer, newest first:");
        output::table(["VERSION", "FROM", "TO", "FOR", "WHY"], rows, "");
    }
}

fn outage_row(version: i64, outage: &Outage, now_ms: i64) -> [String; 5] {
    let why = outage.reason.as_deref().and_then(|reason| reason.lines().next());
    [
        version.to_string(),
        output::time(outage.from_ms),
        outage.to_ms.map_or_else(|| "now".to_owned(), output::time),
        output::duration(outage.to_ms.unwrap_or(now_ms) - outage.from_ms),
        output::plain(why.unwrap_or_default()),
    ]
}

fn serving_row(interval: &ServingInterval, now_ms: i64) -> [String; 9] {
    let [lockfile, image] = output::digests(interval.revision.as_ref());
    let down = interval.outages.iter().map(|outage| outage.to_ms.unwrap_or(now_ms) - outage.from_ms);
    let down = Some(down.sum()).filter(|_| !interval.outages.is_empty());
    [
        interval.version.to_string(),
        output::time(interval.from_ms),
        interval.to_ms.map_or_else(|| "now".to_owned(), output::time),
        output::duration(interval.to_ms.unwrap_or(now_ms) - interval.from_ms),
        output::or_dash(down.map(output::duration)),
        lockfile,
        image,
        output::plain(&interval.actor),
        output::plain(interval.reason.as_deref().unwrap_or_default()),
    ]
}

fn promotion_row(promotion: &Promotion) -> [String; 7] {
    let kind = match promotion.kind {
        PromotionKind::Promotion => "promotion",
        PromotionKind::Rollback => "rollback",
    };
    [
        output::time(promotion.applied_at_ms),
        kind.to_owned(),
        promotion.version.to_string(),
        promotion.from.to_string(),
        promotion.to.to_string(),
        output::plain(&promotion.actor),
        output::plain(promotion.reason.as_deref().unwrap_or_default()),
    ]
}
