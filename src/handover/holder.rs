//! The side that has the sockets: listens at a path, and passes them to the one successor that says it is ready. It knows
//! nothing of what they are for, and goes on as before whatever becomes of those who ask.

use super::{
    Error, WORD_WITHIN,
    message::{self, DESCRIPTORS, Word},
};
use crate::metrics;
use futures::{StreamExt as _, stream::FuturesUnordered};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs, io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::fs::PermissionsExt as _,
    },
    path::{Path, PathBuf},
    process,
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    time::{sleep, timeout},
};

/// Connections at once: a successor, one that was started twice, and a stranger or two who will be told to go.
const MAX_CONNECTIONS: usize = 4;
const BACKLOG: i32 = 4;

/// After a failure to accept, such as no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Between two attempts to get a name that another process has.
const NAME_PAUSE: Duration = Duration::from_millis(10);

/// A path that is listened at.
#[derive(Debug)]
pub struct Holder {
    /// Or the name, as long as the process before this one has it.
    listener: Result<UnixListener, PathBuf>,
    waiting: watch::Sender<usize>,
    metrics: metrics::Handover,
}

impl Holder {
    /// Listens at the path, for processes of the same user only, and takes it from whoever did before. A name (`@NAME`)
    /// cannot be taken: it is waited for while [`pass`](Self::pass) runs.
    pub fn listen(path: &Path, metrics: metrics::Handover) -> io::Result<Self> {
        let address = super::address(path);
        let listener = if address == path {
            Ok(listen_at_file(path)?)
        } else {
            match listen_by_name(&address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(address.into()),
                done => Ok(done?),
            }
        };
        Ok(Self {
            listener,
            waiting: watch::Sender::new(0),
            metrics,
        })
    }

    /// How many processes of the same user are there as successors. One that came before an event is counted when `pass` is
    /// polled after it.
    pub fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }

    /// Ends when a successor has the sockets and answers.
    pub async fn pass(&self, sockets: &[OwnedFd]) {
        let mut late = None;
        let listener = match &self.listener {
            Ok(listener) => listener,
            Err(address) => late.insert(listen_once_free(address).await),
        };
        let mut asking = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if asking.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => asking.push(self.serve(stream, sockets)),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection for the hand-over");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(outcome) = asking.next() => match outcome {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => {
                        self.metrics.not_given.inc();
                        tracing::warn!(%error, "no hand-over: this process goes on");
                    }
                },
            }
        }
    }

    /// One connection, to the moment when its process answers; false if it leaves without having asked.
    async fn serve(&self, stream: UnixStream, sockets: &[OwnedFd]) -> Result<bool, Error> {
        let (peer, own) = (stream.peer_cred()?.uid(), rustix::process::geteuid());
        if peer != own.as_raw() {
            // Anybody may connect to a name, as often as he likes.
            tracing::debug!(user = peer, "asks for the sockets, and has no right to");
            return Ok(false);
        }
        // It is there from now on, if its first word has not come yet.
        let _waits = Waits::begin(&self.waiting);
        match soon(&stream).await? {
            Some(Word::Hello) => {}
            Some(_) => return Err(Error::Foreign),
            None => return Ok(false),
        }
        match message::receive(&stream).await? {
            Some((Word::Take, _)) => {}
            Some(_) => return Err(Error::Foreign),
            None => {
                self.metrics.left.inc();
                tracing::info!("the next process has left without the sockets");
                return Ok(false);
            }
        }
        let all: Vec<BorrowedFd<'_>> = sockets.iter().map(|it| it.as_fd()).collect();
        let mut left = all.len();
        for some in all.chunks(DESCRIPTORS) {
            left -= some.len();
            let word = Word::Sockets {
                left: u16::try_from(left).unwrap_or(u16::MAX),
            };
            within(message::send(&stream, word, some)).await?;
        }
        match soon(&stream).await? {
            Some(Word::Serving) => Ok(true),
            Some(_) => Err(Error::Foreign),
            None => Err(Error::Ended),
        }
    }
}

fn listen_at_file(path: &Path) -> io::Result<UnixListener> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", process::id()));
    let own = Path::new(&name);
    match fs::remove_file(own) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = bound(own)?;
    // Before it listens, so that nobody comes in before.
    let placed = fs::set_permissions(own, fs::Permissions::from_mode(0o600))
        .and_then(|()| listening(socket))
        .and_then(|listener| fs::rename(own, path).map(|()| listener));
    if placed.is_err() {
        drop(fs::remove_file(own));
    }
    placed
}

fn listen_by_name(address: &Path) -> io::Result<UnixListener> {
    listening(bound(address)?)
}

fn bound(address: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(address)?)?;
    Ok(socket)
}

fn listening(socket: Socket) -> io::Result<UnixListener> {
    socket.listen(BACKLOG)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
}

/// Tries until nobody else has the name.
async fn listen_once_free(address: &Path) -> UnixListener {
    loop {
        match listen_by_name(address) {
            Ok(listener) => return listener,
            Err(_) => sleep(NAME_PAUSE).await,
        }
    }
}

struct Waits<'a>(&'a watch::Sender<usize>);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|count| *count += 1);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

async fn within<T>(word: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(WORD_WITHIN, word)
        .await
        .map_err(|_| Error::Silent)?
}

/// A word that is due.
async fn soon(stream: &UnixStream) -> Result<Option<Word>, Error> {
    let received = within(message::receive(stream)).await?;
    Ok(received.map(|(word, _)| word))
}
