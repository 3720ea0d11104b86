//! The system calls of a UDP socket on Linux: batches in one call each way, and the local address of each datagram. The
//! only file with `unsafe` in every build; what it means is decided elsewhere.
//!
//! Addresses and control messages are laid out and read as bytes (ip(7), ipv6(7), cmsg(3)), so that only the calls
//! themselves are unsafe.
#![allow(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and IP_PKTINFO have no safe interface"
)]
#![allow(
    clippy::cast_possible_truncation,
    reason = "constants and lengths below a hundred"
)]

use super::{
    batch::{Batch, Ends, RECEIVE_BYTES, SLOTS, Socket},
    datagrams::unspecified_like,
};
use std::{
    array, io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd,
    ptr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Room for an address: `sockaddr_in6`, the longer one.
const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>();
const CONTROL_HEADER: usize = size_of::<libc::cmsghdr>();
const INFO_V4: usize = size_of::<libc::in_pktinfo>();
const INFO_V6: usize = size_of::<libc::in6_pktinfo>();

/// Room for the one control message that is asked for.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);
const CONTROL_BYTES: usize = (CONTROL_HEADER + INFO_V6).next_multiple_of(8);

/// How soon a waiting receiver notices that it is to leave: nothing else wakes it without a mark on the socket, which
/// whoever goes on with it would have too.
const NOTICE_LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// A socket that moves batches.
#[derive(Debug)]
pub(super) struct Batched {
    socket: UdpSocket,
    leaving: AtomicBool,
    /// The one address that can be asked; otherwise each datagram tells its own, which costs the kernel a tenth of a query.
    bound: Option<IpAddr>,
}

impl Batched {
    /// Takes a bound socket in blocking mode, and has it tell the local address of each datagram if there can be several.
    /// Only who may leave wakes up for it.
    pub(super) fn new(socket: UdpSocket, may_leave: bool) -> io::Result<Self> {
        let address = socket.local_addr()?;
        socket.set_read_timeout(may_leave.then_some(NOTICE_LEAVE_WITHIN))?;
        let with = |socket, bound| Self {
            socket,
            leaving: AtomicBool::new(false),
            bound,
        };
        if !address.ip().is_unspecified() {
            let bound = Some(address.ip());
            return Ok(with(socket, bound));
        }
        let (level, option) = match address {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        };
        let on: libc::c_int = 1;
        let len = libc::socklen_t::try_from(size_of_val(&on)).expect("an int is short");
        // SAFETY: the descriptor is open, and the option's value is a live int of the length given.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                ptr::from_ref(&on).cast(),
                len,
            )
        };
        match result {
            0 => Ok(with(socket, None)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Socket for Batched {
    fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        let mut names = [[0_u8; NAME_BYTES]; SLOTS];
        let mut controls = [Control::EMPTY; SLOTS];
        let mut pieces = empty_pieces();
        let mut messages = empty_messages();
        for ((((message, piece), packet), name), control) in messages
            .iter_mut()
            .zip(&mut pieces)
            .zip(batch.room())
            .zip(&mut names)
            .zip(&mut controls)
        {
            piece.iov_base = packet.as_mut_ptr().cast();
            piece.iov_len = RECEIVE_BYTES;
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = name.as_mut_ptr().cast();
            message.msg_hdr.msg_namelen = NAME_BYTES as libc::socklen_t;
            if self.bound.is_none() {
                message.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
                message.msg_hdr.msg_controllen = control.0.len() as _;
            }
        }
        let count = loop {
            if self.leaving.load(Ordering::Acquire) {
                return Ok(());
            }
            let received = until_uninterrupted(|| {
                // SAFETY: every message points to buffers of the lengths given, which live, untouched, until after the call.
                unsafe {
                    libc::recvmmsg(
                        self.socket.as_raw_fd(),
                        messages.as_mut_ptr(),
                        SLOTS as libc::c_uint,
                        libc::MSG_WAITFORONE as _,
                        ptr::null_mut(),
                    )
                }
            });
            match received {
                // Nothing came for so long; without a time-out, the socket is one that never waits.
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && self.socket.read_timeout()?.is_some() => {}
                received => break received?,
            }
        };
        for ((message, name), control) in messages.iter().zip(&names).zip(&controls).take(count) {
            // After shutdown(2) and the last datagram, the kernel gives one empty message that comes from nobody.
            let named = message.msg_hdr.msg_namelen != 0;
            let Some(client) = read_name(name).filter(|_| named) else {
                break;
            };
            let local = self.bound.or_else(|| control.local());
            let local = local.unwrap_or_else(|| unspecified_like(client.ip()));
            batch.push(Ends { client, local }, message.msg_len as usize);
        }
        Ok(())
    }

    fn send(&self, replies: &[(&Ends, &[u8])]) -> io::Result<usize> {
        let mut names = [[0_u8; NAME_BYTES]; SLOTS];
        let mut controls = [Control::EMPTY; SLOTS];
        let mut pieces = empty_pieces();
        let mut messages = empty_messages();
        let mut count: libc::c_uint = 0;
        for ((((message, piece), name), control), (ends, payload)) in messages
            .iter_mut()
            .zip(&mut pieces)
            .zip(&mut names)
            .zip(&mut controls)
            .zip(replies)
        {
            piece.iov_base = payload.as_ptr().cast_mut().cast();
            piece.iov_len = payload.len();
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_namelen = write_name(ends.client, name) as libc::socklen_t;
            message.msg_hdr.msg_name = name.as_mut_ptr().cast();
            if self.bound.is_none() {
                message.msg_hdr.msg_controllen = control.set_local(ends.local) as _;
                message.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            }
            count = count.saturating_add(1);
        }
        until_uninterrupted(|| {
            // By its number, because musl's function of this name makes a call for each message. Its structures are the
            // kernel's, with zeros between their parts.
            // SAFETY: the first `count` messages point to buffers of the lengths given, which live until after the call;
            // the payloads are only read.
            unsafe {
                libc::syscall(
                    libc::SYS_sendmmsg,
                    self.socket.as_raw_fd(),
                    messages.as_mut_ptr(),
                    count,
                    libc::MSG_DONTWAIT,
                )
            }
        })
    }

    fn stop_receiving(&self) {
        // The socket is not connected, and so the kernel says ENOTCONN, after it has marked the socket and woken who waits.
        drop(socket2::SockRef::from(&self.socket).shutdown(Shutdown::Read));
    }

    fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }
}

impl Control {
    const EMPTY: Self = Self([0; CONTROL_BYTES]);

    /// The local address that came with a datagram.
    fn local(&self) -> Option<IpAddr> {
        let (_, rest) = self.0.split_first_chunk::<{ size_of::<usize>() }>()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, info) = rest.split_first_chunk()?;
        match (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind)) {
            // in_pktinfo: interface, the address to answer from, the packet's destination.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                Some(Ipv4Addr::from(*info.get(4..)?.first_chunk()?).into())
            }
            // in6_pktinfo: the packet's destination, interface.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                Some(Ipv6Addr::from(*info.first_chunk()?).into())
            }
            _ => None,
        }
    }

    /// Asks for a reply to leave from this address, by the interface that the routes say; gives the length.
    fn set_local(&mut self, local: IpAddr) -> usize {
        if local.is_unspecified() {
            return 0;
        }
        let (level, kind, info_len) = match local {
            IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO, INFO_V4),
            IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, INFO_V6),
        };
        let mut at = self.0.as_mut_slice();
        put(
            &mut at,
            CONTROL_HEADER.saturating_add(info_len).to_ne_bytes(),
        );
        put(&mut at, level.to_ne_bytes());
        put(&mut at, kind.to_ne_bytes());
        match local {
            IpAddr::V4(address) => {
                put(&mut at, [0; 4]);
                put(&mut at, address.octets());
            }
            IpAddr::V6(address) => put(&mut at, address.octets()),
        }
        CONTROL_HEADER
            .saturating_add(info_len)
            .next_multiple_of(align_of::<Self>())
    }
}

