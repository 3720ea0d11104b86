//! A response as it is written: header and question first, then whole records until one does not fit, OPT last.
//! Room for OPT is set aside at the start, so that a truncated answer still carries it.

use super::{Addresses, Flags, HEADER_LEN, Header, MAX_UDP_PAYLOAD, Mark, Query, Rcode, rtype};

/// The sections that hold records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are RFC 1035's")]
pub enum Section {
    Answer = 1,
    Authority = 2,
    Additional = 3,
}

/// A name to be written.
#[derive(Clone, Copy, Debug)]
pub enum Name<'n> {
    /// The name that stands at this offset of the reply already; 12 is the question's.
    At(usize),
    /// These labels (each with its length in front), and then the name that stands at this offset.
    Below(&'n [u8], usize),
    /// A whole name, its root included.
    Wire(&'n [u8]),
}

/// An Extended DNS Error (RFC 8914).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ede<'t> {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT, in parts that are written one after the other, UTF-8.
    pub text: [&'t [u8]; 3],
}

impl<'t> Ede<'t> {
    /// A code with a fixed text.
    pub const fn new(code: u16, text: &'t str) -> Self {
        Self {
            code,
            text: [text.as_bytes(), b"", b""],
        }
    }

    fn text_len(&self) -> usize {
        self.text
            .iter()
            .fold(0, |sum: usize, part| sum.saturating_add(part.len()))
    }
}

/// What the reply's OPT record says. It stands only in replies to queries that had one (RFC 6891 §7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReplyEdns<'t> {
    /// Idle time-out of the connection in units of 100 ms (RFC 7828), on TCP to clients that sent the option.
    pub keepalive: Option<u16>,
    /// Why the answer is as it is.
    pub ede: Option<&'t Ede<'t>>,
}

/// A reply in the making. Dropping it before [`Reply::finish`] leaves bytes of no meaning in the buffer.
#[derive(Debug)]
pub struct Reply<'o, 't> {
    out: &'o mut [u8],
    /// The question, as it stands behind the header.
    question: &'t [u8],
    at: usize,
    /// Where records end at the latest; OPT's room lies behind it.
    limit: usize,
    /// ID and flags as they stand in the header: one number, as it is read as a whole.
    front: u32,
    /// The same of QDCOUNT, ANCOUNT, NSCOUNT and ARCOUNT.
    counts: u64,
    /// The class of every record: the question's.
    class: u16,
    rcode: u8,
    opt: Option<(ReplyEdns<'t>, bool)>,
    full: bool,
    plain: bool,
}

impl<'o, 't> Reply<'o, 't> {
    /// Starts a reply to `query` in `out`, of at most `limit` octets with everything; it has no end if not even the question fits. A `plain`
    /// one has address records written one at a time instead of copied in runs: the twin that the fast way must equal.
    #[inline] // a reply is made where it is written: it is too large to be handed over
    pub fn new(
        query: &Query<'t>,
        edns: ReplyEdns<'t>,
        out: &'o mut [u8],
        limit: usize,
        plain: bool,
    ) -> Self {
        let opt = query.edns.map(|asked| (edns, asked.dnssec_ok));
        let reserved = if opt.is_some() { opt_len(&edns) } else { 0 };
        let limit = limit.min(out.len()).saturating_sub(reserved);
        let mut at = HEADER_LEN.saturating_add(query.question_wire.len());
        match out.get_mut(HEADER_LEN..at).filter(|_| at <= limit) {
            Some(question) => question.copy_from_slice(query.question_wire),
            None => at = HEADER_LEN,
        }
        Self {
            out,
            question: query.question_wire,
            at,
            limit,
            front: u32::from(query.header.id) << 16 | u32::from(query.header.flags.for_reply().0),
            counts: 1 << 48,
            class: query.question.qclass,
            rcode: Rcode::NoError as u8,
            opt,
            full: at == HEADER_LEN,
            plain,
        }
    }

