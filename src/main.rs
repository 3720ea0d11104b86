//! The `gapless` command.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to its terminal"
)]

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser};
use gapless::{
    app,
    cli::{Check, Cli, Command, Convert, Serve},
    config::{self, Config},
    convert, telemetry,
};
use listenfd::ListenFd;
use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(flags) => serve(&flags).map(|()| ExitCode::SUCCESS),
        Command::Check(flags) => check(&flags).map(|()| ExitCode::SUCCESS),
        Command::Netdev(command) => app::netdev(command).map(|()| ExitCode::SUCCESS),
        Command::Convert(flags) => convert(&flags).map(|()| ExitCode::SUCCESS),
        Command::Bench(bench) => app::bench::run(&bench),
        Command::Manual { directory } => manual(&directory).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "gapless", &mut io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    match done {
        Ok(code) => code,
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
    app::run(config, given())
}

/// The sockets that systemd opened for this process (sd_listen_fds(3)).
fn given() -> Vec<OwnedFd> {
    let mut given = ListenFd::from_env();
    let mut all: Vec<OwnedFd> = vec![];
    for at in 0..given.len() {
        match (given.take_udp_socket(at), given.take_tcp_listener(at)) {
            (Ok(Some(socket)), _) => all.push(socket.into()),
            (_, Ok(Some(listener))) => all.push(listener.into()),
            _ => tracing::warn!("LISTEN_FDS: number {at} is neither of UDP nor of TCP"),
        }
    }
    all
}

fn manual(directory: &Path) -> anyhow::Result<()> {
    let written = clap_mangen::generate_to(Cli::command(), directory);
    written.with_context(|| directory.display().to_string())
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

/// A ConfigMap holds at most 1 MiB; a file of manifests may hold others beside it.
const MAX_FILE: u64 = 16 << 20;

/// The configuration goes to standard output, what became of lines that are not simply in it to standard error.
fn convert(flags: &Convert) -> anyhow::Result<()> {
    let name = flags.file.display();
    let mut text = String::new();
    File::open(&flags.file)
        .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
        .with_context(|| format!("{name}: cannot be read"))?;
    let converted = convert::convert(&text).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    for remark in &converted.remarks {
        eprintln!("{name}: {remark}");
    }
    print!("{}", converted.configuration);
    let nothing_else = Serve::default();
    let checked = Config::parse(converted.configuration.as_bytes(), &nothing_else);
    checked
        .map(drop)
        .with_context(|| format!("{name}: what became of it is not accepted yet"))
}
