//! Every key: its place, form, range, default and reason, and the flag that overrides it. This is the only place that
//! knows them; what parts do with them is theirs.

use super::{
    section::Section,
    value::{
        Address, Choice, ClusterDomain, Count, HostName, List, Listener, LogFilter, Or, Path, Size,
        Span, Switch, Text, Upstream, UriPath, Zone,
    },
    *,
};
use crate::answer::{MAX_HOSTS, MAX_OF_ONE_HOST, is_kubernetes};
use std::collections::HashMap;

pub(crate) const SCOPES: Choice<Scope> =
    Choice(&[("cluster", Scope::Cluster), ("headless", Scope::Headless)]);
pub(crate) const SLICES: Choice<EndpointSlices> = Choice(&[
    ("headless", EndpointSlices::Headless),
    ("all", EndpointSlices::All),
]);
pub(crate) const FORMATS: Choice<Format> =
    Choice(&[("text", Format::Text), ("json", Format::Json)]);
/// The longest name of a context that is taken; Kubernetes sets no limit.
pub(crate) const CONTEXT: Text = Text(253);
pub(crate) const ADMIN: Or<Listener> = Or("off", Listener);
const NAMES: Choice<EndpointNames> = Choice(&[
    ("hostname", EndpointNames::Hostname),
    ("pod", EndpointNames::Pod),
]);
const PODS: Choice<Pods> = Choice(&[
    ("disabled", Pods::Disabled),
    ("insecure", Pods::Insecure),
    ("verified", Pods::Verified),
]);

const WHEN_STALE: Choice<WhenStale> = Choice(&[
    ("answer", WhenStale::Answer),
    ("forward", WhenStale::Forward),
]);

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const fn list<W>(min: usize, max: usize, of: W) -> List<W> {
    List { of, len: min..=max }
}

fn ttl(section: &mut Section<'_>, name: &str, default: Duration, reason: &'static str) -> Duration {
    let kind = Span {
        range: Duration::ZERO..=HOUR,
        whole_seconds: true,
    };
    section.key(name, kind, default, reason)
}

/// Reads the whole document; a flag that is given takes its key's place.
pub(super) fn declare(root: &mut Section<'_>, flags: &Serve) -> Config {
    let listen = root.key(
        "listen",
        list(1, 16, Listener),
        vec![([127, 0, 0, 1], 5300).into()],
        "Answered by UDP and TCP alike. The default needs no privilege and is reachable from this machine only.",
    );
    let admin = root.key(
        "admin",
        ADMIN,
        Some(([127, 0, 0, 1], 9533).into()),
        "HTTP for `/livez`, `/readyz` and `/metrics`. The port is none that CoreDNS or NodeLocal DNSCache takes on a node.",
    );
    let freebind = root.key(
        "freebind",
        Switch,
        false,
        "Whether `listen` may name addresses that no interface has at the time (Linux), such as those that `gapless netdev watch` gives and takes.",
    );
    let lameduck = root.key(
        "lameduck",
        Span {
            range: Duration::ZERO..=60 * SECOND,
            whole_seconds: true,
        },
        Duration::ZERO,
        "How long after SIGTERM queries are still answered while `/readyz` says no: as long as whoever steers queries here needs to stop. Then up to 10 s for what is under way.",
    );
    let handover = root.key(
        "handover",
        Or("null", Path),
        None,
        "A unix socket by which a process of the same user takes over the open sockets, once its index is synced, so that an upgrade loses no query: a file, or `@NAME` for a name in the network namespace, which needs no directory. The old process waits for its signal then. `null`: none.",
    );
    let udp = root.section("udp", |udp| Udp {
        workers: udp.key(
            "workers",
            Or("auto", Count(1..=64)),
            None,
            "Threads for each address of `listen`, each with a socket of its own. `auto`: one for each CPU that the process may use.",
        ),
    });
    let tcp = root.section("tcp", tcp);
    let https = root.section("https", https);
    let source = root.section("source", |source| self::source(source, flags));
    let cluster = root.section("cluster", |cluster| self::cluster(cluster, flags));
    let hosts = root.section("hosts", |hosts| self::hosts(hosts, &cluster.domain));
    let config = Config {
        listen: given(&flags.listen).unwrap_or(listen),
        admin: flags.admin.map_or(admin, |AdminAddress(admin)| admin),
        freebind: freebind || flags.freebind,
        lameduck,
        handover: flags.handover.clone().or(handover),
        udp,
        tcp,
        https,
        source,
        hosts,
        forward: root.section("forward", |forward| self::forward(forward, flags, &cluster.domain)),
        cluster,
        cache: root.section("cache", cache),
        identity: root.section("identity", |identity| Identity {
            version: identity.key(
                "version",
                Switch,
                false,
                "Whether `version.bind` CH TXT is answered. Off: a version helps whoever looks for holes.",
            ),
            id: identity.key(
                "id",
                Or("null", Text(255)),
                None,
                "What `id.server` CH TXT answers, such as the node's name; `null` refuses it.",
            ),
        }),
        log: root.section("log", |log| {
            let format = log.key("format", FORMATS, Format::Text, "`text` for people, `json` for collectors.");
            let level = log.key(
                "level",
                LogFilter,
                "info".to_owned(),
                "`info` tells what changes in the life of the process; a query leaves no line there.",
            );
            Log {
                format: flags.log_format.unwrap_or(format),
                level: flags.log_level.clone().unwrap_or(level),
            }
        }),
    };
    let routes = config.forward.routes.iter();
    let mut servers = config
        .forward
        .upstreams
        .iter()
        .chain(&config.cluster.dns)
        .chain(routes.flat_map(|route| &route.upstreams));
    root.require(
        !servers.any(|server| config.listen.contains(&server.address)),
        "a server of forward.upstreams, forward.routes or cluster.dns stands in listen too: queries would come back for ever",
    );
    config
}

