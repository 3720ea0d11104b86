//! The watchdog: takes the redirect away when nobody answers, and puts it back. It judges by what a client can see, so that
//! it makes no difference why.
//!
//! A TCP connection is held open to the server: its end is the first that is known of a process that was killed. One that
//! hangs is found by questions over UDP and to `/readyz`.

use super::{Options, Probes};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::{Instant, sleep, timeout, timeout_at},
};

/// Between two looks at the server, and for a connection that ends at once.
const EVERY: Duration = Duration::from_millis(200);

/// A probe without an answer is one of [`MISSES`].
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// A server is given up that does not answer so many times in a row: one that has much to do is late once.
const MISSES: u32 = 3;

/// How often what is there is put right although nothing changed, should somebody else have touched it.
const REPAIR_EVERY: Duration = Duration::from_secs(10);

/// What a look at the server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It answers, and says that it is ready.
    Ready,
    /// Nobody listens, or it says that it is not ready.
    Refused,
    /// Nothing came in time.
    Silence,
}

/// The redirect, as the looks have it.
#[derive(Debug, Default)]
struct Judgement {
    redirect: bool,
    misses: u32,
}

impl Judgement {
    fn hear(&mut self, seen: Seen) {
        match seen {
            Seen::Ready => {
                *self = Self {
                    redirect: true,
                    misses: 0,
                }
            }
            Seen::Refused => *self = Self::default(),
            Seen::Silence => {
                self.misses = self.misses.saturating_add(1);
                self.redirect &= self.misses < MISSES;
            }
        }
    }
}

/// Keeps the redirect where somebody answers and nowhere else, until `stop`; then until nobody does, for at most the grace,
/// and leaves nothing if nobody does.
pub async fn watch(
    options: Options,
    probes: &Probes,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let Some(&own) = options.own.first() else {
        return Err(io::Error::other(
            "an own address is needed: the server is looked for there",
        ));
    };
    let server = SocketAddr::from((own, options.port));
    let mut stop = std::pin::pin!(stop);
    let mut ends_at: Option<Instant> = None;
    let (mut judgement, mut redirected, mut repaired_at) =
        (Judgement::default(), None, Instant::now());
    let mut held: Option<TcpStream> = None;
    loop {
        let seen = look(server, probes.admin, &mut held).await;
        judgement.hear(seen);
        if redirected != Some(judgement.redirect) || repaired_at.elapsed() >= REPAIR_EVERY {
            let done = if judgement.redirect {
                options.up()
            } else {
                options.release()
            };
            match done {
                Ok(()) if redirected != Some(judgement.redirect) => {
                    redirected = Some(judgement.redirect);
                    tracing::info!(redirected, ?seen, "the cluster DNS's addresses");
                }
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "the node is not as it should be; trying again")
                }
            }
            repaired_at = Instant::now();
        }
        if ends_at.is_some() && redirected == Some(false) {
            tracing::info!("nobody answers: nothing is left behind");
            return options.down();
        }
        if ends_at.is_some_and(|at| at <= Instant::now()) {
            tracing::info!("somebody else answers: all is left to them");
            return Ok(());
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            () = until_ended(&mut held) => {}
            () = &mut stop, if ends_at.is_none() => ends_at = Some(Instant::now() + probes.grace),
        }
    }
}

/// Waits until the server ends the connection, if there is one.
async fn until_ended(held: &mut Option<TcpStream>) {
    match held {
        Some(stream) => {
            let mut nothing = [0; 1];
            drop(stream.read(&mut nothing).await);
            *held = None;
        }
        None => std::future::pending().await,
    }
}

async fn look(server: SocketAddr, admin: SocketAddr, held: &mut Option<TcpStream>) -> Seen {
    let deadline = Instant::now() + ANSWER_WITHIN;
    if held.is_none() {
        match timeout_at(deadline, TcpStream::connect(server)).await {
            Ok(Ok(stream)) => *held = Some(stream),
            Ok(Err(_)) => return Seen::Refused,
            Err(_) => return Seen::Silence,
        }
    }
    let looks = async { tokio::try_join!(ask(server), ready(admin)) };
    match timeout_at(deadline, looks).await {
        Ok(Ok(((), true))) => Seen::Ready,
        Ok(Ok(((), false))) => Seen::Refused,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Seen::Refused,
        Ok(Err(_)) | Err(_) => Seen::Silence,
    }
}

/// `version.bind.` CH TXT: answered, or refused, without asking anybody else.
const QUESTION: &[u8] = b"\x67\x6c\0\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";

/// Asks by UDP; whatever the answer is, it is one.
async fn ask(server: SocketAddr) -> io::Result<()> {
    let any = match server {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(QUESTION).await?;
    let mut reply = [0; 512];
    loop {
        let length = socket.recv(&mut reply).await?;
        if length >= 12 && reply.first_chunk::<2>() == QUESTION.first_chunk() {
            return Ok(());
        }
    }
}

/// Asks `/readyz`; a status of 200 is yes.
async fn ready(admin: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(admin).await?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    drop(timeout(EVERY, stream.shutdown()).await);
    Ok(status.ends_with(b" 200"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Seen::{Ready, Refused, Silence};

    #[test]
    fn a_refusal_ends_the_redirect_at_once_and_silence_after_the_third_time() {
        let mut judgement = Judgement::default();
        let mut after = |seen| {
            judgement.hear(seen);
            judgement.redirect
        };
        let seen = [
            Silence, Ready, Silence, Silence, Ready, Silence, Silence, Silence, Silence, Ready,
            Refused, Ready,
        ];
        let redirect = seen.map(&mut after);
        let expected = [
            false, true, true, true, true, true, true, false, false, true, false, true,
        ];
        assert_eq!(redirect, expected);
    }
}
