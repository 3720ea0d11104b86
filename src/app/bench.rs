//! Runs what `gapless bench` was told: flags become options, files are read and written, and a person sees how far it is.

mod gap;
mod progress;

use crate::{
    bench::{
        conditions::{self, Condition, Figures},
        load::{self, Histograms, Live, Options, Pace},
        output,
        questions::{self, Order, Question},
        report::{self, Report},
        resolve::{self, Conf},
        schedule::{Arrivals as Times, Spacing},
    },
    cli::bench::{Arrivals, Bench, Compare, Load, Resolve},
    forward::{Roots, Transport},
    lifecycle::Drain,
    wire::NameKey,
};
use anyhow::Context as _;
use hickory_proto::rr::RecordType;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::runtime;

/// Exit code when a condition of `--fail` is met; 1 is an error, 2 a wrong flag.
const CONDITION_MET: u8 = 3;
/// As of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Does it, prints what came of it, and says how to exit.
pub fn run(bench: &Bench) -> anyhow::Result<ExitCode> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the asynchronous runtime does not start")?;
    let done = runtime.block_on(async {
        match bench {
            Bench::Load(flags) => load(flags).await,
            Bench::Resolve(flags) => resolve(flags).await,
            Bench::Gap(flags) => gap::gap(flags).await,
            Bench::Compare(flags) => compare(flags),
        }
    });
    // A thread that still waits for a socket is no reason to stay.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

async fn load(flags: &Load) -> anyhow::Result<ExitCode> {
    let began = now();
    let options = options(flags).await?;
    let stop = Drain::new();
    let live = Live::new(options.servers.len());
    let names = options.servers.iter().map(ToString::to_string).collect();
    let spacing = spacing(flags.arrivals);
    let progress = progress::Progress::new(names, options.duration, flags.ramp);
    let running = async {
        if flags.ramp {
            let tell = |step: String| progress.say(&step);
            load::ramp(
                options,
                spacing,
                flags.rate,
                stop.clone(),
                live.clone(),
                tell,
            )
            .await
        } else {
            load::run(options, stop.clone(), live.clone()).await
        }
    };
    let ran = tokio::select! {
        ran = running => ran,
        () = progress.show(&live, &stop) => unreachable!("it shows for ever"),
        () = on_interrupt(&stop) => unreachable!("it waits for the run's end"),
    };
    progress.end();
    let (mut report, histograms) = ran?;
    report.settings = settings(flags);
    // First, so that it is not lost with a file that cannot be written.
    print(&output::table(&report));
    write(flags, &report, &histograms, began)?;
    Ok(verdict(&flags.fail, &report.servers, report.interrupted))
}

/// Says which conditions are met, and how to exit.
fn verdict<F: Figures>(conditions: &[Condition], measured: &[F], interrupted: bool) -> ExitCode {
    let failures = conditions::failures(conditions, measured);
    for failure in &failures {
        print(&format!("FAILED {failure}\n"));
    }
    match (interrupted, failures.is_empty()) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(CONDITION_MET),
    }
}

async fn options(flags: &Load) -> anyhow::Result<Options> {
    let edns = !flags.no_edns;
    let mut questions = match &flags.queries {
        Some(path) => {
            let text = read(path)?;
            questions::from_file(&text, edns).with_context(|| path.display().to_string())?
        }
        None => {
            let count = usize::try_from(flags.names).unwrap_or(usize::MAX);
            let made = questions::from_names(&flags.name, count, flags.qtype, edns);
            made.map_err(|error| anyhow::anyhow!("--name: {error}"))?
        }
    };
    if let Some(reference) = &flags.reference {
        anyhow::ensure!(
            reference.transport == Transport::Plain,
            "--reference: {reference}: a reference is asked over UDP"
        );
        load::learn(reference.address, &mut questions).await?;
    }
    let spacing = spacing(flags.arrivals);
    Ok(Options {
        roots: roots(flags)?,
        servers: flags.server.clone(),
        questions: Arc::<[Question]>::from(questions),
        order: Order {
            zipf: flags.zipf,
            unique: flags.unique,
            seed: flags.seed,
        },
        pace: match flags.outstanding {
            Some(outstanding) => Pace::Closed(usize::try_from(outstanding)?),
            None => Pace::Open(spacing, flags.rate),
        },
        duration: flags.duration,
        timeout: flags.timeout,
        clients: usize::try_from(flags.clients)?,
        threads: usize::try_from(flags.threads)?,
        probe: !flags.no_probe,
    })
}

fn roots(flags: &Load) -> anyhow::Result<Roots> {
    if !flags.server.iter().any(|it| it.transport.is_encrypted()) {
        return Ok(Roots::default());
    }
    match &flags.tls_ca {
        Some(path) => {
            let text = fs::read(path).with_context(|| path.display().to_string())?;
            Roots::from_pem(&text).with_context(|| path.display().to_string())
        }
        None => Ok(Roots::from_system(
            rustls_native_certs::load_native_certs().certs,
        )),
    }
}

