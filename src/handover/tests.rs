//! Both sides in one process, over a path of the test's own.

use super::*;
use crate::metrics;
use futures::FutureExt as _;
use std::{
    net::UdpSocket,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::PathBuf,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};

fn path() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sockets");
    (directory, path)
}

fn sockets(count: usize) -> Vec<UdpSocket> {
    let bind = |_| UdpSocket::bind("127.0.0.1:0").unwrap();
    (0..count).map(bind).collect()
}

fn descriptors(sockets: &[UdpSocket]) -> Vec<OwnedFd> {
    let clone = |it: &UdpSocket| it.try_clone().unwrap().into();
    sockets.iter().map(clone).collect()
}

async fn find(path: &Path) -> Predecessor {
    match Predecessor::find(path).await {
        Find::Process(predecessor) => predecessor,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_successor_has_what_is_queued_in_more_sockets_than_fit_into_a_message() {
    let (_directory, path) = path();
    let own = sockets(message::DESCRIPTORS + 6);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (number, socket) in (0_u8..).zip(&own) {
        client
            .send_to(&[number], socket.local_addr().unwrap())
            .unwrap();
    }
    let (holder, descriptors) = (
        Holder::listen(&path, metrics::Handover::default()).unwrap(),
        descriptors(&own),
    );
    drop(own);
    let successor = async {
        let predecessor = find(&path).await;
        let taken = predecessor.take().await.unwrap();
        predecessor.serving().await.unwrap();
        taken
    };
    let (taken, ()) = tokio::join!(successor, holder.pass(&descriptors));
    drop(descriptors);
    for (number, socket) in (0_u8..).zip(taken) {
        let mut queued = [0; 2];
        assert_eq!(UdpSocket::from(socket).recv(&mut queued).unwrap(), 1);
        assert_eq!(queued[0], number);
    }
}

#[tokio::test]
async fn a_successor_that_dies_with_the_sockets_in_its_hands_changes_nothing() {
    let (_directory, path) = path();
    let own = descriptors(&sockets(1));
    let holder = Holder::listen(&path, metrics::Handover::default()).unwrap();
    let mut waiting = holder.waiting();
    let mut passed = Box::pin(holder.pass(&own));
    let dies = async {
        let predecessor = find(&path).await;
        waiting.wait_for(|count| *count == 1).await.unwrap();
        drop(predecessor.take().await.unwrap());
        drop(predecessor);
        waiting.wait_for(|count| *count == 0).await.unwrap();
    };
    tokio::select! {
        () = &mut passed => panic!("nobody serves"),
        () = dies => {}
    }
    let succeeds = async {
        let predecessor = find(&path).await;
        assert_eq!(predecessor.take().await.unwrap().len(), 1);
        predecessor.serving().await.unwrap();
    };
    tokio::join!(passed, succeeds);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_says_nothing_is_not_waited_for() {
    let (_directory, path) = path();
    let silent = UnixListener::bind(&path).unwrap();
    let predecessor = find(&path).await;
    let (_stream, _) = silent.accept().await.unwrap();
    assert!(predecessor.gone().now_or_never().is_none());
    assert!(matches!(predecessor.take().await, Err(Error::Silent)));
}

#[tokio::test]
async fn a_holder_that_has_ended_is_noticed() {
    let (_directory, path) = path();
    let holder = Holder::listen(&path, metrics::Handover::default()).unwrap();
    let predecessor = find(&path).await;
    drop(holder);
    predecessor.gone().await;
    assert!(matches!(Predecessor::find(&path).await, Find::Nobody));
}

/// Its connection ends with a reset, because it never read what it was told.
#[tokio::test]
async fn a_holder_that_ends_while_it_is_asked_for_the_sockets_is_noticed() {
    let (_directory, path) = path();
    let listener = UnixListener::bind(&path).unwrap();
    let predecessor = find(&path).await;
    let (stream, _) = listener.accept().await.unwrap();
    let killed = async { drop(stream) };
    let (taken, ()) = tokio::join!(predecessor.take(), killed);
    assert!(matches!(taken, Err(Error::Ended)), "{taken:?}");
}

#[tokio::test]
async fn only_the_same_user_may_connect_and_other_words_get_nothing() {
    let (_directory, path) = path();
    let own = descriptors(&sockets(1));
    let counts = metrics::Handover::default();
    let holder = Holder::listen(&path, counts.clone()).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stranger = async {
        for words in [*b"GET / HT", *b"GAPL\x02\x01\0\0", *b"GAPL\x01\x02\0\0"] {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(&words).await.unwrap();
            let mut answer = vec![];
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"", "{words:?}");
        }
    };
    tokio::select! {
        () = holder.pass(&own) => panic!("nobody serves"),
        () = stranger => {}
    }
    assert_eq!((counts.not_given.get(), counts.left.get()), (3, 0));
}

#[tokio::test]
async fn the_path_goes_to_the_last_who_listens() {
    let (directory, path) = path();
    let (first, second) = (
        Holder::listen(&path, metrics::Handover::default()).unwrap(),
        Holder::listen(&path, metrics::Handover::default()).unwrap(),
    );
    let predecessor = find(&path).await;
    let mut waiting = second.waiting();
    let own = descriptors(&sockets(1));
    tokio::select! {
        () = first.pass(&own) => panic!("nobody serves"),
        () = second.pass(&own) => panic!("nobody serves"),
        () = async { drop(waiting.wait_for(|count| *count == 1).await.unwrap()) } => {}
    }
    drop(predecessor);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_name_needs_no_directory_and_goes_to_the_next_with_the_sockets() {
    let name = PathBuf::from(format!("@gapless-test-{}", std::process::id()));
    assert!(matches!(Predecessor::find(&name).await, Find::Nobody));
    let own = descriptors(&sockets(1));
    let first = Holder::listen(&name, metrics::Handover::default()).unwrap();
    let succeeds = async {
        let predecessor = find(&name).await;
        let taken = predecessor.take().await.unwrap();
        let second = Holder::listen(&name, metrics::Handover::default()).unwrap();
        predecessor.serving().await.unwrap();
        (second, taken)
    };
    let passes = async {
        first.pass(&own).await;
        drop(first);
    };
    let ((second, taken), ()) = tokio::join!(succeeds, passes);
    let third = async {
        loop {
            if let Find::Process(second) = Predecessor::find(&name).await {
                assert_eq!(second.take().await.unwrap().len(), 1);
                second.serving().await.unwrap();
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(second.pass(&taken), third);
}
