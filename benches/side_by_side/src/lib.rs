//! What the two programs share: UDP datagrams in batches, straight from libc, because what a library adds would be measured
//! with it. They know no more of DNS than where an ID and the flags stand.

use std::{
    io, mem,
    net::UdpSocket,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    time::Duration,
};

/// Datagrams of one call.
pub const SLOTS: usize = 64;
/// Room for one datagram, in octets.
pub const ROOM: usize = 2048;
const NAME: usize = size_of::<libc::sockaddr_in6>();

/// Buffers for received datagrams and for where they came from. Replies are written over them.
pub struct Batch {
    pub packets: Box<[[u8; ROOM]; SLOTS]>,
    pub lengths: [usize; SLOTS],
    names: [[u8; NAME]; SLOTS],
    name_lengths: [libc::socklen_t; SLOTS],
    /// What the kernel says beside each datagram: nothing but when it came, if it was told to note that.
    beside: [Beside; SLOTS],
}

/// Room for a control message with a time.
#[derive(Clone, Copy)]
#[repr(C)]
struct Beside(libc::cmsghdr, libc::timespec);

impl Default for Batch {
    fn default() -> Self {
        Self {
            packets: Box::new([[0; ROOM]; SLOTS]),
            lengths: [0; SLOTS],
            names: [[0; NAME]; SLOTS],
            name_lengths: [0; SLOTS],
            // SAFETY: for these plain C structures, zeros mean "nothing".
            beside: unsafe { mem::zeroed() },
        }
    }
}

impl Batch {
    /// Takes what is there; waits for the first datagram unless the socket is non-blocking. Says how many came.
    pub fn receive(&mut self, socket: &UdpSocket) -> usize {
        let mut pieces = [EMPTY_PIECE; SLOTS];
        let mut messages = empty_messages();
        for (n, message) in messages.iter_mut().enumerate() {
            pieces[n].iov_base = self.packets[n].as_mut_ptr().cast();
            pieces[n].iov_len = ROOM;
            message.msg_hdr.msg_iov = &raw mut pieces[n];
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = self.names[n].as_mut_ptr().cast();
            message.msg_hdr.msg_namelen = NAME as _;
            message.msg_hdr.msg_control = (&raw mut self.beside[n]).cast();
            message.msg_hdr.msg_controllen = size_of::<Beside>() as _;
        }
        // SAFETY: every message points to buffers of the lengths given, which outlive the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                SLOTS as _,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).unwrap_or_default();
        for (n, message) in messages.iter().enumerate().take(count) {
            self.lengths[n] = message.msg_len as usize;
            self.name_lengths[n] = message.msg_hdr.msg_namelen;
        }
        count
    }

    /// When the Nth datagram came, since 1970, if its socket is one that [notes](note_arrivals) that.
    pub fn arrived(&self, n: usize) -> Duration {
        let Beside(_, time) = self.beside[n];
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    /// Sends the first `count` packets back to where they came from.
    pub fn send_back(&mut self, socket: &UdpSocket, count: usize) {
        let mut pieces = [EMPTY_PIECE; SLOTS];
        let mut messages = empty_messages();
        for n in 0..count {
            pieces[n].iov_base = self.packets[n].as_mut_ptr().cast();
            pieces[n].iov_len = self.lengths[n];
            messages[n].msg_hdr.msg_iov = &raw mut pieces[n];
            messages[n].msg_hdr.msg_iovlen = 1;
            messages[n].msg_hdr.msg_name = self.names[n].as_mut_ptr().cast();
            messages[n].msg_hdr.msg_namelen = self.name_lengths[n];
        }
        let mut sent = 0;
        while sent < count {
            // SAFETY: the messages from `sent` to `count` point to buffers of the lengths given, which outlive the call.
            let done = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    messages[sent..].as_mut_ptr(),
                    (count - sent) as _,
                    0,
                )
            };
            sent += usize::try_from(done).unwrap_or_default().max(1);
        }
    }
}

/// Sends many datagrams of the same length, which stand one behind the other in `all`, by one call, and as one through most
/// of the sender's side of the kernel (UDP_SEGMENT, udp(7)): so the load takes less of its core than any server of its own.
/// Says whether the kernel took them.
pub fn send_alike(socket: &UdpSocket, all: &[u8], length: usize) -> bool {
    #[repr(C, align(8))]
    struct Control(libc::cmsghdr, u16);
    let size = mem::offset_of!(Control, 1) + size_of::<u16>();
    let mut control = Control(
        libc::cmsghdr {
            cmsg_len: size as _,
            cmsg_level: libc::SOL_UDP,
            cmsg_type: libc::UDP_SEGMENT,
        },
        u16::try_from(length).expect("a datagram"),
    );
    let mut piece = libc::iovec {
        iov_base: all.as_ptr().cast_mut().cast(),
        iov_len: all.len(),
    };
    let mut message = empty_messages()[0].msg_hdr;
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: the message points to a live buffer that is only read, and to a control message of the length given.
    unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) == all.len() as isize }
}

/// Room in the kernel for what a socket has received, in octets; the kernel gives what it allows.
pub fn set_receive_buffer(socket: &UdpSocket, octets: libc::c_int) {
    set(socket, libc::SO_RCVBUF, octets);
}

/// From now on the kernel notes when each datagram comes (SO_TIMESTAMPNS, socket(7)).
pub fn note_arrivals(socket: &UdpSocket) {
    set(socket, libc::SO_TIMESTAMPNS, 1);
}

fn set(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) {
    // SAFETY: the option's value is a live int of the length given.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as _,
        )
    };
}

/// Which of many connections can be read.
pub struct Readable(OwnedFd);

impl Readable {
    pub fn new() -> io::Result<Self> {
        // SAFETY: it takes no pointer.
        let descriptor = unsafe { libc::epoll_create1(0) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// From now on, the connection is among those that are looked at, under this number.
    pub fn add(&self, connection: &impl AsRawFd, number: usize) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as _,
            u64: number as u64,
        };
        // SAFETY: both descriptors are open, and the event lives until after the call, which copies it.
        let result = unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                connection.as_raw_fd(),
                &raw mut event,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// The numbers of those that can be read now.
    pub fn now(&self, numbers: &mut Vec<usize>) {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; SLOTS];
        // SAFETY: there is room for as many events as are asked for.
        let count =
            unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), SLOTS as _, 0) };
        numbers.clear();
        let count = usize::try_from(count).unwrap_or_default();
        numbers.extend(events.iter().take(count).map(|event| event.u64 as usize));
    }
}

/// User and system time that a process has used, and its resident memory in KiB.
pub fn used(process: u32) -> (Duration, Duration, u64) {
    let read =
        |file| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    // SAFETY: it takes no pointer.
    let hertz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let stat = read("stat");
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let time = |n: usize| {
        let ticks: f64 = fields.get(n).and_then(|it| it.parse().ok()).unwrap_or(0.0);
        Duration::from_secs_f64(ticks / hertz)
    };
    let status = read("status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|it| it.trim().trim_end_matches(" kB").parse().ok());
    (time(11), time(12), resident.unwrap_or_default())
}

const EMPTY_PIECE: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

fn empty_messages() -> [libc::mmsghdr; SLOTS] {
    // SAFETY: for this plain C structure, zeros mean "nothing".
    [unsafe { mem::zeroed() }; SLOTS]
}