/// A list given by flags, if it was.
fn given<T: Clone>(flags: &[T]) -> Option<Vec<T>> {
    (!flags.is_empty()).then(|| flags.to_vec())
}

fn tcp(tcp: &mut Section<'_>) -> Tcp {
    Tcp {
        max_connections: tcp.key(
            "max_connections",
            Count(1..=65_536),
            256,
            "Over all listeners; each holds a file descriptor and its buffers. When all are taken, the one that is idle the longest makes room.",
        ),
        max_connections_per_client: tcp.key(
            "max_connections_per_client",
            Count(1..=65_536),
            16,
            "By source address, so that one client cannot take them all (RFC 7766 section 6.2.2).",
        ),
        max_queries_per_connection: tcp.key(
            "max_queries_per_connection",
            Count(1..=1024),
            32,
            "Waiting for an upstream at once; further ones wait unread. Answers leave in the order in which they are ready (RFC 7766 section 7).",
        ),
        idle_timeout: tcp.key(
            "idle_timeout",
            Span {
                range: SECOND..=HOUR,
                whole_seconds: false,
            },
            Duration::from_secs(10),
            "A connection without a query for so long is closed (RFC 7766 section 6.2.3 asks for a few seconds).",
        ),
    }
}

fn https(https: &mut Section<'_>) -> Option<Https> {
    let listen = https.key(
        "listen",
        list(0, 16, Listener),
        Vec::new(),
        "Answered by DNS over HTTPS (RFC 8484, HTTP/2). None by default: it needs a certificate. Connections count among those of `tcp`, under the same limits.",
    );
    let certificate = https.key(
        "certificate",
        Or("null", Path),
        None,
        "A file of PEM certificates, the server's own first. Followed as it changes; while a version cannot be served, the former one is.",
    );
    let key = https.key(
        "key",
        Or("null", Path),
        None,
        "A file with the certificate's key in PEM, without a passphrase. Followed likewise.",
    );
    let path = https.key(
        "path",
        UriPath,
        "/dns-query".to_owned(),
        "The URI's; the default is what clients try.",
    );
    if listen.is_empty() {
        return None;
    }
    https.require(
        certificate.is_some() && key.is_some(),
        "listen needs certificate and key: there is no HTTPS without them",
    );
    Some(Https {
        listen,
        certificate: certificate?,
        key: key?,
        path,
    })
}

