//! What each directive of CoreDNS becomes: the one place that knows them.

mod cache;
mod forward;
mod hosts;
mod kubernetes;

use super::{
    Converted, Remark,
    corefile::{self, Block, Directive},
    document::Document,
    yaml::Keys,
};
use std::collections::BTreeMap;

/// Our port for DNS, and CoreDNS's.
const PORT: &str = "53";
const CLUSTER_DOMAIN: &str = "cluster.local";

/// What NodeLocal DNSCache's installer or its program would have put there; nobody can know the others.
const PILLARS: [(&str, &str); 2] = [
    ("__PILLAR__DNS__DOMAIN__", CLUSTER_DOMAIN),
    ("__PILLAR__LOCAL__DNS__", "169.254.20.10"),
];

/// What is found so far.
#[derive(Debug, Default)]
struct Found {
    keys: Keys,
    remarks: Vec<Remark>,
    /// Zones whose servers are known, those of `.` included.
    forwards: Vec<Forwarded>,
}

/// A zone and who is asked for its names.
#[derive(Debug)]
struct Forwarded {
    zone: String,
    line: usize,
    servers: Vec<String>,
}

impl Found {
    fn remark(&mut self, line: usize, text: impl Into<String>) {
        let text = text.into();
        self.remarks.push(Remark { line, text });
    }

    /// A directive of which nothing is left.
    fn left_out(&mut self, directive: &Directive, why: &str) {
        let words = [&directive.name].into_iter().chain(&directive.arguments);
        let words: Vec<_> = words.map(String::as_str).collect();
        self.remark(directive.line, format!("`{}`: {why}", words.join(" ")));
    }
}

/// Converts a document.
pub(super) fn convert(document: &Document) -> Result<Converted, String> {
    let text = PILLARS
        .iter()
        .fold(document.corefile.clone(), |text, (name, value)| {
            text.replace(name, value)
        });
    let blocks = imported(corefile::parse(&text)?);
    let servers = !document.stub_domains.is_empty() || !document.upstreams.is_empty();
    if blocks.is_empty() && !servers {
        return Err("expected a Corefile, or a ConfigMap with `Corefile`, `stubDomains` or `upstreamNameservers`".to_owned());
    }
    let mut found = Found::default();
    for block in &blocks {
        self::block(&mut found, block);
    }
    for key in &document.unknown {
        found.remark(
            0,
            format!("`{key}` of the ConfigMap: not carried over; what it is for is not known"),
        );
    }
    let is_ours = blocks
        .iter()
        .any(|it| it.directives.iter().any(|it| it.name == "kubernetes"));
    forward::place(&mut found, is_ours, document);
    found.remarks.sort();
    found.remarks.dedup();
    let configuration = found.keys.print();
    Ok(Converted {
        configuration,
        remarks: found.remarks,
    })
}

/// The blocks of servers, with what they import from those that are none: `(NAME) { DIRECTIVES }`.
fn imported(blocks: Vec<Block>) -> Vec<Block> {
    let name = |block: &Block| {
        Some(
            block
                .keys
                .first()?
                .strip_prefix('(')?
                .strip_suffix(')')?
                .to_owned(),
        )
    };
    let (snippets, mut servers): (Vec<_>, Vec<_>) =
        blocks.into_iter().partition(|it| name(it).is_some());
    let snippets: BTreeMap<_, _> = snippets
        .into_iter()
        .map(|it| (name(&it), it.directives))
        .collect();
    for server in &mut servers {
        let directives = std::mem::take(&mut server.directives).into_iter();
        let import = |it: Directive| {
            let named = it
                .arguments
                .first()
                .filter(|_| it.name == "import")
                .cloned();
            snippets
                .get(&named)
                .filter(|_| named.is_some())
                .cloned()
                .unwrap_or_else(|| vec![it])
        };
        server.directives = directives.flat_map(import).collect();
    }
    servers
}

