//! Many questions over one stream (RFC 1035 §4.2.2, RFC 7766): two octets of length, then a message; replies in any order,
//! told apart by ID. No ID is used twice on a connection, so that a late reply is nobody else's. It knows the stream as octets
//! only, so that TLS can lie beneath.

use super::connection::{Driver, Ended, QUESTIONS_MAX, Question};
use crate::metrics::{Forward, Ignored};
use std::{collections::HashMap, io, pin::pin};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    sync::oneshot,
    time::{Instant, sleep_until},
};

/// What a connection reads at a time, and the room that it keeps between messages.
const READ_BYTES: usize = 4096;
/// Questions are taken from their queue while less than this waits to be written.
const OUTPUT_BYTES: usize = 16_384;
/// Every ID once.
const IDS: usize = 65_536;

/// The questions and replies of one connection.
struct Exchange<'a> {
    metrics: &'a Forward,
    /// That of the first question; the others follow it.
    first_id: u16,
    /// Questions so far, and so IDs.
    asked: usize,
    waiting: HashMap<u16, oneshot::Sender<io::Result<Vec<u8>>>>,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// Carries questions over a stream to its end.
pub(super) async fn drive(
    stream: impl AsyncRead + AsyncWrite,
    driver: &mut Driver,
    metrics: &Forward,
) -> Ended {
    let (mut reader, mut writer) = split(stream);
    let mut exchange = Exchange {
        metrics,
        first_id: 0,
        asked: 0,
        waiting: HashMap::new(),
        input: Vec::with_capacity(READ_BYTES),
        output: Vec::new(),
    };
    let mut used_at = Instant::now();
    let mut written = 0;
    let mut flushed = true;
    let mut leaving = None;
    let mut timer = pin!(sleep_until(used_at));
    let ended = loop {
        if exchange.waiting.is_empty()
            && flushed
            && let Some(ended) = leaving.take()
        {
            break ended;
        }
        let (end_at, without_news) = Ended::without_news(&driver.pulse, used_at);
        if timer.deadline() != end_at {
            timer.as_mut().reset(end_at);
        }
        tokio::select! {
            biased;
            read = reader.read_buf(&mut exchange.input) => match read {
                Err(error) => break Ended::of_stream(error),
                Ok(0) => break Ended::ByServer,
                Ok(_) => match exchange.take_replies() {
                    Err(error) => break Ended::Broken(error),
                    Ok(0) => {}
                    Ok(_) => {
                        used_at = Instant::now();
                        driver.pulse.heard(used_at, !exchange.waiting.is_empty());
                    }
                }
            },
            taken = write(&mut writer, &exchange.output[written..]), if !flushed => match taken {
                Ok(0) => {
                    (written, flushed) = (0, true);
                    exchange.output.clear();
                }
                Ok(count) => written += count,
                Err(error) => break Ended::Broken(error),
            },
            question = driver.questions.recv(), if leaving.is_none() && exchange.output.len() < OUTPUT_BYTES => match question {
                None => leaving = Some(Ended::Left),
                Some(_) if exchange.asked == IDS => {
                    // Whoever still waits in the queue is to ask another connection.
                    driver.questions.close();
                    while driver.questions.try_recv().is_ok() {}
                    leaving = Some(Ended::UsedUp);
                }
                Some(question) => {
                    used_at = Instant::now();
                    exchange.put_question(question);
                    flushed &= exchange.output.is_empty();
                    if exchange.waiting.is_empty() {
                        driver.pulse.unasked();
                    }
                }
            },
            () = timer.as_mut() => if end_at <= Instant::now() { break without_news },
        }
    };
    if ended.is_orderly() {
        drop(writer.shutdown().await);
    }
    ended
}

/// Writes some octets, or if there are none sees to it that they leave, which is 0.
async fn write(writer: &mut (impl AsyncWrite + Unpin), octets: &[u8]) -> io::Result<usize> {
    if octets.is_empty() {
        writer.flush().await.map(|()| 0)
    } else {
        match writer.write(octets).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }
}

impl Exchange<'_> {
    fn put_question(&mut self, question: Question) {
        let Question { message, reply } = question;
        if reply.is_closed() {
            return;
        }
        if self.waiting.len() >= 2 * QUESTIONS_MAX {
            self.waiting.retain(|_, reply| !reply.is_closed());
        }
        if self.asked == 0 {
            // Drawn by chance, as the ID of a datagram is.
            self.first_id = u16::from_be_bytes([message[0], message[1]]);
        }
        let nth = u16::try_from(self.asked).expect("the IDs are not used up");
        let id = self.first_id.wrapping_add(nth);
        self.asked += 1;
        let len = u16::try_from(message.len()).expect("a query is shorter than 600 octets");
        self.output.extend_from_slice(&len.to_be_bytes());
        self.output.extend_from_slice(&id.to_be_bytes());
        self.output.extend_from_slice(&message[2..]);
        self.waiting.insert(id, reply);
    }

    /// Gives every whole message to whoever waits for it; how many there were. The buffer grows with what has come, not with
    /// what was announced.
    fn take_replies(&mut self) -> io::Result<usize> {
        let mut rest = &self.input[..];
        let mut count = 0;
        while let Some((len, after)) = rest.split_first_chunk()
            && let Some((message, after)) = after.split_at_checked(u16::from_be_bytes(*len).into())
        {
            let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
            let asked = id.filter(|id| usize::from(id.wrapping_sub(self.first_id)) < self.asked);
            let Some(id) = asked else {
                self.metrics.ignored(Ignored::WrongId);
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a message that replies to no question",
                ));
            };
            let reply = self.waiting.remove(&id);
            if reply.is_none_or(|reply| reply.send(Ok(message.to_vec())).is_err()) {
                self.metrics.ignored(Ignored::Late);
            }
            count += 1;
            rest = after;
        }
        let left = rest.len();
        self.input.drain(..self.input.len() - left);
        self.input.shrink_to(READ_BYTES);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{forward::upstream::connection::Connection, metrics::Metrics};
    use prometheus_client::registry::Registry;
    use std::mem;
    use tokio::io::duplex;

    #[tokio::test]
    async fn no_id_is_used_twice_on_a_connection() {
        let metrics = Metrics::new(&mut Registry::default()).forward;
        let (near, mut far) = duplex(READ_BYTES);
        let (connection, mut driver) = Connection::new();
        let server = async {
            let mut seen = vec![false; IDS];
            while let Ok(len) = far.read_u16().await {
                let mut message = vec![0; len.into()];
                far.read_exact(&mut message).await.unwrap();
                let id = u16::from_be_bytes([message[0], message[1]]);
                assert!(!mem::replace(&mut seen[usize::from(id)], true));
                far.write_u16(len).await.unwrap();
                far.write_all(&message).await.unwrap();
            }
            assert_eq!(seen, vec![true; IDS]);
        };
        let ask = || connection.ask(vec![0x12, 0x34, 0, 0]);
        let asker = async {
            for _ in 0..IDS {
                ask().await.unwrap();
            }
            assert!(ask().await.unwrap_err().was_in_use);
            assert!(connection.is_closed());
        };
        let drive = drive(near, &mut driver, &metrics);
        let (ended, (), ()) = tokio::join!(drive, server, asker);
        assert!(matches!(ended, Ended::UsedUp), "{ended:?}");
    }
}
