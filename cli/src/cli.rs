//! The command line: what is common to all commands.

use crate::commands::Command;
use clap::{Args, Parser};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line is wrong
  3  verification failed
  4  the server has nothing of that name
  5  the server cannot be reached

A version is named by a reference: iris@3, iris@alias:champion, iris@stage:production,
iris@sha256:DIGEST, or iris@WORD where only one alias or stage bears the word.";

/// Registers models with proof and runs them.
#[derive(Debug, Parser)]
#[command(name = "waybill", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Global {
    /// Address of the Waybill server
    #[arg(
        long,
        visible_alias = "url",
        global = true,
        env = "WAYBILL_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:5000",
        help_heading = "Common options"
    )]
    pub server: String,
    /// Name that history records for what you change; left out, your login name
    #[arg(
        long,
        global = true,
        env = "WAYBILL_USER",
        hide_env_values = true,
        value_name = "NAME",
        help_heading = "Common options"
    )]
    pub user: Option<String>,
    /// Print JSON for scripts; errors too, on standard error
    #[arg(long, global = true, help_heading = "Common options")]
    pub json: bool,
}
