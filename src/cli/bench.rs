//! Flags of `gapless bench`. It knows how they are spelt; [`crate::app::bench`] knows what they mean.

use crate::{
    bench::{
        conditions::Condition,
        gap::Measured,
        questions::record_type,
        report,
        resolve::{Library, Resolved},
    },
    config::{Span, Upstream, Word},
    forward::Server,
};
use clap::{Args, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// What is measured.
#[derive(Clone, Debug, Subcommand)]
pub enum Bench {
    /// Send queries at a rate, or so many at a time, and say how long answers take
    Load(Box<Load>),
    /// Look names up as a program in a pod does, and say how long each takes
    Resolve(Resolve),
    /// Follow the pods of a cluster, or a directory of manifests, and say how long each server lacks their names
    Gap(Box<Gap>),
    /// Compare two reports of `load --json`
    Compare(Compare),
}

/// When queries leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arrivals {
    /// At equal distances
    Constant,
    /// By chance, as from many clients that know nothing of each other
    Poisson,
}

/// Flags of `gapless bench load`.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// Server to measure: IP, IP:PORT, tcp://…, tls://…#NAME, https://…#NAME; repeatable, all in one run
    #[arg(long, required = true, value_name = "ADDR", value_parser = |text: &str| Upstream.flag(text))]
    pub server: Vec<Server>,

    /// File of questions, `NAME TYPE` a line as for dnsperf; behind the type may stand what the answer has to be:
    /// addresses, NXDOMAIN, NODATA, NOERROR, SERVFAIL, REFUSED
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    pub queries: Option<PathBuf>,

    /// Name to ask for; repeatable; `{}` in it stands for each number below --names
    #[arg(long, value_name = "NAME", required_unless_present = "queries")]
    pub name: Vec<String>,

    /// How many numbers `{}` stands for
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub names: u32,

    /// Type that --name is asked for
    #[arg(long = "type", value_name = "TYPE", default_value = "A", value_parser = record_type)]
    pub qtype: u16,

    /// Popularity by Zipf's law: the n-th question in proportion to n^-S; without it, one after the other
    #[arg(long, value_name = "S", value_parser = exponent)]
    pub zipf: Option<f64>,

    /// Share of questions, such as 10%, with a label of their own in front, which no cache can have
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share)]
    pub unique: f64,

    /// Queries a second to each server, whatever it answers; with --ramp, those of the first step
    #[arg(long, value_name = "N", default_value = "1000", value_parser = rate)]
    pub rate: f64,

    /// When queries leave
    #[arg(long, value_enum, default_value = "constant")]
    pub arrivals: Arrivals,

    /// Closed loop instead of a rate: so many queries under way to each server
    #[arg(long, value_name = "N", conflicts_with_all = ["rate", "ramp"], value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub outstanding: Option<u32>,

    /// Find the highest rate with at most 0.1 % lost, one server after the other, in steps of --duration
    #[arg(long)]
    pub ramp: bool,

    /// For how long queries are sent
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = |text: &str| LASTING.flag(text))]
    pub duration: Duration,

    /// How long an answer may take; later, the query is lost
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = |text: &str| TIMEOUT.flag(text))]
    pub timeout: Duration,

    /// Sockets or connections to each server, for each thread
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub clients: u32,

    /// Threads that send datagrams
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,

    /// Server whose answers are the right ones: asked once for each question before the run
    #[arg(long, value_name = "ADDR", value_parser = |text: &str| Upstream.flag(text))]
    pub reference: Option<Server>,

    /// Certificates (PEM) of who may certify servers [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// Send queries without EDNS
    #[arg(long)]
    pub no_edns: bool,

    /// Do not ask each server once before the run
    #[arg(long)]
    pub no_probe: bool,

    /// Where chance begins; the same seed asks the same questions
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,

    /// See [`Files`].
    #[command(flatten)]
    pub files: Files,

    /// Exit with 3 if this is so for any server: p99>5ms, loss>0.1%, wrong>0, rate<1000 …; repeatable
    #[arg(long, value_name = "CONDITION", value_parser = Condition::read::<report::Server>)]
    pub fail: Vec<Condition>,
}

/// What is written beside the table.
#[derive(Clone, Debug, Default, Args)]
pub struct Files {
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the figures as comma-separated values
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write the histograms as a log of HdrHistogram
    #[arg(long, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
    /// Write pictures of latency and rate
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write the same pictures as PNG
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Write the report as one page with its pictures
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Flags of `gapless bench resolve`.
#[derive(Clone, Debug, Args)]
pub struct Resolve {
    /// Name to look up, as a program would give it; repeatable; in turns
    #[arg(required = true, value_name = "NAME")]
    pub name: Vec<String>,