/// Asks the scheduler to run the calling thread in short slices: it then comes to its turn soon when it wakes beside threads
/// that compute, and has no more than its share. The slice is the runtime of `sched_setattr`(2), as Linux 6.12 and later read it.
pub(super) fn take_short_slices() -> io::Result<()> {
    /// The shortest that the kernel takes.
    const SLICE_NS: u64 = 100_000;
    const OTHER: u32 = libc::SCHED_OTHER as u32;
    /// The first form of `sched_attr`, to the end of the period.
    const ATTRIBUTES_BYTES: usize = 48;
    let nice = rustix::process::getpriority_process(None)?;
    let mut attributes = [0_u8; ATTRIBUTES_BYTES];
    let mut at = attributes.as_mut_slice();
    put(&mut at, (ATTRIBUTES_BYTES as u32).to_ne_bytes());
    put(&mut at, OTHER.to_ne_bytes());
    put(&mut at, 0_u64.to_ne_bytes()); // flags
    put(&mut at, nice.to_ne_bytes());
    put(&mut at, 0_u32.to_ne_bytes()); // priority among real-time threads
    put(&mut at, SLICE_NS.to_ne_bytes());
    // SAFETY: the structure is as long as it says, and lives until after the call, which only reads it.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attributes.as_ptr(), 0) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reads a `sockaddr_in` or `sockaddr_in6`.
fn read_name(name: &[u8; NAME_BYTES]) -> Option<SocketAddr> {
    let (family, rest) = name.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    let port = u16::from_be_bytes(*port);
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => Some((Ipv4Addr::from(*rest.first_chunk()?), port).into()),
        libc::AF_INET6 => {
            let (flow, rest) = rest.split_first_chunk()?;
            let (address, scope) = rest.split_first_chunk::<16>()?;
            let scope = u32::from_ne_bytes(*scope.first_chunk()?);
            let flow = u32::from_be_bytes(*flow);
            Some(SocketAddrV6::new((*address).into(), port, flow, scope).into())
        }
        _ => None,
    }
}

