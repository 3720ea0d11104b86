//! The text of one file, taken apart into the objects that matter. It knows manifests' outer form: documents, lists,
//! kinds and default namespaces.

use super::derive;
use crate::{
    feed::{Rejections, convert},
    model::{Object, ObjectKey, Source},
};
use serde_json::Value;
use std::path::Path;

/// Most documents of a file: `---` costs four bytes, a document some hundred.
const MAX_DOCUMENTS: usize = 50_000;
/// Most YAML nodes of a file: at four bytes each, as many as the largest file can hold in earnest.
const MAX_NODES: usize = 4_000_000;
/// Deepest nesting. Kubernetes objects without their own schemas stay below twenty.
const MAX_DEPTH: usize = 64;
/// Most anchors and aliases; kubectl writes none, people a handful.
const MAX_ALIASES: usize = 1_000;
/// Most nodes that aliases may repeat in all, so that a few lines cannot grow into millions.
const MAX_REPEATED_NODES: usize = 50_000;

/// One object of a file.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) source: Source,
    pub(super) key: ObjectKey,
    /// `None` if it is no object of DNS.
    pub(super) object: Option<Object>,
    /// What endpoints are derived from.
    pub(super) facts: derive::Facts,
}

/// Takes a file apart. The error says where the text is no YAML or JSON; objects that are malformed in themselves are
/// rejected one by one.
pub(super) fn parse(path: &Path, text: &str, rejections: &Rejections) -> Result<Vec<Item>, String> {
    let mut pending = if path.extension().is_some_and(|ending| ending == "json") {
        json(text)?
    } else {
        yaml(text)?
    };
    pending.reverse();
    let mut items = Vec::new();
    while let Some(mut value) = pending.pop() {
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let source = match (text("apiVersion"), text("kind")) {
            (Some("v1"), Some("List")) => {
                if let Some(Value::Array(listed)) = value.get_mut("items").map(Value::take) {
                    pending.extend(listed.into_iter().rev());
                }
                continue;
            }
            (Some("v1"), Some("Service")) => Source::Services,
            (Some("v1"), Some("Namespace")) => Source::Namespaces,
            (Some("v1"), Some("Pod")) => Source::Pods,
            (Some("discovery.k8s.io/v1"), Some("EndpointSlice")) => Source::EndpointSlices,
            _ => continue,
        };
        let item = item(source, value, rejections);
        if item.key.name.is_empty() {
            // Not an object that is wrong, but the rest of one: the file may be half written.
            return Err(format!(
                "expected every object to have a metadata.name, one of {} has none",
                source.name()
            ));
        }
        items.push(item);
    }
    Ok(items)
}

fn item(source: Source, mut value: Value, rejections: &Rejections) -> Item {
    if source != Source::Namespaces
        && let Some(Value::Object(metadata)) = value.get_mut("metadata")
    {
        let namespace = metadata.entry("namespace").or_insert(Value::Null);
        if namespace.is_null() {
            *namespace = "default".into();
        }
    }
    let text = value.to_string();
    let converted = convert::convert(source, &text);
    let (key, object) = match converted {
        Ok(converted) => {
            for ignored in &converted.ignored {
                rejections.ignore(source, ignored);
            }
            (converted.key, converted.object)
        }
        Err(malformed) => {
            rejections.reject(source, &malformed);
            return Item {
                source,
                key: malformed.key,
                object: convert::remnant(source, &text),
                facts: derive::Facts::None,
            };
        }
    };
    let facts = derive::Facts::of(source, value).unwrap_or_else(|error| {
        let malformed = convert::Malformed {
            key: key.clone(),
            field: "selector, ports, labels, conditions or containers".to_owned(),
            expected: format!("no endpoints can be derived: {error}"),
        };
        rejections.ignore(source, &malformed);
        derive::Facts::None
    });
    Item {
        source,
        key,
        object,
        facts,
    }
}

fn json(text: &str) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter() {
        documents.push(document.map_err(|error| format!("expected JSON: {error}"))?);
        if documents.len() > MAX_DOCUMENTS {
            return Err(format!("expected at most {MAX_DOCUMENTS} documents"));
        }
    }
    Ok(documents)
}

fn yaml(text: &str) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_documents: MAX_DOCUMENTS,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_depth: MAX_DEPTH,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPEATED_NODES,
        },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let message = error.without_snippet().to_string();
        match error.location() {
            Some(at) if !message.contains("line") => {
                format!("line {}, column {}: {message}", at.line(), at.column())
            }
            _ => message,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn rejections() -> Rejections {
        let mut registry = prometheus_client::registry::Registry::default();
        Rejections::new(Metrics::new(&mut registry).feed)
    }

    fn keys(path: &str, text: &str) -> Vec<String> {
        let items = parse(Path::new(path), text, &rejections()).unwrap();
        let shown = |item: &Item| {
            let known = match item.object {
                None => " (none)",
                Some(Object::Unreadable(_)) => " (unreadable)",
                Some(_) => "",
            };
            format!("{} {}{known}", item.source.name(), item.key)
        };
        items.iter().map(shown).collect()
    }

    #[test]
    fn documents_and_lists_are_taken_apart_in_order() {
        let text = "
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: v1
  kind: List
  items:
  - {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: None}}
---
# nothing
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
---
{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: other}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1}, addressType: IPv4}
---
{apiVersion: v1, kind: Service, metadata: {name: bad}, spec: {clusterIP: nonsense}}
";
        assert_eq!(
            keys("all.yaml", text),
            [
                "namespaces shop",
                "services shop/web",
                "endpointslices default/web-1 (none)",
                "services default/bad (unreadable)"
            ]
        );
    }

    #[test]
    fn json_files_hold_one_document_behind_the_other() {
        let text = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}
	{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b"}}"#;
        assert_eq!(keys("all.json", text), ["namespaces a", "namespaces b"]);
    }

    #[test]
    fn text_that_does_not_parse_is_an_error_with_line_and_column() {
        for (path, text) in [
            ("a.yaml", "kind: Service\nmetadata: {name: [web\n"),
            ("a.yaml", "kind: Service\n\tbad: tab\n"),
            ("a.json", "{\"kind\": \n x}"),
        ] {
            let error = parse(Path::new(path), text, &rejections()).unwrap_err();
            assert!(
                error.contains("line") && error.contains("column"),
                "{error}"
            );
        }
    }

    #[test]
    fn nesting_and_aliases_are_bounded() {
        let deep = format!("a: {}{}", "[".repeat(1_000), "]".repeat(1_000));
        assert!(yaml(&deep).is_err());
        let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(9);
            laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(yaml(&laughs).is_err());
    }
}
