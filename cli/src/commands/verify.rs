use crate::{
    context::{Context, resolve},
    evidence,
    failure::Failure,
    output, progress,
    trust::TrustArgs,
};
use serde::Serialize;
use std::path::Path;
use waybill_client::{Reference, api::ModelVersion};
use waybill_proof::{
    keys::Trust,
    verify::{self, Outcome, Report},
};

const EXAMPLES: &str = "\
Examples:
  waybill verify iris@3 --key registry.pub
  waybill verify iris@stage:production
  waybill verify ./iris --key registry.pub

A reference is verified against the server: signatures, statements, documents, and every file's
bytes. A folder made by `waybill pull` is verified offline. Keys that the server itself hands out
prove integrity only; keys that you pin with --key or WAYBILL_TRUSTED_KEYS prove origin.
Exit code 3: something does not hold.";

/// Check a version's or a folder's signatures, statements and files
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A reference like iris@3, or a folder
    #[arg(value_name = "REF|DIR")]
    target: String,
    #[command(flatten)]
    trust: TrustArgs,
}

/// What `--json` prints: the report, the verdict, and what it is about.
#[derive(Serialize)]
struct Verdict<'a> {
    verified: bool,
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a ModelVersion>,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let folder = Path::new(&args.target);
    if folder.is_dir() {
        return verify_folder(folder.to_owned(), &args, context).await;
    }
    let reference: Reference = args.target.parse().map_err(|error| {
        Failure::Usage(format!("{:?} is neither a folder nor a reference: {error}", args.target))
    })?;
    let client = context.client()?;
    let version = resolve(&client, &reference).await?;
    let keys = args.trust.pinned_or_from_registry(&client).await?;
    let (evidence, served) = evidence::fetch(&client, &version, &progress::transfer(context.json)).await?;
    let mut report = verify::version(&evidence, &keys);
    report.checks.push(served);
    conclude(&report, Some(&version), &args, context)
}

async fn verify_folder(folder: std::path::PathBuf, args: &Args, context: &Context) -> Result<(), Failure> {
    let keys = if args.trust.is_empty() {
        let client = context.client()?;
        args.trust.pinned_or_from_registry(&client).await.map_err(|failure| {
            Failure::Usage(format!(
                "a folder is verified with a public key: name one with --key FILE or WAYBILL_TRUSTED_KEYS \
                 (asking {} for its keys failed: {failure})",
                context.server
            ))
        })?
    } else {
        args.trust.pinned()?
    };
    let report =
        tokio::task::spawn_blocking(move || verify::folder(&folder, &keys)).await.map_err(Failure::failed)?;
    conclude(&report, None, args, context)
}

fn conclude(
    report: &Report,
    version: Option<&ModelVersion>,
    args: &Args,
    context: &Context,
) -> Result<(), Failure> {
    let verified = report.passed();
    if context.json {
        output::json(&Verdict { verified, report, version });
    } else {
        print(report);
    }
    if verified {
        return Ok(());
    }
    let failed: Vec<&str> = report.failures().map(|check| check.name.as_str()).collect();
    let failed = if failed.is_empty() { "nothing could be checked".to_owned() } else { failed.join(", ") };
    Err(Failure::Verification(format!("{} does not verify: {failed}", args.target)))
}

fn print(report: &Report) {
    for check in &report.checks {
        let mark = match check.ok {
            Outcome::Ok => output::mark(true),
            Outcome::Failed => output::mark(false),
            Outcome::Skipped => "-",
        };
        let key = check.signed_by.as_deref().map(|hint| format!(" (key {})", &hint[..hint.len().min(12)]));
        let detail = output::plain(&check.detail);
        output::line(format!("{mark} {:22} {detail}{}", check.name, key.unwrap_or_default()));
    }
    output::line(match (report.trust, report.passed()) {
        (Trust::Pinned, true) => "Trust: the keys that you named. This proves origin and integrity.",
        (Trust::Pinned, false) => "Trust: the keys that you named.",
        (Trust::FromRegistry, _) => {
            "Trust: keys from the registry that was verified. They can prove integrity, not origin: pin the \
             registry's key with --key FILE or WAYBILL_TRUSTED_KEYS."
        }
    });
}
