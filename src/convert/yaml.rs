//! A configuration written as YAML: only what was found, in the order of our documentation.

use std::{collections::BTreeMap, fmt::Write as _};

/// What becomes keys; what is empty is left to its default.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) listen: Vec<String>,
    pub(super) admin: Option<String>,
    pub(super) kubeconfig: Option<String>,
    pub(super) context: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) dns: Vec<String>,
    /// `endpoint_slices`, `endpoint_names`, `pods`.
    pub(super) cluster: BTreeMap<&'static str, String>,
    pub(super) service_ttl: Option<String>,
    pub(super) fallthrough: Vec<String>,
    /// Names and their addresses.
    pub(super) hosts: Vec<(Vec<String>, Vec<String>)>,
    pub(super) hosts_file: Option<String>,
    pub(super) hosts_ttl: Option<String>,
    pub(super) upstreams: Vec<String>,
    /// Zones and their servers.
    pub(super) routes: Vec<(Vec<String>, Vec<String>)>,
    pub(super) resolv_conf: Option<String>,
    pub(super) tls_ca: Option<String>,
    pub(super) max_in_flight: Option<String>,
    /// `max_ttl`, `max_negative_ttl`, `max_stale`.
    pub(super) cache: BTreeMap<&'static str, String>,
}

impl Keys {
    /// The document.
    pub(super) fn print(&self) -> String {
        let mut text = String::new();
        list(&mut text, "", "listen", &self.listen);
        value(&mut text, "", "admin", self.admin.as_deref());
        section(&mut text, "source", |text| {
            value(text, "  ", "kubeconfig", self.kubeconfig.as_deref());
            value(text, "  ", "context", self.context.as_deref());
        });
        section(&mut text, "cluster", |text| {
            value(text, "  ", "domain", self.domain.as_deref());
            list(text, "  ", "dns", &self.dns);
            for (key, it) in &self.cluster {
                value(text, "  ", key, Some(it));
            }
            list(text, "  ", "fallthrough", &self.fallthrough);
            if let Some(ttl) = &self.service_ttl {
                text.push_str("  ttl:\n");
                value(text, "    ", "service", Some(ttl));
            }
        });
        section(&mut text, "hosts", |text| {
            pairs(text, "entries", ["names", "addresses"], &self.hosts);
            value(text, "  ", "file", self.hosts_file.as_deref());
            value(text, "  ", "ttl", self.hosts_ttl.as_deref());
        });
        section(&mut text, "forward", |text| {
            list(text, "  ", "upstreams", &self.upstreams);
            pairs(text, "routes", ["zones", "upstreams"], &self.routes);
            value(text, "  ", "resolv_conf", self.resolv_conf.as_deref());
            value(text, "  ", "tls_ca", self.tls_ca.as_deref());
            value(text, "  ", "max_in_flight", self.max_in_flight.as_deref());
        });
        section(&mut text, "cache", |text| {
            for (key, it) in &self.cache {
                value(text, "  ", key, Some(it));
            }
        });
        text
    }
}

fn section(text: &mut String, name: &str, fill: impl FnOnce(&mut String)) {
    let mut keys = String::new();
    fill(&mut keys);
    if !keys.is_empty() {
        write!(text, "{name}:\n{keys}").expect("a String takes everything");
    }
}

fn value(text: &mut String, indent: &str, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        writeln!(text, "{indent}{key}: {}", word(value)).expect("a String takes everything");
    }
}

fn list(text: &mut String, indent: &str, key: &str, values: &[String]) {
    if !values.is_empty() {
        writeln!(text, "{indent}{key}: {}", words(values)).expect("a String takes everything");
    }
}

fn pairs(text: &mut String, key: &str, names: [&str; 2], members: &[(Vec<String>, Vec<String>)]) {
    if !members.is_empty() {
        writeln!(text, "  {key}:").expect("a String takes everything");
    }
    for (first, second) in members {
        let [a, b] = names;
        writeln!(
            text,
            "    - {a}: {}\n      {b}: {}",
            words(first),
            words(second)
        )
        .expect("a String takes everything");
    }
}

fn words(values: &[String]) -> String {
    let words: Vec<_> = values.iter().map(|value| word(value)).collect();
    format!("[{}]", words.join(", "))
}

/// Plain where nobody could read it as something else: JSON's strings are YAML's.
fn word(text: &str) -> String {
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:#".contains(c);
    let unclear =
        ["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
    if starts && text.chars().all(plain) && !text.ends_with(':') && !unclear {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
