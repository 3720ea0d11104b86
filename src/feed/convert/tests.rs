//! Objects as the API gives them, and what of them reaches the model.

use super::*;
use serde_json::{Value, json};

fn object(source: Source, value: &Value) -> Object {
    convert(source, &value.to_string())
        .unwrap()
        .object
        .expect("an object")
}

fn malformed(source: Source, value: &Value) -> String {
    convert(source, &value.to_string()).unwrap_err().to_string()
}

fn service(spec: Value) -> Value {
    json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": spec})
}

fn kind_of(spec: Value) -> ServiceKind {
    match object(Source::Services, &service(spec)) {
        Object::Service(service) => service.kind,
        other => panic!("{other:?}"),
    }
}

fn slice(fields: Value) -> Value {
    let mut slice = json!({
        "metadata": {
            "namespace": "shop", "name": "web-1.a",
            "labels": {"kubernetes.io/service-name": "web", "other": "label"},
            "managedFields": [{"deep": {"er": []}}],
        },
        "addressType": "IPv4",
    });
    for (name, value) in fields.as_object().unwrap() {
        slice[name] = value.clone();
    }
    slice
}

fn endpoints_of(fields: Value) -> Box<[Endpoint]> {
    match object(Source::EndpointSlices, &slice(fields)) {
        Object::EndpointSlice(slice) => slice.endpoints,
        other => panic!("{other:?}"),
    }
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn ips(texts: &[&str]) -> Box<[IpAddr]> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_service_is_its_cluster_ips_of_both_families() {
    assert_eq!(
        kind_of(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]})),
        ServiceKind::ClusterIp(ips(&["10.0.0.1", "fd00::1"]))
    );
    assert_eq!(
        kind_of(json!({"clusterIP": "10.0.0.1", "clusterIPs": null})),
        ServiceKind::ClusterIp(ips(&["10.0.0.1"]))
    );
}

#[test]
fn a_service_without_cluster_ip_yet_exists_without_addresses() {
    for spec in [
        json!({}),
        json!(null),
        json!({"clusterIP": ""}),
        json!({"clusterIP": null, "ports": null}),
    ] {
        assert_eq!(kind_of(spec), ServiceKind::ClusterIp(Box::default()));
    }
}

#[test]
fn a_service_of_cluster_ip_none_is_headless() {
    assert_eq!(kind_of(json!({"clusterIP": "None"})), ServiceKind::Headless);
    assert_eq!(
        kind_of(json!({"clusterIPs": ["None"]})),
        ServiceKind::Headless
    );
}

#[test]
fn an_external_name_is_lower_cased_wire_form() {
    for name in ["Example.COM", "example.com."] {
        assert_eq!(
            kind_of(json!({"type": "ExternalName", "externalName": name})),
            ServiceKind::ExternalName((*b"\x07example\x03com\x00").into())
        );
    }
    let long = vec!["x".repeat(63); 4].join(".");
    for bad in ["", ".", "a..b", "a b", &long] {
        let spec = json!({"type": "ExternalName", "externalName": bad});
        assert_eq!(
            malformed(Source::Services, &service(spec)),
            format!("shop/web: spec.externalName: `{bad:.80}` is not a domain name")
        );
    }
}

#[test]
fn ports_default_to_tcp_and_unknown_protocols_are_left_out() {
    let ports = json!([
        {"name": "HTTP", "port": 80},
        {"name": "", "port": 53, "protocol": "UDP"},
        {"port": 9, "protocol": "SCTP", "targetPort": "x", "nodePort": 30000},
        {"name": "new", "port": 1, "protocol": "QUIC"},
        {"name": "null", "port": null},
    ]);
    let port = |name: Option<&str>, protocol, number| Port {
        name: name.map(label),
        protocol,
        number,
    };
    assert_eq!(
        object(
            Source::Services,
            &service(json!({"clusterIP": "None", "ports": ports}))
        ),
        Object::Service(Service {
            key: ObjectKey::new("shop", "web"),
            kind: ServiceKind::Headless,
            ports: [
                port(Some("http"), Protocol::Tcp, 80),
                port(None, Protocol::Udp, 53),
                port(None, Protocol::Sctp, 9)
            ]
            .into(),
        })
    );
}

