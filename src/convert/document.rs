//! Where a Corefile stands: in a file of its own, or in a ConfigMap among other manifests.

use serde_json::Value;
use std::collections::BTreeMap;

/// What there is to convert.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) corefile: String,
    /// Domains and their servers, as kube-dns's ConfigMap has them.
    pub(super) stub_domains: BTreeMap<String, Vec<String>>,
    /// Servers for everything else, likewise.
    pub(super) upstreams: Vec<String>,
    /// Keys of a ConfigMap that are neither.
    pub(super) unknown: Vec<String>,
}

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Document, String> {
    let mut document = Document::default();
    let maps: Vec<_> = manifests(text)
        .iter()
        .flat_map(config_maps)
        .cloned()
        .collect();
    if maps.is_empty() {
        document.corefile = text.to_owned();
        return Ok(document);
    }
    for (key, value) in maps
        .iter()
        .filter_map(|map| map["data"].as_object())
        .flatten()
    {
        let value = value.as_str().unwrap_or_default();
        let json = |error| format!("{key}: not the JSON that kube-dns reads: {error}");
        match key.as_str() {
            "stubDomains" => document.stub_domains = serde_json::from_str(value).map_err(json)?,
            "upstreamNameservers" => {
                document.upstreams = serde_json::from_str(value).map_err(json)?
            }
            // Lines count from the first: what is appended has none of its own to be found by.
            key if key == "Corefile" || key.ends_with(".server") => {
                document.corefile.push_str(value);
                document.corefile.push('\n');
            }
            key => document.unknown.push(key.to_owned()),
        }
    }
    Ok(document)
}

/// The objects of a file, if that is what it holds. A Corefile is no mapping with a kind.
fn manifests(text: &str) -> Vec<Value> {
    let documents = serde_saphyr::from_multiple::<Value>(text).unwrap_or_default();
    if documents.iter().any(|it| it.get("kind").is_some()) {
        documents
    } else {
        Vec::new()
    }
}

fn config_maps(object: &Value) -> Vec<&Value> {
    match object["kind"].as_str() {
        Some("ConfigMap") => vec![object],
        Some("List" | "ConfigMapList") => {
            let items = object["items"].as_array().into_iter().flatten();
            items.flat_map(config_maps).collect()
        }
        _ => Vec::new(),
    }
}
