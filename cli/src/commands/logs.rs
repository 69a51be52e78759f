use crate::{context::Context, failure::Failure, output};
use futures::TryStreamExt;
use std::collections::VecDeque;
use waybill_client::{Client, api::LogLine};

const PAGE_LINES: u32 = 1000;

const EXAMPLES: &str = "\
Examples:
  waybill logs iris --env production
  waybill logs iris --env production -f
  waybill logs iris --env staging --all --json | jq -r 'select(.stream == \"build\").text'

Each line has its time, where it comes from (event, resolve, build, stdout, stderr) and its text.";

/// Show what a deployment's rollout and container wrote
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The model's name
    name: String,
    /// The environment: test, staging or production
    #[arg(long, value_name = "ENVIRONMENT")]
    env: String,
    /// Go on with new lines as they come
    #[arg(short, long)]
    follow: bool,
    /// All rollouts, not only the newest
    #[arg(long)]
    all: bool,
    /// At most so many lines, the newest
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let deployment = client.get_deployment(&args.env, &args.name).await?;
    let newest = deployment.rollout.map(|rollout| rollout.rollout_id).filter(|_| !args.all);
    let (lines, last_seq) = past(&client, &args, newest.as_deref()).await?;
    for line in &lines {
        print(line, context.json);
    }
    if args.follow {
        // New rollouts are what a follower waits for.
        let mut stream = client.follow_log(&args.env, &args.name, last_seq);
        while let Some(line) = stream.try_next().await? {
            print(&line, context.json);
        }
    }
    Ok(())
}

/// The lines so far, and the position of the last one.
async fn past(
    client: &Client,
    args: &Args,
    rollout_id: Option<&str>,
) -> Result<(VecDeque<LogLine>, i64), Failure> {
    let mut lines = VecDeque::new();
    let mut last_seq = 0;
    loop {
        let page = client.log_page(&args.env, &args.name, last_seq, PAGE_LINES).await?;
        let Some(last) = page.lines.last() else { return Ok((lines, last_seq)) };
        last_seq = last.seq;
        for line in page.lines {
            if rollout_id.is_none_or(|wanted| wanted == line.rollout_id) {
                lines.push_back(line);
            }
            if args.tail.is_some_and(|tail| lines.len() > tail) {
                lines.pop_front();
            }
        }
    }
}

fn print(line: &LogLine, json: bool) {
    if json {
        output::json_line(line);
        return;
    }
    let mut texts = line.text.lines();
    output::line(shown(line, texts.next().unwrap_or_default()));
    texts.for_each(|text| output::line(shown(line, text)));
}

/// `17:08:09 build   Successfully installed …`
pub fn shown(line: &LogLine, text: &str) -> String {
    format!("{} {:7} {}", output::clock(line.at_ms), line.stream.as_str(), output::plain(text))
}