#[test]
fn a_malformed_object_is_named_with_its_field_and_what_was_expected() {
    let ports = json!({"ports": [{"port": 80}, {"port": 70000}]});
    assert_eq!(
        malformed(Source::Services, &service(ports)),
        "shop/web: spec.ports[1].port: invalid value: integer `70000`, expected u16"
    );
    assert_eq!(
        malformed(
            Source::Services,
            &service(json!({"clusterIPs": ["10.0.0.256"]}))
        ),
        "shop/web: spec.clusterIPs: `10.0.0.256` is not an IP address"
    );
    assert_eq!(
        malformed(
            Source::Services,
            &json!({"metadata": {"namespace": "shop", "name": "We.b"}})
        ),
        "shop/We.b: metadata.name: `We.b` is not a DNS label (1 to 63 of a-z, 0-9 and -)"
    );
    assert_eq!(
        malformed(Source::Pods, &json!({"metadata": {"namespace": "shop"}})),
        "shop/: metadata.name: expected a name"
    );
    assert_eq!(
        malformed(Source::Namespaces, &json!({"kind": "Namespace"})),
        ": .: missing field `metadata`"
    );
    for text in ["", "nul", "[]", "{\"metadata\": {}} x", "\u{0}"] {
        assert!(convert(Source::Services, text).is_err(), "{text}");
    }
}

#[test]
fn a_slice_of_no_service_is_no_object() {
    let mut unlabelled = slice(json!({}));
    unlabelled["metadata"]["labels"] = json!(null);
    assert_eq!(
        convert(Source::EndpointSlices, &unlabelled.to_string()),
        Ok(Converted {
            key: ObjectKey::new("shop", "web-1.a"),
            version: None,
            object: None,
            triggered: None,
            ignored: Vec::new()
        })
    );
}

#[test]
fn a_slice_says_when_that_happened_for_which_it_was_changed() {
    let triggered = |time: Value| {
        let mut annotated = slice(json!({}));
        annotated["metadata"]["annotations"] =
            json!({"endpoints.kubernetes.io/last-change-trigger-time": time, "other": "text"});
        let converted = convert(Source::EndpointSlices, &annotated.to_string()).unwrap();
        converted.triggered
    };
    let time = Duration::from_millis(1_767_225_600_250);
    assert_eq!(triggered(json!("2026-01-01T00:00:00.25Z")), Some(time));
    for none in [
        json!(null),
        json!("yesterday"),
        json!("1950-01-01T00:00:00Z"),
    ] {
        assert_eq!(triggered(none), None);
    }
}

#[test]
fn absent_readiness_is_ready_unless_the_endpoint_terminates() {
    let ready = |conditions: Value| {
        let endpoint = json!({"addresses": ["10.1.0.1"], "conditions": conditions});
        endpoints_of(json!({"endpoints": [endpoint]}))[0].ready
    };
    assert!(ready(json!(null)));
    assert!(ready(json!({"ready": null})));
    assert!(ready(json!({"ready": true, "terminating": true})));
    assert!(!ready(json!({"ready": false})));
    assert!(!ready(json!({"serving": true, "terminating": true})));
}

#[test]
fn an_endpoint_keeps_its_hostname_and_its_pod_where_they_are_labels() {
    let endpoint = |hostname: Value, target: Value| {
        let endpoint =
            json!({"addresses": ["10.1.0.1"], "hostname": hostname, "targetRef": target});
        endpoints_of(json!({"endpoints": [endpoint]}))[0].clone()
    };
    let plain = Endpoint {
        addresses: ips(&["10.1.0.1"]),
        hostname: None,
        pod: None,
        ready: true,
    };
    let named = Endpoint {
        hostname: Some(label("web-0")),
        pod: Some(label("web-0")),
        ..plain.clone()
    };
    assert_eq!(
        endpoint(json!("web-0"), json!({"kind": "Pod", "name": "web-0"})),
        named
    );
    assert_eq!(
        endpoint(json!(null), json!({"kind": "Node", "name": "web-0"})),
        plain
    );
    assert_eq!(
        endpoint(json!(""), json!({"kind": "Pod", "name": "a.b"})),
        plain
    );
}

