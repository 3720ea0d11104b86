//! The composition root.

/// Runs the server until it is told to stop.
pub fn run(config: crate::config::Config) -> anyhow::Result<()> {
    anyhow::bail!("not composed yet: {config:?}")
}
