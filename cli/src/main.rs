//! `waybill`: the registry, the deployer, the gateway and everything that talks to them.

mod archive;
mod cli;
mod commands;
mod context;
mod evidence;
mod failure;
mod output;
mod process_memory;
mod progress;
mod rollout;
mod serve;
mod trust;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    process_memory::bound_arenas();
    let cli = cli::Cli::parse();
    let context = context::Context::new(&cli.global);
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(failure::Failure::from)
        .and_then(|runtime| runtime.block_on(commands::run(cli.command, &context)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(context.json);
            ExitCode::from(failure.exit_code())
        }
    }
}