    /// What the C library is told: servers, search list, options
    #[arg(long, value_name = "FILE", default_value = "/etc/resolv.conf")]
    pub resolv_conf: PathBuf,

    /// Servers in place of the file's; repeatable, in the order in which the library knows them
    #[arg(long, value_name = "ADDR", value_parser = |text: &str| Upstream.flag(text))]
    pub server: Vec<Server>,

    /// Whose way of looking up
    #[arg(long, value_enum, default_value = "glibc")]
    pub library: Library,

    /// Look-ups a second, whatever the answers take
    #[arg(long, value_name = "N", default_value = "100", value_parser = rate)]
    pub rate: f64,

    /// When look-ups begin
    #[arg(long, value_enum, default_value = "constant")]
    pub arrivals: Arrivals,

    /// For how long look-ups are begun
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = |text: &str| LASTING.flag(text))]
    pub duration: Duration,

    /// Where chance begins
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,

    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Exit with 3 if this is so: p99>100ms, failed>0, not_found>0 …; repeatable
    #[arg(long, value_name = "CONDITION", value_parser = Condition::read::<Resolved>)]
    pub fail: Vec<Condition>,
}

/// Flags of `gapless bench gap`.
#[derive(Clone, Debug, Args)]
pub struct Gap {
    /// Server to measure; repeatable, all asked at the same time
    #[arg(long, required = true, value_name = "ADDR", value_parser = |text: &str| Upstream.flag(text))]
    pub server: Vec<Server>,

    /// Follow a directory of manifests instead of a cluster; with --create, write a file there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context", "selector", "image"])]
    pub manifests: Option<PathBuf>,

    /// Kubeconfig of the cluster; without it: in-cluster credentials, else KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// Follow the pods of this namespace only; with --create, where to create [default there: default]
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,

    /// Follow the pods with these labels only, such as app=web
    #[arg(long, value_name = "LABELS", conflicts_with = "create")]
    pub selector: Option<String>,

    /// What the cluster's names stand below
    #[arg(long, value_name = "NAME", default_value = "cluster.local")]
    pub cluster_domain: String,

    /// How often each name is asked for
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = |text: &str| EVERY.flag(text))]
    pub every: Duration,

    /// How long to follow; what was created is always seen to its end
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = |text: &str| LASTING.flag(text))]
    pub duration: Duration,

    /// Roll out a StatefulSet of so many pods, delete each of them once, scale it down, and take it away
    #[arg(long, value_name = "PODS", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub create: Option<u16>,

    /// Image of the pods of --create; it has to do nothing
    #[arg(
        long,
        value_name = "IMAGE",
        default_value = "registry.k8s.io/pause:3.10"
    )]
    pub image: String,

    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write the timeline as a picture: when each change was, and how long after it each server told of it
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Write the same picture as PNG
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,

    /// Write the series probes_dns_propagation_seconds, for the text files of Prometheus's node exporter
    #[arg(long, value_name = "FILE")]
    pub prometheus: Option<PathBuf>,

    /// Exit with 3 if this is so for any server: p99>50ms (from ready to resolvable), stale>0, never>0 …; repeatable
    #[arg(long, value_name = "CONDITION", value_parser = Condition::read::<Measured>)]
    pub fail: Vec<Condition>,
}

/// Flags of `gapless bench compare`.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// The earlier report
    pub earlier: PathBuf,
    /// The later report
    pub later: PathBuf,
    /// Write the comparison as one page with pictures
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

const LASTING: Span = Span {
    range: Duration::from_millis(100)..=Duration::from_secs(24 * 3600),
    whole_seconds: false,
};
const EVERY: Span = Span {
    range: Duration::from_millis(1)..=Duration::from_secs(10),
    whole_seconds: false,
};
const TIMEOUT: Span = Span {
    range: Duration::from_millis(1)..=Duration::from_secs(60),
    whole_seconds: false,
};

fn number(text: &str, range: std::ops::RangeInclusive<f64>, what: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|it| range.contains(it));
    number.ok_or_else(|| format!("expected {what}, {} to {}", range.start(), range.end()))
}

fn rate(text: &str) -> Result<f64, String> {
    let most = crate::bench::load::RATE_MAX;
    number(text, 0.1..=most, "queries a second")
}

fn exponent(text: &str) -> Result<f64, String> {
    number(text, 0.0..=10.0, "an exponent")
}

fn share(text: &str) -> Result<f64, String> {
    let what = "a share such as `10%`";
    let percent = text
        .strip_suffix('%')
        .ok_or_else(|| format!("expected {what}"))?;
    Ok(number(percent, 0.0..=100.0, what)? / 100.0)
}
