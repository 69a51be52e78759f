//! One file per command.

mod completion;
mod history;
mod keys;
mod logs;
mod models;
mod promote;
mod pull;
mod push;
mod rollback;
mod status;
mod versions;

pub use logs::shown as log_line;
pub use status::gateway_url;

use crate::{context::Context, failure::Failure};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    Models(models::Args),
    Versions(versions::Args),
    Push(push::Args),
    Pull(pull::Args),
    Promote(promote::Args),
    Rollback(rollback::Args),
    Status(status::Args),
    History(history::Args),
    Logs(logs::Args),
    Keys(keys::Args),
    Completion(completion::Args),
}

pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Models(args) => models::run(args, context).await,
        Command::Versions(args) => versions::run(args, context).await,
        Command::Push(args) => push::run(args, context).await,
        Command::Pull(args) => pull::run(args, context).await,
        Command::Promote(args) => promote::run(args, context).await,
        Command::Rollback(args) => rollback::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::History(args) => history::run(args, context).await,
        Command::Logs(args) => logs::run(args, context).await,
        Command::Keys(args) => keys::run(args, context).await,
        Command::Completion(args) => completion::run(&args),
    }
}
