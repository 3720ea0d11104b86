//! File descriptors: how many the configuration can need, and the process's limit raised as far as it may be. It opens
//! none.

use super::options;
use crate::{config::Config, forward::SENDS};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open beside: the runtime's and the logs' (10), watches of the API server or of a directory (5), connections to
/// the admin server (32), files while they are read; and as many again.
const OTHERS: usize = 100;

/// Raises the soft limit of open files to the hard one, and says so if the configuration can need more.
pub(super) fn raise_limit(config: &Config) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!("the limit of open files stays as it is: {error}");
            current
        }
    };
    let needed = needed(config);
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        tracing::warn!(
            "at most {limit} files can be open, and the configuration can need {needed}; expected a higher hard limit \
             (RLIMIT_NOFILE), or lower forward.max_in_flight and tcp.max_connections"
        );
    }
}

/// Files open at once with every limit of the configuration reached.
fn needed(config: &Config) -> u64 {
    let upstream = SENDS * config.forward.max_in_flight;
    let listeners = config.listen.len() * (options::server(config).udp_workers + 1);
    (upstream + config.tcp.max_connections + listeners + OTHERS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_the_configuration_counts() {
        let mut config = Config::default();
        config.udp.workers = Some(2);
        assert_eq!(needed(&config), 3 * 4096 + 256 + 3 + 100);
        config.listen.push(config.listen[0]);
        config.tcp.max_connections = 1;
        config.forward.max_in_flight = 10;
        assert_eq!(needed(&config), 30 + 1 + 6 + 100);
    }
}
