use crate::{cli::Cli, output};
use clap::CommandFactory;
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  waybill completion bash > /usr/share/bash-completion/completions/waybill
  waybill completion zsh > ~/.zfunc/_waybill
  waybill completion fish > ~/.config/fish/completions/waybill.fish";

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    shell: Shell,
}

pub fn run(args: &Args) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "waybill", &mut script);
    output::bytes(&script);
}
