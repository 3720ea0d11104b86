//! A finished reply made into one that says: ask again by TCP.

use super::{Flags, HEADER_LEN, Header, query::Record, rtype};

/// Takes every record but OPT out of a reply to one question, sets TC, and says how long the rest is. `None`, with nothing
/// changed, if there is no record to take out.
pub fn truncate(reply: &mut [u8]) -> Option<usize> {
    let mut header = Header::read(reply)?;
    let mut question = HEADER_LEN;
    loop {
        match *reply.get(question)? {
            0 => break,
            len => question = question.checked_add(usize::from(len))?.checked_add(1)?,
        }
    }
    let question_end = question.checked_add(5)?;
    let records = header.counts.iter().skip(1).map(|it| u32::from(*it)).sum();
    let (mut at, mut opt) = (question_end, None);
    for _ in 0_u32..records {
        let record = Record::read(reply, at)?;
        if record.rtype == rtype::OPT {
            opt = Some(at..record.end);
        }
        at = record.end;
    }
    let kept = u16::from(opt.is_some());
    (records > u32::from(kept)).then_some(())?;
    header.counts = [1, 0, 0, kept];
    header.flags.0 |= Flags::TC;
    header.write(reply)?;
    let opt = opt.unwrap_or_default();
    let end = question_end.checked_add(opt.len())?;
    reply.copy_within(opt, question_end);
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a. A`, with these counts of records.
    fn reply(counts: [u8; 3], records: &[u8]) -> Vec<u8> {
        let [answers, authorities, additional] = counts;
        let header = [
            7,
            7,
            0x84,
            0,
            0,
            1,
            0,
            answers,
            0,
            authorities,
            0,
            additional,
        ];
        [&header[..], b"\x01a\0\0\x01\0\x01", records].concat()
    }

    const RECORD: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x7f\0\0\x01";
    const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";

    #[test]
    fn what_is_left_is_the_question_and_opt_with_tc() {
        for (mut long, mut short) in [
            (reply([2, 0, 0], &RECORD.repeat(2)), reply([0, 0, 0], &[])),
            (
                reply([2, 1, 1], &[&RECORD.repeat(3), OPT].concat()),
                reply([0, 0, 1], OPT),
            ),
        ] {
            let len = truncate(&mut long).unwrap();
            short[2] |= 2;
            assert_eq!(long[..len], short);
            assert_eq!(truncate(&mut long[..len]), None, "there is no more");
        }
    }

    #[test]
    fn what_cannot_be_walked_through_stays() {
        for mut broken in [
            vec![],
            reply([2, 0, 0], RECORD),
            reply([1, 0, 0], &RECORD[..9]),
        ] {
            let before = broken.clone();
            assert_eq!(truncate(&mut broken), None);
            assert_eq!(broken, before);
        }
    }
}
