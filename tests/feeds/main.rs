//! Both feeds keep one contract: the same histories over a directory and over an API server, then what only one of them
//! can meet.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/api_server.rs"]
mod api_server;
mod histories;
mod kube;
mod manifests;
mod view;