/// What a reader of the report has to know to do it again.
fn settings(flags: &Load) -> std::collections::BTreeMap<String, String> {
    let questions = match &flags.queries {
        Some(path) => path.display().to_string(),
        None => {
            let names = flags.name.join(" ");
            let of = RecordType::from(flags.qtype);
            match names.contains("{}") {
                true => format!("{names} {of}, {{}} below {}", flags.names),
                false => format!("{names} {of}"),
            }
        }
    };
    let pace = match flags.outstanding {
        Some(outstanding) => format!("{outstanding} outstanding"),
        None => {
            let arrivals = match flags.arrivals {
                Arrivals::Constant => "at equal distances",
                Arrivals::Poisson => "by chance",
            };
            let ramp = if flags.ramp { "a ramp from " } else { "" };
            format!("{ramp}{} queries/s, {arrivals}", flags.rate)
        }
    };
    let mut settings = vec![
        ("questions", questions),
        ("pace", pace),
        ("duration", format!("{:?}", flags.duration)),
        ("timeout", format!("{:?}", flags.timeout)),
        ("clients", flags.clients.to_string()),
        ("threads", flags.threads.to_string()),
        ("unique", format!("{} %", flags.unique * 100.0)),
        ("seed", flags.seed.to_string()),
    ];
    settings.extend(flags.zipf.map(|it| ("zipf", it.to_string())));
    let reference = flags.reference.as_ref();
    settings.extend(reference.map(|it| ("reference", it.to_string())));
    let owned = settings.into_iter();
    owned.map(|(key, value)| (key.to_owned(), value)).collect()
}

fn write(
    flags: &Load,
    report: &Report,
    histograms: &Histograms,
    began: SystemTime,
) -> anyhow::Result<()> {
    let files = &flags.files;
    let picture = || output::picture(report);
    put(&files.json, || output::json(report).into())?;
    put(&files.csv, || output::csv(report).into())?;
    put(&files.svg, || picture().svg().into())?;
    put(&files.png, || picture().png())?;
    put(&files.html, || output::html(report).into())?;
    put(&files.hdr, || output::hdr(histograms, began))
}

/// Writes a file that was asked for.
fn put(path: &Option<PathBuf>, make: impl FnOnce() -> Vec<u8>) -> anyhow::Result<()> {
    match path {
        Some(path) => fs::write(path, make()).with_context(|| path.display().to_string()),
        None => Ok(()),
    }
}

const fn spacing(arrivals: Arrivals) -> Spacing {
    match arrivals {
        Arrivals::Constant => Spacing::Constant,
        Arrivals::Poisson => Spacing::Poisson,
    }
}

/// Tells a run to stop when the person does, and goes on waiting: the run ends by itself then.
async fn on_interrupt(stop: &Drain) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.cancel();
    }
    std::future::pending::<()>().await;
}

async fn resolve(flags: &Resolve) -> anyhow::Result<ExitCode> {
    let file = flags.resolv_conf.display();
    let mut text = read(&flags.resolv_conf)?;
    for server in &flags.server {
        anyhow::ensure!(
            server.transport == Transport::Plain,
            "--server: {server}: C libraries ask over UDP"
        );
        text = format!("nameserver {}\n{text}", server.address.ip());
    }
    let mut conf = Conf::parse(&text, flags.library).with_context(|| file.to_string())?;
    anyhow::ensure!(
        flags.server.len() <= resolve::SERVERS_MAX,
        "--server: expected at most {}, as C libraries use",
        resolve::SERVERS_MAX
    );
    if !flags.server.is_empty() {
        conf.servers = flags.server.iter().map(|it| it.address).collect();
    }
    for name in &flags.name {
        NameKey::from_text(name)?;
    }
    let options = resolve::Options {
        names: flags.name.clone(),
        conf,
        library: flags.library,
        arrivals: Times::new(spacing(flags.arrivals), flags.rate, 0, 1, flags.seed),
        duration: flags.duration,
    };
    let stop = Drain::new();
    let resolved = tokio::select! {
        resolved = resolve::run(options, stop.clone()) => resolved?,
        () = on_interrupt(&stop) => unreachable!("it waits for the run's end"),
    };
    print(&output::resolved(&resolved));
    let text = serde_json::to_string_pretty(&resolved)? + "\n";
    put(&flags.json, || text.into())?;
    Ok(verdict(&flags.fail, &[resolved], stop.is_cancelled()))
}

fn compare(flags: &Compare) -> anyhow::Result<ExitCode> {
    let read = |path: &Path| -> anyhow::Result<Report> {
        let report = output::from_json(&read(path)?);
        report.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
    };
    let (earlier, later) = (read(&flags.earlier)?, read(&flags.later)?);
    print(&format!(
        "earlier\n{}\nlater\n{}\n",
        output::table(&earlier),
        output::table(&later)
    ));
    let changes = report::changes(&earlier, &later);
    print(&output::changes(&changes));
    put(&flags.html, || {
        output::html_of_two(&earlier, &later, &changes).into()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

#[allow(clippy::print_stdout, reason = "a command speaks to its terminal")]
fn print(text: &str) {
    print!("{text}");
}

#[allow(
    clippy::disallowed_methods,
    reason = "a report says when it was measured"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
