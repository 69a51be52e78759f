use crate::{context::Context, failure::Failure, output};
use clap::{Subcommand, ValueEnum};
use waybill_client::{
    Client, DeliveriesQuery,
    api::{PageQuery, Webhook, WebhookDelivery, WebhookDeliveryState, WebhookStatus},
};

const EXAMPLES: &str = "\
Examples:
  waybill webhooks list
  waybill webhooks deliveries ci --state failed
  waybill webhooks replay 5a31c1f6-6d0e-4f7e-8d6a-2f3f5e1f4c11
  waybill webhooks deliveries ci --state failed --json \\
    | jq -r '.[].delivery_id' | xargs waybill webhooks replay

MLflow's client makes webhooks: MlflowClient().create_webhook(…).";

/// Most webhooks or deliveries that are asked for at once.
const PAGE: u32 = 1_000;

/// Show who is told of changes and what became of it; send again
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: WebhooksCommand,
}

#[derive(Debug, Subcommand)]
enum WebhooksCommand {
    /// List the webhooks
    #[command(after_help = EXAMPLES)]
    List,
    /// List a webhook's deliveries, newest first
    #[command(after_help = EXAMPLES)]
    Deliveries {
        /// The webhook's name or id
        webhook: String,
        /// Deliveries in this state only
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        /// So many at most
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        limit: u32,
    },
    /// Send what ended deliveries sent once more, as new deliveries
    #[command(after_help = EXAMPLES)]
    Replay {
        /// The deliveries' ids
        #[arg(required = true, value_name = "DELIVERY")]
        deliveries: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Pending,
    Delivered,
    Failed,
    Cancelled,
}

impl From<State> for WebhookDeliveryState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Delivered => Self::Delivered,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match args.command {
        WebhooksCommand::List => list(&client, context.json).await,
        WebhooksCommand::Deliveries { webhook, state, limit } => {
            let webhook = find(&client, &webhook).await?;
            deliveries(&client, &webhook, state.map(WebhookDeliveryState::from), limit, context.json).await
        }
        WebhooksCommand::Replay { deliveries } => replay(&client, &deliveries, context.json).await,
    }
}

async fn all(client: &Client) -> Result<Vec<Webhook>, Failure> {
    let mut query = PageQuery { limit: Some(PAGE), page_token: None };
    let mut found = Vec::new();
    loop {
        let page = client.webhooks(&query).await?;
        found.extend(page.webhooks);
        if page.next_page_token.is_none() {
            return Ok(found);
        }
        query.page_token = page.next_page_token;
    }
}

/// The webhook of that id, or the only one of that name.
async fn find(client: &Client, asked: &str) -> Result<Webhook, Failure> {
    let mut found = all(client).await?;
    if let Some(at) = found.iter().position(|webhook| webhook.webhook_id == asked) {
        return Ok(found.swap_remove(at));
    }
    found.retain(|webhook| webhook.name == asked);
    if found.len() > 1 {
        let ids: Vec<&str> = found.iter().map(|webhook| webhook.webhook_id.as_str()).collect();
        let ids = ids.join(", ");
        return Err(Failure::Usage(format!(
            "several webhooks are called {asked:?}; name one by its id: {ids}"
        )));
    }
    found.pop().ok_or_else(|| Failure::NotFound(format!("no webhook is called {asked:?} or has that id")))
}

async fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let found = all(client).await?;
    if json {
        output::json(&found);
        return Ok(());
    }
    let rows = found.iter().map(|webhook| {
        [
            output::plain(&webhook.name),
            webhook.webhook_id.clone(),
            match webhook.status {
                WebhookStatus::Active => "active",
                WebhookStatus::Disabled => "disabled",
            }
            .to_owned(),
            if webhook.signed { "yes" } else { "no" }.to_owned(),
            webhook.events.join(" "),
            output::plain(&webhook.url),
        ]
    });
    output::table(["NAME", "ID", "STATUS", "SIGNED", "EVENTS", "URL"], rows.collect(), "No webhooks.");
    Ok(())
}

async fn deliveries(
    client: &Client,
    webhook: &Webhook,
    state: Option<WebhookDeliveryState>,
    limit: u32,
    json: bool,
) -> Result<(), Failure> {
    let mut found: Vec<WebhookDelivery> = Vec::new();
    let mut page_token = None;
    loop {
        let missing = limit.saturating_sub(found.len() as u32);
        if missing == 0 {
            break;
        }
        let query =
            DeliveriesQuery { state, limit: Some(missing.min(PAGE)), page_token: page_token.as_deref() };
        let page = client.webhook_deliveries(&webhook.webhook_id, &query).await?;
        found.extend(page.deliveries);
        page_token = page.next_page_token;
        if page_token.is_none() {
            break;
        }
    }
    if json {
        output::json(&found);
        return Ok(());
    }
    let rows = found.iter().map(row).collect();
    output::table(["AT", "DELIVERY", "EVENT", "STATE", "ATTEMPTS", "ANSWER"], rows, "No deliveries.");
    Ok(())
}

fn row(delivery: &WebhookDelivery) -> [String; 6] {
    let answer = match (&delivery.error, delivery.response_status) {
        (Some(error), Some(status)) => format!("{status}: {error}"),
        (Some(error), None) => error.clone(),
        (None, status) => output::or_dash(status),
    };
    [
        output::time(delivery.created_at_ms),
        delivery.delivery_id.clone(),
        delivery.event.clone(),
        state_text(delivery.state).to_owned(),
        delivery.attempts.to_string(),
        output::plain(&answer),
    ]
}

fn state_text(state: WebhookDeliveryState) -> &'static str {
    match state {
        WebhookDeliveryState::Pending => "pending",
        WebhookDeliveryState::Delivered => "delivered",
        WebhookDeliveryState::Failed => "failed",
        WebhookDeliveryState::Cancelled => "cancelled",
    }
}

async fn replay(client: &Client, deliveries: &[String], json: bool) -> Result<(), Failure> {
    let mut made = Vec::new();
    for delivery_id in deliveries {
        let replayed = client.replay_webhook_delivery(delivery_id).await?;
        if !json {
            output::line(format!("{delivery_id} is sent again as {}", replayed.delivery_id));
        }
        made.push(replayed);
    }
    if json {
        output::json(&made);
    }
    Ok(())
}
