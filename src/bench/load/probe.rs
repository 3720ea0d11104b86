//! One query to one server over UDP, three times at the most: is anybody there?

use crate::{bench::questions::Question, server::unspecified_like};
use anyhow::{Context as _, bail};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::UdpSocket, time::timeout};

const TRIES: u16 = 3;
const WITHIN: Duration = Duration::from_secs(1);

/// The reply to a question.
pub(super) async fn ask(server: SocketAddr, question: &Question) -> anyhow::Result<Vec<u8>> {
    let socket = UdpSocket::bind((unspecified_like(server.ip()), 0)).await?;
    socket.connect(server).await?;
    let (mut query, mut reply) = (vec![], vec![0; 4096]);
    for id in 1..=TRIES {
        question.write(id, None, &mut query);
        socket.send(&query).await?;
        let answered = async {
            loop {
                let len = socket.recv(&mut reply).await?;
                if reply[..2] == id.to_be_bytes() && question.is_repeated_by(None, &reply[..len]) {
                    return Ok::<_, std::io::Error>(len);
                }
            }
        };
        if let Ok(answered) = timeout(WITHIN, answered).await {
            let len = answered.context("nobody listens there over UDP")?;
            reply.truncate(len);
            return Ok(reply);
        }
    }
    bail!(
        "no answer to {TRIES} queries for {} within {} s",
        question.text(),
        u64::from(TRIES) * WITHIN.as_secs()
    )
}
