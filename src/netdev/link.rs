//! The interface that carries the addresses (rtnetlink(7)): made, filled, emptied and removed. It touches no interface that
//! is not marked as ours.

use super::netlink::{CREATE, DUMP, EXCLUSIVE, Message, Socket, attributes, put};
use std::{collections::BTreeSet, io, net::IpAddr};

/// What an interface of ours has as its alias (`ip link` shows it).
const ALIAS: &str = "gapless";

// linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_IFALIAS: u16 = 20;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFF_UP: u32 = 1;
/// Nobody else has the address on an interface that leads nowhere, and the search for one would not end there.
const IFA_F_NODAD: u8 = 2;
const INET: u8 = 2;
const INET6: u8 = 10;

/// An interface as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    index: u32,
    pub kind: String,
    pub up: bool,
    ours: bool,
}

#[derive(Debug)]
pub(super) struct Links(Socket);

impl Links {
    pub(super) fn open() -> io::Result<Self> {
        Socket::open(None) // rtnetlink is number 0
            .map(Self)
    }

    /// The interface of this name, if there is one.
    pub(super) fn find(&mut self, name: &str) -> io::Result<Option<Link>> {
        let message = Message::new(GET_LINK, 0, &link_header(0, 0)).with_text(IFLA_IFNAME, name);
        let found = match self.0.ask(message) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
            found => found?,
        };
        let found = found.into_iter().find(|(kind, _)| *kind == NEW_LINK);
        Ok(found.and_then(|(_, body)| read_link(&body)))
    }

    /// Makes the interface if it is missing, and sets it up; an error says what stands in the way.
    pub(super) fn ensure(&mut self, name: &str, kind: &str) -> io::Result<Link> {
        if self.find(name)?.is_none() {
            let mut info = vec![];
            put(&mut info, IFLA_INFO_KIND, |out| out.extend(kind.as_bytes()));
            let message = Message::new(NEW_LINK, CREATE | EXCLUSIVE, &link_header(0, 0))
                .with_text(IFLA_IFNAME, name)
                .with(IFLA_LINKINFO, &info);
            self.0.request(message).map_err(|error| match error.raw_os_error() {
                Some(libc::EOPNOTSUPP) => io::Error::other(format!(
                    "this kernel makes no interface of kind `{kind}`; load its module, or take another kind, such as dummy or bridge"
                )),
                _ => error,
            })?;
            let made = self.find(name)?.ok_or(io::ErrorKind::NotFound)?;
            self.mark(made.index)?;
        }
        let link = self.find(name)?.ok_or(io::ErrorKind::NotFound)?;
        own(name, &link)?;
        if !link.up {
            self.mark(link.index)?;
        }
        Ok(link)
    }

    fn mark(&mut self, index: u32) -> io::Result<()> {
        let header = link_header(index, IFF_UP);
        self.0
            .request(Message::new(NEW_LINK, 0, &header).with(IFLA_IFALIAS, ALIAS.as_bytes()))
    }

    /// Removes the interface, if it is there, and with it its addresses.
    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        let Some(link) = self.find(name)? else {
            return Ok(());
        };
        own(name, &link)?;
        self.0
            .request(Message::new(DEL_LINK, 0, &link_header(link.index, 0)))
    }

    /// The addresses of an interface, without what the kernel gives to itself (fe80::/64).
    pub(super) fn addresses(&mut self, link: &Link) -> io::Result<BTreeSet<IpAddr>> {
        let all = self.0.ask(Message::new(GET_ADDRESS, DUMP, &[0; 8]))?;
        let of_link = all
            .iter()
            .filter_map(|(_, body)| read_address(body, link.index));
        Ok(of_link
            .filter(|it| !matches!(it, IpAddr::V6(it) if it.is_unicast_link_local()))
            .collect())
    }

    /// Gives the interface these addresses, and no others.
    pub(super) fn set_addresses(
        &mut self,
        link: &Link,
        wanted: &BTreeSet<IpAddr>,
    ) -> io::Result<()> {
        let there = self.addresses(link)?;
        for address in wanted.difference(&there) {
            let message = address_message(NEW_ADDRESS, CREATE, link.index, *address);
            accept(self.0.request(message), libc::EEXIST)?; // a second one of us was faster
        }
        for address in there.difference(wanted) {
            let message = address_message(DEL_ADDRESS, 0, link.index, *address);
            accept(self.0.request(message), libc::EADDRNOTAVAIL)?;
        }
        Ok(())
    }
}

fn accept(done: io::Result<()>, code: i32) -> io::Result<()> {
    match done {
        Err(error) if error.raw_os_error() == Some(code) => Ok(()),
        done => done,
    }
}

fn own(name: &str, link: &Link) -> io::Result<()> {
    if link.ours {
        return Ok(());
    }
    let text = format!(
        "there is an interface {name} that is not ours (its alias is not `{ALIAS}`); take another name"
    );
    Err(io::Error::other(text))
}

/// `struct ifinfomsg`
fn link_header(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&flags.to_ne_bytes()); // what of them is to change
    header
}

fn read_link(body: &[u8]) -> Option<Link> {
    let word = |at: usize| Some(u32::from_ne_bytes(*body.get(at..)?.first_chunk()?));
    let mut link = Link {
        index: word(4)?,
        kind: String::new(),
        up: word(8)? & IFF_UP != 0,
        ours: false,
    };
    let text = |value: &[u8]| {
        String::from_utf8_lossy(value)
            .trim_end_matches('\0')
            .to_owned()
    };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFALIAS => link.ours = text(value) == ALIAS,
            IFLA_LINKINFO => {
                let mut info = attributes(value);
                link.kind = info
                    .find(|(it, _)| *it == IFLA_INFO_KIND)
                    .map_or_else(String::new, |(_, it)| text(it));
            }
            _ => {}
        }
    }
    Some(link)
}

fn address_message(kind: u16, flags: u16, index: u32, address: IpAddr) -> Message {
    let (family, prefix) = match address {
        IpAddr::V4(_) => (INET, 32),
        IpAddr::V6(_) => (INET6, 128),
    };
    // `struct ifaddrmsg`
    let mut header = [family, prefix, IFA_F_NODAD, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    let octets = octets(address);
    Message::new(kind, flags, &header)
        .with(IFA_LOCAL, &octets)
        .with(IFA_ADDRESS, &octets)
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

fn read_address(body: &[u8], index: u32) -> Option<IpAddr> {
    if u32::from_ne_bytes(*body.get(4..)?.first_chunk()?) != index {
        return None;
    }
    let all: Vec<_> = attributes(body.get(8..)?).collect();
    let value = |kind| {
        all.iter()
            .find(|(it, _)| *it == kind)
            .map(|(_, value)| *value)
    };
    let value = value(IFA_LOCAL).or_else(|| value(IFA_ADDRESS))?;
    match *body.first()? {
        INET => Some(IpAddr::from(*value.first_chunk::<4>()?)),
        INET6 => Some(IpAddr::from(*value.first_chunk::<16>()?)),
        _ => None,
    }
}
