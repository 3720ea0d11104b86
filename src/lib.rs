//! **gapless**: a caching DNS proxy that is authoritative for a Kubernetes cluster's names from an index fed by API
//! events, and forwards everything else through a cache.
//!
//! ```text
//! bytes ─▶ server ─▶ engine ─▶ answer ◀─ Snapshot ─ index ◀─ Change ─ feed ◀─ Kubernetes API │ manifests
//!                       │  not a cluster name
//!                       ├──────▶ cache ── hit ─▶ bytes
//!                       └ miss ▶ forward ─▶ upstreams ─▶ cache ─▶ bytes
//! ```
//!
//! Imports point down this list only; `tests/tidy.rs` holds the table.

pub mod admin;
pub mod answer;
pub mod app;
pub mod bench;
pub mod cache;
pub mod cli;
pub mod config;
pub mod convert;
pub mod engine;
pub mod feed;
pub mod forward;
pub mod handover;
pub mod index;
pub mod lifecycle;
#[cfg(all(target_arch = "x86_64", any(target_env = "musl", test)))]
mod memory;
pub mod metrics;
pub mod model;
pub mod netdev;
pub mod notices;
pub mod server;
pub mod telemetry;
pub mod wire;