fn source(source: &mut Section<'_>, flags: &Serve) -> Source {
    let path = || Or("null", Path);
    let manifests = source.key(
        "manifests",
        path(),
        None,
        "A directory of manifests to take the place of a cluster; followed as it changes.",
    );
    let kubeconfig = source.key(
        "kubeconfig",
        path(),
        None,
        "The cluster to watch. With neither this nor `manifests`: in-cluster credentials, else `KUBECONFIG` or `~/.kube/config`.",
    );
    let context = source.key(
        "context",
        Or("null", CONTEXT),
        None,
        "A context of the kubeconfig; `null` is its current one.",
    );
    let manifests = flags.manifests.clone().or(manifests);
    let kubeconfig = flags.kubeconfig.clone().or(kubeconfig);
    let context = flags.context.clone().or(context);
    source.require(
        manifests.is_none() || (kubeconfig.is_none() && context.is_none()),
        "manifests excludes kubeconfig and context, be they keys or flags: the names come from one source",
    );
    source.require(
        context.is_none() || kubeconfig.is_some() || flags.environment.kubeconfig.as_ref().is_some_and(|it| !it.is_empty()),
        "context needs kubeconfig (key or flag) or KUBECONFIG in the environment: in-cluster credentials have no contexts",
    );
    match manifests {
        Some(directory) => Source::Manifests(directory),
        None => Source::Kubernetes {
            kubeconfig,
            context,
        },
    }
}

fn cluster(cluster: &mut Section<'_>, flags: &Serve) -> Cluster {
    let domain = cluster.key(
        "domain",
        ClusterDomain,
        NameKey::from_text("cluster.local").expect("a valid name"),
        "As the kubelet's `clusterDomain`. The limit leaves room for the names below it and for the SOA's.",
    );
    let scope = cluster.key(
        "scope",
        SCOPES,
        Scope::Cluster,
        "`cluster`: authoritative for the whole domain. `headless`: names of headless services only; every other cluster name is forwarded to `cluster.dns`.",
    );
    let dns = cluster.key(
        "dns",
        list(0, 16, Upstream),
        Vec::new(),
        "The cluster's own DNS: asked for cluster names while the index is not synced, and in scope `headless` for the names that are not ours. Without it such names are SERVFAIL until then.",
    );
    let slices = cluster.key(
        "endpoint_slices",
        SLICES,
        EndpointSlices::Headless,
        "Which EndpointSlices are watched. `all` adds endpoint names and PTR records below ClusterIP services, at the price of following every Deployment's churn.",
    );
    let names = cluster.key(
        "endpoint_names",
        NAMES,
        EndpointNames::Hostname,
        "How an endpoint without a hostname is called: by its address (as the specification has it), or by its `pod`'s name.",
    );
    let pods = cluster.key(
        "pods",
        PODS,
        Pods::Insecure,
        "Names such as `10-0-0-1.default.pod.cluster.local`. `insecure` answers without asking whether there is such a pod, as kubeadm configures it; `verified` watches pods, which costs memory.",
    );
    let when_stale = cluster.key(
        "when_stale",
        WHEN_STALE,
        WhenStale::Answer,
        "What becomes of cluster names of a kind that the API server has not confirmed for `stale_after`. `answer`: what was known last, with EDE 3 (Stale Answer). `forward`: `cluster.dns` is asked, as before the index is synced.",
    );
    let stale_after = cluster.key(
        "stale_after",
        Span {
            range: Duration::from_secs(180)..=24 * HOUR,
            whole_seconds: true,
        },
        Duration::from_secs(300),
        "Without event, bookmark or list. An API server sends a bookmark each minute; after two without any it is asked for a list.",
    );
    let fallthrough = cluster.key(
        "fallthrough",
        list(0, 16, Zone),
        Vec::new(),
        "Zones below which names that the cluster does not know are forwarded instead of being NXDOMAIN.",
    );
    let cluster_config = Cluster {
        domain: flags.cluster_domain.clone().unwrap_or(domain),
        scope: flags.scope.unwrap_or(scope),
        dns: given(&flags.cluster_dns).unwrap_or(dns),
        endpoint_slices: flags.endpoint_slices.unwrap_or(slices),
        endpoint_names: names,
        pods,
        when_stale,
        stale_after,
        fallthrough,
        ttl: cluster.section("ttl", |section| Ttl {
            service: ttl(
                section,
                "service",
                5 * SECOND,
                "Names of ClusterIP and ExternalName services: a ClusterIP lives as long as its service.",
            ),
            pod: ttl(
                section,
                "pod",
                SECOND,
                "Names that follow pods: a dead address is given by clients' own caches for so long.",
            ),
            negative: ttl(
                section,
                "negative",
                Duration::ZERO,
                "NXDOMAIN and NODATA. 0 forbids everybody downstream to remember that a name did not exist (RFC 2308 section 5).",
            ),
        }),
    };
    cluster.require(
        cluster_config.when_stale == WhenStale::Answer || !cluster_config.dns.is_empty(),
        "when_stale forward needs the addresses of the cluster's own DNS (key dns or flag --cluster-dns): there is nobody else to ask",
    );
    cluster.require(
        cluster_config.scope == Scope::Cluster || !cluster_config.dns.is_empty(),
        "scope headless needs the addresses of the cluster's own DNS (key dns or flag --cluster-dns): names that are not below a headless service are its to answer",
    );
    cluster_config
}

