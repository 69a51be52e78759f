use crate::{context::Context, failure::Failure, output};
use waybill_client::api::{Custody, ModelVersion, PageQuery};

const EXAMPLES: &str = "\
Examples:
  waybill versions iris
  waybill versions iris --json | jq -r '.[0].content.manifest_digest'";

/// List a model's versions, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The model's name
    name: String,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let mut versions: Vec<ModelVersion> = Vec::new();
    let mut query = PageQuery { limit: Some(1000), page_token: None };
    loop {
        let page = client.list_versions(&args.name, &query).await?;
        versions.extend(page.versions);
        query.page_token = page.next_page_token;
        if query.page_token.is_none() {
            break;
        }
    }
    if context.json {
        output::json(&versions);
        return Ok(());
    }
    let rows = versions.iter().map(row).collect();
    let header = [
        "VERSION",
        "STAGE",
        "ALIASES",
        "CUSTODY",
        "MANIFEST",
        "FILES",
        "SIZE",
        "CREATED",
        "BY",
        "DESCRIPTION",
    ];
    output::table(header, rows, &format!("{} has no versions.", args.name));
    Ok(())
}

fn row(version: &ModelVersion) -> [String; 10] {
    let custody = match version.custody {
        Custody::Frozen => "frozen",
        Custody::Pointer => "pointer",
        Custody::Prompt => "prompt",
    };
    let content = version.content.as_ref();
    [
        version.version.to_string(),
        version.stage.to_string(),
        version.aliases.join(" "),
        custody.to_owned(),
        output::or_dash(content.map(|content| output::short(&content.manifest_digest))),
        output::or_dash(content.map(|content| content.file_count)),
        output::or_dash(content.map(|content| output::size(content.size_bytes))),
        output::time(version.created_at_ms),
        output::plain(&version.created_by),
        output::plain(version.description.as_deref().unwrap_or_default()),
    ]
}
