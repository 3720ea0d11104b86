//! The `gapless` command.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to its terminal"
)]

use clap::Parser;
use gapless::{
    app,
    cli::{Check, Cli, Command, Serve},
    config::{self, Config},
    telemetry,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(flags) => serve(&flags),
        Command::Check(flags) => check(&flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gapless: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, each once: many a message ends with its cause's already.
fn explain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn serve(flags: &Serve) -> anyhow::Result<()> {
    let config = Config::load(flags.config.as_deref(), flags)?;
    telemetry::init(config.log.format, &config.log.level)?;
    app::run(config)
}

fn check(flags: &Check) -> anyhow::Result<()> {
    let nothing_else = Serve {
        environment: flags.environment.clone(),
        ..Serve::default()
    };
    let (_, keys) = Config::read(Some(&flags.file), &nothing_else)?;
    if flags.print {
        print!("{}", config::print(&keys));
    } else {
        println!("{}: ok", flags.file.display());
    }
    Ok(())
}
