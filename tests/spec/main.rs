//! The specification battery: one module per clause, cases as manifests in and zone-file lines out. Each case goes over
//! the synchronous path, the asynchronous path, UDP and TCP. `docs/spec-coverage.md` maps clauses to these tests.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking, and its modules have no other reader"
)]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod stage;

mod cluster_apex;
mod forwarded;
mod hosts;
mod k8s_2_2_version;
mod k8s_2_3_cluster_ip;
mod k8s_2_4_headless;
mod k8s_2_5_external_name;
mod not_synced;
mod pod_names;
mod rfc1035_messages;
mod rfc2308_negative;
mod rfc6761_special_names;
mod rfc6891_edns;
mod rfc7766_stream;
mod rfc8020_non_terminals;
mod rfc8482_any;
mod routes;
mod scopes;
mod search_lists;