    /// Sets the response code.
    pub const fn set_rcode(&mut self, rcode: Rcode) {
        self.rcode = rcode as u8;
    }

    /// Sets a response code that an upstream gave; the header holds its lower four bits, and there are to be no others.
    pub const fn set_upstream_rcode(&mut self, rcode: u8) {
        self.rcode = rcode & 0x0f;
    }

    /// Sets flags, such as [`Flags::AA`].
    pub fn set_flags(&mut self, bits: u16) {
        self.front |= u32::from(bits);
    }

    /// Appends one record, of the question's class, if it fits whole; `rdata` writes its RDATA. Says where the RDATA stands, for later
    /// names to point into. A record that does not fit closes its section, and sets TC unless the section is the additional
    /// one (RFC 2181 §9).
    pub fn record(
        &mut self,
        section: Section,
        owner: Name<'_>,
        rtype: u16,
        ttl: u32,
        rdata: impl FnOnce(&mut Rdata<'_, 'o, 't>) -> bool,
    ) -> Option<usize> {
        if self.full {
            return None;
        }
        let start = self.at;
        let fits = self.put_record(owner, rtype, ttl, rdata);
        match fits {
            Some(_) => self.count(section, 1),
            None => {
                self.at = start;
                self.overflow(section);
            }
        }
        fits
    }

    fn put_record(
        &mut self,
        owner: Name<'_>,
        rtype: u16,
        ttl: u32,
        rdata: impl FnOnce(&mut Rdata<'_, 'o, 't>) -> bool,
    ) -> Option<usize> {
        self.put_name(owner).then_some(())?;
        let ([t0, t1], [c0, c1]) = (rtype.to_be_bytes(), self.class.to_be_bytes());
        let [l0, l1, l2, l3] = ttl.to_be_bytes();
        let fixed = self.put(&[t0, t1, c0, c1, l0, l1, l2, l3, 0, 0]);
        fixed.then_some(())?;
        let start = self.at;
        let rdlength = start.checked_sub(2)?;
        rdata(&mut Rdata { reply: self }).then_some(())?;
        let len = u16::try_from(self.at.checked_sub(start)?).ok()?;
        let slot = self.out.get_mut(rdlength..start)?;
        slot.copy_from_slice(&len.to_be_bytes());
        Some(start)
    }

    /// Appends address records owned by the name at `owner`, the `rotation`th first, as many as fit.
    pub fn addresses(
        &mut self,
        section: Section,
        owner: usize,
        run: &Addresses<'_>,
        rotation: usize,
    ) {
        let first = match run.count() {
            0 => return,
            1 => 0, // most services: no division
            count => rotation.checked_rem(count).unwrap_or_default(),
        };
        let Some(pointer) = pointer_to(owner).filter(|_| !self.plain) else {
            for rdata in run.rdata().skip(first).chain(run.rdata().take(first)) {
                let ttl = run.ttl().unwrap_or_default();
                self.record(section, Name::At(owner), run.rtype(), ttl, |to| {
                    to.bytes(rdata)
                });
            }
            return;
        };
        if self.full {
            return;
        }
        let start = self.at;
        let room = self.limit.saturating_sub(self.at);
        let fit = run.count_in(room).min(run.count());
        let tail = fit.min(run.count().saturating_sub(first));
        let whole =
            self.put(run.slice(first, tail)) && self.put(run.slice(0, fit.saturating_sub(tail)));
        debug_assert!(whole, "what fits was counted before");
        if owner != HEADER_LEN {
            let records = self.out.get_mut(start..self.at).unwrap_or_default();
            for record in records.chunks_exact_mut(run.record_len()) {
                if let Some(owner) = record.first_chunk_mut() {
                    *owner = pointer;
                }
            }
        }
        self.count(section, fit);
        if fit < run.count() {
            self.overflow(section);
        }
    }

    /// Appends a record of those of a stored message with the same question, if it fits whole, with this TTL in place of its own.
    /// Every record in front of it must have been copied, so that it comes to stand where it stood and pointers hold.
    pub fn copy(&mut self, records: &[u8], mark: &Mark, ttl: u32) {
        if self.full {
            return;
        }
        let start = self.at;
        if self.put_copy_of_record(records, mark, ttl).is_some() {
            self.count(mark.section, 1);
        } else {
            self.at = start;
            self.overflow(mark.section);
        }
    }

    fn put_copy_of_record(&mut self, records: &[u8], mark: &Mark, ttl: u32) -> Option<()> {
        let [start, ttl_at, end] = [mark.start, mark.ttl_at, mark.end].map(usize::from);
        (start == self.at).then_some(())?;
        let before = HEADER_LEN.checked_add(self.question.len())?;
        let within = |at: usize| at.checked_sub(before);
        let rdlength_at = ttl_at.checked_add(4)?;
        let whole = self.put(records.get(within(start)?..within(ttl_at)?)?)
            && self.put(&ttl.to_be_bytes())
            && self.put(records.get(within(rdlength_at)?..within(end)?)?);
        whole.then_some(())
    }

    /// Closes the reply, to which nothing can be added then, and says how long it is; `None` if there was no room for the question.
    pub fn finish(&mut self) -> Option<usize> {
        (self.at > HEADER_LEN).then(|| {
            self.close();
            self.at
        })
    }

    fn close(&mut self) {
        let rcode = self.rcode;
        if let Some((edns, dnssec_ok)) = self.opt {
            self.limit = self.out.len();
            let written = self.put_opt(&edns, rcode >> 4, dnssec_ok);
            debug_assert!(written.is_some(), "room for OPT was set aside");
            self.count(Section::Additional, usize::from(written.is_some()));
        }
        self.front = self.front & !u32::from(Flags::RCODE) | u32::from(rcode & 0x0f);
        if let Some((at_front, rest)) = self.out.split_first_chunk_mut()
            && let Some(counts) = rest.first_chunk_mut()
        {
            *at_front = self.front.to_be_bytes();
            *counts = self.counts.to_be_bytes();
        }
    }

    fn put_opt(&mut self, edns: &ReplyEdns<'_>, extended_rcode: u8, dnssec_ok: bool) -> Option<()> {
        let rdlength = u16::try_from(opt_len(edns).checked_sub(OPT_FIXED_LEN)?).ok()?;
        let flags = if dnssec_ok { 0x80 } else { 0 };
        let fixed = self.put(&[0])
            && self.put_u16(rtype::OPT)
            && self.put_u16(MAX_UDP_PAYLOAD)
            && self.put(&[extended_rcode, 0, flags, 0])
            && self.put_u16(rdlength);
        fixed.then_some(())?;
        if let Some(timeout) = edns.keepalive {
            let option = self.put_u16(11) && self.put_u16(2) && self.put_u16(timeout);
            option.then_some(())?;
        }
        if let Some(ede) = edns.ede {
            let len = u16::try_from(ede.text_len().checked_add(2)?).ok()?;
            let option = self.put_u16(15) && self.put_u16(len) && self.put_u16(ede.code);
            (option && ede.text.iter().all(|part| self.put(part))).then_some(())?;
        }
        Some(())
    }

    fn count(&mut self, section: Section, records: usize) {
        // A message has room for some thousands.
        let shift = 48_usize.saturating_sub((section as usize).saturating_mul(16));
        self.counts = self.counts.saturating_add((records as u64) << shift);
    }

    fn overflow(&mut self, section: Section) {
        self.full = true;
        if section != Section::Additional {
            self.set_flags(Flags::TC);
        }
    }

    fn put(&mut self, bytes: &[u8]) -> bool {
        let Some(end) = self
            .at
            .checked_add(bytes.len())
            .filter(|end| *end <= self.limit)
        else {
            return false;
        };
        let Some(room) = self.out.get_mut(self.at..end) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.at = end;
        true
    }

    fn put_u16(&mut self, value: u16) -> bool {
        self.put(&value.to_be_bytes())
    }

    fn put_name(&mut self, name: Name<'_>) -> bool {
        match name {
            Name::Wire(wire) => self.put(wire),
            Name::Below(labels, at) => self.put(labels) && self.put_name(Name::At(at)),
            Name::At(at) => match pointer_to(at) {
                Some(pointer) => self.put(&pointer),
                None => self.put_copy(at), // it stands too far on
            },
        }
    }

    /// Writes again, without pointers, a name that was written without pointers.
    fn put_copy(&mut self, from: usize) -> bool {
        let mut end = from;
        loop {
            let Some(len) = self.out.get(end).copied().filter(|len| *len <= 63) else {
                return false;
            };
            end = end.saturating_add(usize::from(len)).saturating_add(1);
            if end > self.at {
                return false;
            }
            if len == 0 {
                break;
            }
        }
        self.put_again(from, end.saturating_sub(from))
    }

    /// Writes octets again that were written before: those of the question from where it came, since a processor waits some 40
    /// cycles to read what it has just written in other pieces.
    fn put_again(&mut self, from: usize, len: usize) -> bool {
        let asked =
            (from.checked_sub(HEADER_LEN)).and_then(|from| self.question.get(from..)?.get(..len));
        if let Some(asked) = asked {
            return self.put(asked);
        }
        let (end, to) = (from.saturating_add(len), self.at.saturating_add(len));
        let fits = end <= self.at && to <= self.limit.min(self.out.len());
        if fits {
            self.out.copy_within(from..end, self.at);
            self.at = to;
        }
        fits
    }
}

/// A pointer to the name at this offset, which has 14 bits (RFC 1035 §4.1.4).
fn pointer_to(at: usize) -> Option<[u8; 2]> {
    let at = u16::try_from(at).ok().filter(|at| *at < 0x4000)?;
    Some((0xc000 | at).to_be_bytes())
}

/// The RDATA of the record in the making. Each method says whether what it was given fitted.
#[derive(Debug)]
pub struct Rdata<'r, 'o, 't> {
    reply: &'r mut Reply<'o, 't>,
}

impl Rdata<'_, '_, '_> {
    /// The numbers in front of an SRV record's target: priority 0, weight and port (RFC 2782).
    pub fn srv(&mut self, weight: u16, port: u16) -> bool {
        let ([w0, w1], [p0, p1]) = (weight.to_be_bytes(), port.to_be_bytes());
        self.reply.put(&[0, 0, w0, w1, p0, p1])
    }

