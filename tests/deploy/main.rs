//! The manifests of `deploy/`: that they are what we say, and that an API server takes them. What needs one is ignored by
//! a plain run; `tests/control-plane/build --with-kubectl` prepares the programs.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "a test fails by panicking, and uses a part of what others stand on"
)]

#[path = "../support/control_plane/mod.rs"]
mod control_plane;
#[path = "../support/mod.rs"]
mod support;

mod admission;
mod answers;
mod chart;
mod files;
#[path = "../api_server/gapless.rs"]
mod gapless;
mod image;
mod migration;
mod node;
mod objects;
mod pods;
mod render;