fn block(found: &mut Found, block: &Block) {
    let mut zones = Vec::new();
    let mut port = PORT.to_owned();
    for key in &block.keys {
        let (scheme, rest) = key.split_once("://").unwrap_or(("dns", key));
        if scheme != "dns" {
            found.remark(
                block.line,
                format!("`{key}`: not carried over; DNS over HTTPS has keys of its own (`https`)"),
            );
            continue;
        }
        let (zone, its_port) = match rest.rsplit_once(':') {
            Some((zone, port)) => (zone, port),
            None => (rest, PORT),
        };
        port = its_port.to_owned();
        zones.push(zone_name(zone));
    }
    if zones.is_empty() {
        found.remark(block.line, "nothing of this block is carried over");
        return;
    }
    if !block.directives.iter().any(|it| it.name == "bind") {
        listen(found, block.line, &["0.0.0.0".to_owned()], &port);
    }
    for directive in &block.directives {
        self::directive(found, directive, &zones, &port);
    }
}

fn directive(found: &mut Found, it: &Directive, zones: &[String], port: &str) {
    match it.name.as_str() {
        "kubernetes" => kubernetes::read(found, it, zones),
        "forward" => forward::read(found, it, zones),
        "hosts" => hosts::read(found, it),
        "cache" => cache::read(found, it, zones),
        "bind" => listen(found, it.line, &it.arguments, port),
        "health" | "ready" | "prometheus" => {
            found.keys.admin = Some("0.0.0.0:9533".to_owned());
            let path = match it.name.as_str() {
                "health" => "/livez",
                "ready" => "/readyz",
                _ => "/metrics, by other names (docs/metrics.md)",
            };
            found.left_out(it, &format!("is at `admin`, path {path}"));
        }
        // They say what we do anyway, or what nobody can see.
        "errors" | "loop" | "loadbalance" | "any" | "cancel" | "metadata" | "multisocket"
        | "minimal" => {}
        "reload" => found.left_out(
            it,
            "not carried over; the configuration is read at the start",
        ),
        "log" => found.left_out(
            it,
            "not carried over; a query leaves no line, metrics count it",
        ),
        "bufsize" => found.left_out(
            it,
            "not carried over; answers by UDP have at most 1232 octets",
        ),
        "template" | "rewrite" => {
            found.left_out(
                it,
                "not carried over; answers are not made up or changed here",
            );
        }
        "autopath" => {
            found.left_out(
                it,
                "not carried over; names of the search list are answered from the index",
            );
        }
        "import" => found.left_out(it, "not carried over; convert that file, too"),
        _ => found.left_out(it, "not carried over; there is no such thing here"),
    }
}

/// Addresses to listen at, each once.
fn listen(found: &mut Found, line: usize, addresses: &[String], port: &str) {
    for address in addresses {
        let Ok(ip) = address.parse::<std::net::IpAddr>() else {
            found.remark(
                line,
                format!("`{address}`: not carried over; `listen` takes addresses that are known"),
            );
            continue;
        };
        let listener = match port.parse() {
            Ok(port) => std::net::SocketAddr::new(ip, port).to_string(),
            Err(_) => {
                found.remark(line, format!("`{port}`: not carried over; not a port"));
                continue;
            }
        };
        if !found.keys.listen.contains(&listener) {
            found.keys.listen.push(listener);
        }
    }
}

/// A zone without its last dot; `.` stays.
fn zone_name(zone: &str) -> String {
    match zone.trim_end_matches('.') {
        "" => ".".to_owned(),
        zone => zone.to_lowercase(),
    }
}

fn is_reverse(zone: &str) -> bool {
    zone == "arpa" || zone.ends_with(".arpa")
}

/// A time of CoreDNS: seconds, or with a unit.
fn seconds(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let number: u64 = number.parse().ok()?;
    let factors: BTreeMap<&str, u64> = [("s", 1), ("m", 60), ("h", 3600)].into();
    number.checked_mul(*factors.get(unit)?)
}
