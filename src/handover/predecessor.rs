//! The side that wants the sockets: finds the process that has them, waits beside it, and takes them. It knows nothing of
//! what they are for.

use super::{
    Error, MAX_SOCKETS, WORD_WITHIN,
    message::{self, Word},
};
use std::{io, os::fd::OwnedFd, path::Path};
use tokio::{net::UnixStream, time::timeout};

/// A process that has the sockets, and knows that this one waits.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

/// What is found at a path.
#[derive(Debug)]
pub enum Find {
    /// A process that has sockets to pass.
    Process(Predecessor),
    /// None.
    Nobody,
    /// Something that cannot be asked.
    Unusable(io::Error),
}

impl Predecessor {
    /// Looks for the process that listens at the path, and tells it to expect a successor.
    pub async fn find(path: &Path) -> Find {
        let stream = match UnixStream::connect(super::address(path)).await {
            Ok(stream) => stream,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Find::Nobody,
                    _ => Find::Unusable(error),
                };
            }
        };
        let own = rustix::process::geteuid().as_raw();
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == own => {}
            Ok(peer) => {
                let error = format!("user {} listens there, and this is user {own}", peer.uid());
                return Find::Unusable(io::Error::other(error));
            }
            Err(error) => return Find::Unusable(error),
        }
        match message::send(&stream, Word::Hello, &[]).await {
            Ok(()) => Find::Process(Self(stream)),
            Err(_) => Find::Nobody, // it ended in between
        }
    }

    /// Waits until the process has ended, or will not pass anything.
    pub async fn gone(&self) {
        // It has nothing to say before it is asked.
        drop(message::receive(&self.0).await);
    }

    /// Takes the sockets. The process goes on with them until it hears that this one [is serving](Self::serving).
    pub async fn take(&self) -> Result<Vec<OwnedFd>, Error> {
        let mut sockets = vec![];
        self.say(Word::Take).await?;
        loop {
            let (word, mut some) = self.hear().await?;
            let Word::Sockets { left } = word else {
                return Err(Error::Foreign);
            };
            sockets.append(&mut some);
            if sockets.len().saturating_add(left.into()) > MAX_SOCKETS {
                return Err(Error::Foreign);
            }
            if left == 0 {
                return Ok(sockets);
            }
        }
    }

    /// Says that this process answers now, so that the other one ends.
    pub async fn serving(self) -> Result<(), Error> {
        self.say(Word::Serving).await
    }

    async fn say(&self, word: Word) -> Result<(), Error> {
        let said = timeout(WORD_WITHIN, message::send(&self.0, word, &[]));
        said.await.map_err(|_| Error::Silent)?
    }

    async fn hear(&self) -> Result<(Word, Vec<OwnedFd>), Error> {
        let heard = timeout(WORD_WITHIN, message::receive(&self.0));
        let heard = heard.await.map_err(|_| Error::Silent)??;
        heard.ok_or(Error::Ended)
    }
}