    /// Octets as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.reply.put(bytes)
    }

    /// A 32-bit number.
    pub fn u32(&mut self, value: u32) -> bool {
        self.reply.put(&value.to_be_bytes())
    }

    /// A name that may be compressed: in the RDATA of the types of RFC 1035 only (RFC 3597 §4).
    pub fn name(&mut self, name: Name<'_>) -> bool {
        self.reply.put_name(name)
    }

    /// The name of so many octets that stands at this offset of the reply, written out: for SRV targets, which are not compressed
    /// (RFC 2782), and for what later records point to.
    pub fn copy_of(&mut self, at: usize, len: usize) -> bool {
        self.reply.put_again(at, len)
    }
}

const OPT_FIXED_LEN: usize = 11;

fn opt_len(edns: &ReplyEdns<'_>) -> usize {
    let keepalive = edns.keepalive.map_or(0, |_| 6_usize);
    let ede = edns.ede.map_or(0, |ede| ede.text_len().saturating_add(6));
    OPT_FIXED_LEN.saturating_add(keepalive).saturating_add(ede)
}

/// Writes the header-only reply to a message whose rest cannot be trusted; says how long it is.
pub fn header_only(asked: Header, rcode: Rcode, out: &mut [u8]) -> Option<usize> {
    let flags = Flags(asked.flags.for_reply().0 | u16::from(rcode as u8 & 0x0f));
    let reply = Header {
        id: asked.id,
        flags,
        counts: [0; 4],
    };
    reply.write(out).map(|()| HEADER_LEN)
}
