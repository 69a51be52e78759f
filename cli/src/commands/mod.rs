//! One file per command.

mod backup;
mod completion;
mod gateway;
mod history;
mod images;
mod import;
mod keys;
mod logs;
mod migrate;
mod models;
mod openapi;
mod promote;
mod pull;
mod push;
mod restore;
mod rollback;
mod serve;
mod status;
mod verify;
mod versions;
mod webhooks;

pub use logs::shown as log_line;
pub use status::gateway_url;

use crate::{context::Context, failure::Failure};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(Box<serve::Args>),
    Gateway(gateway::Args),
    Models(models::Args),
    Versions(versions::Args),
    Push(push::Args),
    Pull(pull::Args),
    Verify(verify::Args),
    Promote(promote::Args),
    Rollback(rollback::Args),
    Status(status::Args),
    History(history::Args),
    Logs(logs::Args),
    Webhooks(webhooks::Args),
    Keys(keys::Args),
    Images(images::Args),
    Import(import::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Migrate(migrate::Args),
    Openapi(openapi::Args),
    Completion(completion::Args),
}

pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(*args).await,
        Command::Gateway(args) => gateway::run(args).await,
        Command::Models(args) => models::run(args, context).await,
        Command::Versions(args) => versions::run(args, context).await,
        Command::Push(args) => push::run(args, context).await,
        Command::Pull(args) => pull::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Promote(args) => promote::run(args, context).await,
        Command::Rollback(args) => rollback::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::History(args) => history::run(args, context).await,
        Command::Logs(args) => logs::run(args, context).await,
        Command::Webhooks(args) => webhooks::run(args, context).await,
        Command::Keys(args) => keys::run(args, context).await,
        Command::Images(args) => images::run(args, context).await,
        Command::Import(args) => import::run(args, context).await,
        Command::Backup(args) => backup::run(args, context).await,
        Command::Restore(args) => restore::run(args, context).await,
        Command::Migrate(args) => migrate::run(args, context.json).await,
        Command::Openapi(args) => {
            openapi::run(&args, context.json);
            Ok(())
        }
        Command::Completion(args) => {
            completion::run(&args);
            Ok(())
        }
    }
}