/// Writes a `sockaddr_in` or `sockaddr_in6`; gives its length.
fn write_name(client: SocketAddr, name: &mut [u8; NAME_BYTES]) -> usize {
    let family = match client {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let mut at = name.as_mut_slice();
    put(&mut at, (family as libc::sa_family_t).to_ne_bytes());
    put(&mut at, client.port().to_be_bytes());
    match client {
        SocketAddr::V4(client) => {
            put(&mut at, client.ip().octets());
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(client) => {
            put(&mut at, client.flowinfo().to_be_bytes());
            put(&mut at, client.ip().octets());
            put(&mut at, client.scope_id().to_ne_bytes());
            NAME_BYTES
        }
    }
}

fn put<const N: usize>(at: &mut &mut [u8], bytes: [u8; N]) {
    let (head, rest) = mem::take(at)
        .split_first_chunk_mut()
        .expect("the buffer has room for the longest form");
    *head = bytes;
    *at = rest;
}

fn empty_pieces() -> [libc::iovec; SLOTS] {
    array::from_fn(|_| libc::iovec {
        iov_base: ptr::null_mut(),
        iov_len: 0,
    })
}

fn empty_messages() -> [libc::mmsghdr; SLOTS] {
    // SAFETY: a message of zeroes is one with null pointers and no lengths; it is plain data (with private padding on musl).
    unsafe { mem::zeroed() }
}

/// Makes a call that gives a count or -1, again as long as a signal interrupts it.
fn until_uninterrupted<N>(mut call: impl FnMut() -> N) -> io::Result<usize>
where
    usize: TryFrom<N>,
{
    loop {
        if let Ok(count) = usize::try_from(call()) {
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