fn hosts(hosts: &mut Section<'_>, domain: &NameKey) -> Hosts {
    let mut lines: HashMap<NameKey, u64> = HashMap::new();
    let entries = hosts.mappings(
        "entries",
        MAX_HOSTS,
        "Names that are answered here before anything else is looked at, and reverse names of their addresses: other types of them are NODATA, names below them are as they were. Not for names that Kubernetes gives (the cluster domain, `svc`, `pod` and what is below).",
        |host| {
            let names = host.key(
                "names",
                list(1, MAX_OF_ONE_HOST, HostName),
                Vec::new(),
                "the first for reverse answers",
            );
            let addresses = host.key(
                "addresses",
                list(1, MAX_OF_ONE_HOST, Address),
                Vec::new(),
                "of each of the names",
            );
            host.require(
                !names.is_empty() && !addresses.is_empty(),
                "a static name needs names and addresses",
            );
            let line = host.place().map_or(0, |place| place.line);
            for name in &names {
                host.require(
                    !is_kubernetes(name, domain),
                    &format!("the name `{name}` is the cluster's to give"),
                );
                if let Some(first) = lines.insert(name.clone(), line) {
                    host.require(
                        false,
                        &format!("the name `{name}` has addresses already, in line {first}"),
                    );
                }
            }
            Host { names, addresses }
        },
    );
    hosts.require(
        lines.len() <= MAX_HOSTS,
        &format!("there are more than {MAX_HOSTS} static names"),
    );
    Hosts {
        entries,
        file: hosts.key(
            "file",
            Or("null", Path),
            None,
            "More of them in the format of /etc/hosts, of at most 1 MiB, read at the start: a name has all the addresses that it has there and here. Lines that cannot be used are named in a warning and left out.",
        ),
        ttl: ttl(
            hosts,
            "ttl",
            30 * SECOND,
            "For positive and negative answers about them. Short, because whoever changes an address waits for it after the restart.",
        ),
    }
}

fn forward(forward: &mut Section<'_>, flags: &Serve, domain: &NameKey) -> Forward {
    let upstreams = forward.key(
        "upstreams",
        list(0, 16, Upstream),
        Vec::new(),
        "Servers for every name outside the cluster. Empty: those of `resolv_conf`.",
    );
    Forward {
        upstreams: given(&flags.upstream).unwrap_or(upstreams),
        routes: routes(forward, domain),
        resolv_conf: forward.key(
            "resolv_conf",
            Path,
            "/etc/resolv.conf".into(),
            "Read if `upstreams` is empty, and again whenever it changes. An address of this server in it is left out; a version that names nobody leaves the former servers.",
        ),
        tls_ca: forward.key(
            "tls_ca",
            Or("null", Path),
            None,
            "A file of PEM certificates of those who may certify servers of `tls://` and `https://`; `null`: those that the system trusts. Read at the start.",
        ),
        max_in_flight: forward.key(
            "max_in_flight",
            Count(1..=65_536),
            4096,
            "Questions under way upstream, each with up to 3 file descriptors; more are SERVFAIL at once. At 20 ms an answer this allows 200,000 a second.",
        ),
        max_in_flight_per_client: forward.key(
            "max_in_flight_per_client",
            Or("off", Count(1..=65_536)),
            Some(256),
            "Questions asked upstream for one client address, over UDP, TCP and HTTPS together; more are SERVFAIL at once, so that a pod that asks for names without end leaves places to the others. Raise it where many clients have one address.",
        ),
        max_waiters: forward.key(
            "max_waiters",
            Count(1..=65_536),
            10_000,
            "Clients that wait for the same question, asked once for all of them; more are SERVFAIL at once. A crowd that asks for one name is no attack, and as cluster DNS it is as large as the cluster; one that waits takes some 4 KiB.",
        ),
        trust_ad: forward.key(
            "trust_ad",
            Switch,
            false,
            "Whether an upstream's AD flag is passed on. Only for validating upstreams over a path that nobody else writes to (RFC 6840 section 5.8).",
        ),
        case_randomization: forward.key(
            "case_randomization",
            Switch,
            true,
            "Whether the letters of a name get random case in questions by UDP, which a reply must repeat: one more thing that a forger has to guess (draft-vixie-dnsext-dns0x20). An upstream that changes letters is noticed, and asked in lower case. Clients see their own spelling.",
        ),
    }
}

