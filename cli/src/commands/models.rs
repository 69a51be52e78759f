use crate::{context::Context, failure::Failure, output};
use waybill_client::api::{Model, PageQuery};

const EXAMPLES: &str = "\
Examples:
  waybill models
  waybill models --name-contains iris --json | jq -r '.[].name'";

/// List registered models
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only models whose name contains TEXT
    #[arg(long, value_name = "TEXT")]
    name_contains: Option<String>,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let mut models: Vec<Model> = Vec::new();
    let mut query = PageQuery { limit: Some(1000), page_token: None };
    loop {
        let page = client.list_models(&query, args.name_contains.as_deref()).await?;
        models.extend(page.models);
        query.page_token = page.next_page_token;
        if query.page_token.is_none() {
            break;
        }
    }
    if context.json {
        output::json(&models);
        return Ok(());
    }
    let rows = models.iter().map(row).collect();
    let nothing = "No models yet. Log one with MLflow, or `waybill push DIR NAME`.";
    output::table(["NAME", "VERSIONS", "ALIASES", "UPDATED", "DESCRIPTION"], rows, nothing);
    Ok(())
}

fn row(model: &Model) -> [String; 5] {
    let aliases: Vec<String> =
        model.aliases.iter().map(|alias| format!("{}→{}", alias.alias, alias.version)).collect();
    [
        output::plain(&model.name),
        model.last_version.to_string(),
        aliases.join(" "),
        output::time(model.updated_at_ms),
        output::plain(model.description.as_deref().unwrap_or_default()),
    ]
}