#[test]
fn a_hostname_that_is_no_label_is_ignored_and_named() {
    let endpoints = json!([{"addresses": ["10.1.0.1"], "hostname": "Web_0!"}]);
    let text = slice(json!({"endpoints": endpoints})).to_string();
    let converted = convert(Source::ForeignEndpointSlices, &text).unwrap();
    assert!(converted.object.is_some());
    assert_eq!(converted.ignored.len(), 1);
    assert_eq!(converted.ignored[0].field, "endpoints[0].hostname");
}

#[test]
fn a_slice_of_names_or_of_an_unknown_kind_has_no_endpoints() {
    for address_type in ["FQDN", "", "IPv8"] {
        let endpoints = json!([{"addresses": ["example.com"]}]);
        let fields = json!({"addressType": address_type, "endpoints": endpoints});
        assert_eq!(endpoints_of(fields), Box::default());
    }
    assert_eq!(
        endpoints_of(json!({"endpoints": null, "ports": null})),
        Box::default()
    );
}

#[test]
fn an_address_that_is_not_of_the_slices_family_makes_the_slice_malformed() {
    for bad in ["fd00::1", "10.1.0", ""] {
        let endpoints = json!([{"addresses": ["10.1.0.1"]}, {"addresses": [bad]}]);
        assert_eq!(
            malformed(
                Source::EndpointSlices,
                &slice(json!({"endpoints": endpoints}))
            ),
            format!(
                "shop/web-1.a: endpoints[1].addresses: \
                 `{bad}` is not an address of the slice's addressType"
            )
        );
    }
}

#[test]
fn a_pod_is_its_addresses_while_it_runs() {
    let pod = |status: Value| {
        let pod = json!({"metadata": {"namespace": "shop", "name": "web-0"}, "status": status});
        convert(Source::Pods, &pod.to_string()).unwrap().object
    };
    let running = |addresses: &[&str]| {
        Some(Object::Pod(Pod {
            key: ObjectKey::new("shop", "web-0"),
            addresses: ips(addresses),
        }))
    };
    let both = json!([{"ip": "10.1.0.1"}, {"ip": "fd00::1"}]);
    assert_eq!(
        pod(json!({"phase": "Running", "podIP": "10.1.0.1", "podIPs": both})),
        running(&["10.1.0.1", "fd00::1"])
    );
    assert_eq!(pod(json!({"podIP": "10.1.0.1"})), running(&["10.1.0.1"]));
    assert_eq!(pod(json!({"phase": "Succeeded", "podIPs": both})), None);
    assert_eq!(pod(json!({"phase": "Pending", "podIPs": null})), None);
    let leaving = json!({
        "metadata": {"namespace": "a", "name": "b", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"podIP": "10.1.0.1"},
    });
    assert_eq!(
        convert(Source::Pods, &leaving.to_string()).unwrap().object,
        None
    );
}

#[test]
fn the_key_of_a_deleted_object_is_read_from_whatever_else_it_holds() {
    let text = service(json!({"ports": "malformed"})).to_string();
    assert_eq!(
        key(Source::Services, &text).map(|it| it.key),
        Ok(ObjectKey::new("shop", "web"))
    );
}

#[test]
fn no_text_makes_it_panic() {
    let endpoints = json!([{"addresses": ["10.1.0.1"], "hostname": "a", "conditions": {}}]);
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    let whole = slice(json!({"endpoints": endpoints, "ports": ports, "spec": {"ports": ports}}));
    let whole = whole.to_string();
    for at in 0..whole.len() {
        let (before, after) = (&whole[..at], &whole[at + 1..]);
        for put in [
            "", "\"", "}", "[", "0", "-", "\\", "\u{0}", "null", "\u{e9}",
        ] {
            for text in [before.to_owned(), format!("{before}{put}{after}")] {
                for source in Source::ALL {
                    drop(convert(source, &text));
                    drop(key(source, &text));
                }
            }
        }
    }
}
