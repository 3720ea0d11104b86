//! musl 1.2.4 and later (`src/network/lookup_name.c`, `res_msend.c`): A and AAAA from one port to every server at once.

use super::{
    Conf, Lookup, NXDOMAIN, Network, Outcome, Pair, Reply, SERVFAIL, Socket, converse, dots,
};
use crate::wire::rtype;
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

/// With enough dots as it is and nothing else; otherwise below each domain, and then as it is. NODATA ends the search.
pub(super) async fn look_up(name: &str, conf: &Conf, network: &impl Network) -> Lookup {
    let mut candidates = vec![];
    if dots(name) < conf.ndots && !name.ends_with('.') {
        let search = conf.search.iter();
        candidates.extend(search.map(|domain| format!("{name}.{domain}")));
    }
    candidates.push(name.to_owned());
    let mut queries = 0;
    for candidate in candidates {
        // What is no name, such as one below the search domain `.`, does not exist.
        let Some(pair) = Pair::new(&candidate, &[rtype::A, rtype::AAAA], false) else {
            continue;
        };
        let replies = ask(&pair, conf, network, &mut queries).await;
        if let Some(outcome) = outcome(replies) {
            return Lookup { outcome, queries };
        }
    }
    let outcome = Outcome::NotFound;
    Lookup { outcome, queries }
}

/// What ends the search. Both have to be answered, whatever the other says.
fn outcome(replies: [Option<Reply>; 2]) -> Option<Outcome> {
    for reply in replies {
        match reply.map(|it| it.rcode) {
            Some(0) => {}
            Some(NXDOMAIN) => return None,
            _ => return Some(Outcome::Failed),
        }
    }
    match replies.into_iter().flatten().any(|it| it.address) {
        true => Some(Outcome::Found),
        false => Some(Outcome::NotFound),
    }
}

/// What is not answered is asked again after `timeout` / `attempts`. The first answer counts; the rest of a truncated one is asked
/// for over TCP, once.
async fn ask(
    pair: &Pair,
    conf: &Conf,
    network: &impl Network,
    queries: &mut u32,
) -> [Option<Reply>; 2] {
    let mut replies = [None; 2];
    let Ok(socket) = network.open(conf.servers[0]).await else {
        return replies;
    };
    let mut truncated = [false; 2];
    let mut streams = FuturesUnordered::new();
    let mut packet = vec![0; super::DATAGRAM_MAX];
    let began = Instant::now();
    for attempt in 1..=conf.attempts {
        for nth in (0..2).filter(|nth| replies[*nth].is_none() && !truncated[*nth]) {
            for server in &conf.servers {
                *queries += 1;
                // What is not sent is not answered.
                drop(socket.send(&pair.query(nth), *server).await);
            }
        }
        let until = began + conf.timeout * attempt / conf.attempts;
        let mut again = 4; // twice the queries
        while replies.iter().any(Option::is_none) {
            let (reply, from) = tokio::select! {
                () = sleep_until(until) => break,
                Some(over_tcp) = streams.next() => match over_tcp {
                    Ok(said) => {
                        let said: Vec<Reply> = said;
                        replies[said[0].nth] = Some(said[0]);
                        continue;
                    }
                    Err(_) => return replies,
                },
                received = socket.receive(&mut packet) => {
                    // An error is about an earlier datagram: nobody listens there.
                    let Ok((len, from)) = received else { continue };
                    let Some(reply) = pair.read(&packet[..len]) else { continue };
                    (reply, from)
                }
            };
            let nth = reply.nth;
            if replies[nth].is_some() || truncated[nth] || !conf.servers.contains(&from) {
                continue;
            }
            match reply.rcode {
                0 | NXDOMAIN if reply.truncated => {
                    truncated[nth] = true;
                    *queries += 1;
                    streams.push(converse(network, from, pair, nth..nth + 1));
                }
                0 | NXDOMAIN => replies[nth] = Some(reply),
                SERVFAIL if again > 0 => {
                    again -= 1;
                    *queries += 1;
                    drop(socket.send(&pair.query(nth), from).await);
                }
                // Others are no answers.
                _ => {}
            }
        }
    }
    replies
}