fn routes(forward: &mut Section<'_>, domain: &NameKey) -> Vec<Route> {
    let mut lines: HashMap<NameKey, u64> = HashMap::new();
    forward.mappings(
        "routes",
        256,
        "Zones with upstreams of their own, and with their own answers in the cache; the longest zone wins. They have what is not the cluster's; a zone below the cluster domain, or that of a special-use name such as `onion`, has all of its names.",
        |route| {
            let zones = route.key("zones", list(1, 64, Zone), Vec::new(), "whose names go there");
            let upstreams = route.key(
                "upstreams",
                list(1, 16, Upstream),
                Vec::new(),
                "the servers that are asked",
            );
            let trust_ad = route.key(
                "trust_ad",
                Switch,
                false,
                "as `forward.trust_ad`, `false` if left out",
            );
            route.require(
                !zones.is_empty() && !upstreams.is_empty(),
                "a route needs zones and upstreams",
            );
            route.require(
                !zones.contains(domain),
                "the cluster domain has no route: key cluster.scope says which of its names are answered here, and cluster.dns who is asked for the others",
            );
            let line = route.place().map_or(0, |place| place.line);
            for zone in &zones {
                if let Some(first) = lines.insert(zone.clone(), line) {
                    route.require(
                        false,
                        &format!("the zone `{zone}` has a route already, in line {first}"),
                    );
                }
            }
            Route {
                zones,
                upstreams,
                trust_ad,
            }
        },
    )
}

fn cache(cache: &mut Section<'_>) -> Cache {
    Cache {
        size: cache.key(
            "size",
            Size(MIB..=64 * GIB),
            64 * MIB,
            "Keys and answers together, with what the memory's bookkeeping takes; NXDOMAIN and NODATA have a quarter of it. What is used least makes room.",
        ),
        max_ttl: ttl(
            cache,
            "max_ttl",
            HOUR,
            "Upper bound for what upstreams allow. 0s keeps no answers.",
        ),
        max_negative_ttl: ttl(
            cache,
            "max_negative_ttl",
            Duration::from_secs(900),
            "The same for NXDOMAIN and NODATA (RFC 2308 section 5 finds one to three hours sensible; a new name is seen sooner with less). Those about the cluster are never kept.",
        ),
        max_stale: cache.key(
            "max_stale",
            Span {
                range: Duration::ZERO..=72 * HOUR,
                whole_seconds: true,
            },
            HOUR,
            "How long after its TTL an answer is kept, to be given with TTL 30 when upstreams fail or take longer than 1.8 s (RFC 8767, which recommends one to three days; on a node, addresses change hands sooner). 0s gives none. Negative answers about the cluster are never given so.",
        ),
        prefetch: cache.key(
            "prefetch",
            Switch,
            true,
            "Whether an answer that is asked for again and again is refreshed in the last tenth of its TTL, so that nobody waits for it. An answer costs at most one question more.",
        ),
        max_answer: cache.key(
            "max_answer",
            Size(KIB..=64 * KIB),
            8 * KIB,
            "Longer answers are passed on and not kept, so that few of them cannot displace many.",
        ),
    }
}
