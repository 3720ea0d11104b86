//! Manifests as values, and what tests ask of them.

use serde_json::Value;

/// Every document of a YAML text; empty ones are left out.
pub fn parse(text: &str) -> Result<Vec<Value>, String> {
    let documents =
        serde_saphyr::from_multiple::<Value>(text).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().filter(|it| !it.is_null()).collect())
}

/// The text at a JSON pointer, or nothing.
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// `KIND NAME`.
pub fn title(object: &Value) -> String {
    format!(
        "{} {}",
        text(object, "/kind"),
        text(object, "/metadata/name")
    )
}

/// The members of a list, or none.
pub fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    let members = value.pointer(pointer).and_then(Value::as_array);
    members.into_iter().flatten()
}

/// The pod that an object makes, with its namespace: a workload's template, or the object itself.
pub fn pod(object: &Value) -> Option<Value> {
    let template = match text(object, "/kind") {
        "Pod" => object,
        _ => object.pointer("/spec/template")?,
    };
    let mut pod = template.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = object["metadata"]["name"].clone();
    pod["metadata"]["namespace"] = object["metadata"]["namespace"].clone();
    Some(pod)
}

/// All containers of a pod, those that come first included.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(pod, "/spec/initContainers").chain(list(pod, "/spec/containers"))
}

/// The containers that run our image.
pub fn ours(pod: &Value) -> impl Iterator<Item = &Value> {
    containers(pod).filter(|container| {
        let image = text(container, "/image");
        image
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .starts_with("gapless:")
    })
}
