//! Addresses as labels, with `-` for `.` or `:`: the names of endpoints that have no hostname, and of pods. It knows neither.

use std::net::IpAddr;

/// The label that spells an address; a `0` stands behind a last `-`, with which no label ends.
pub fn label_of(address: IpAddr) -> Vec<u8> {
    let mut text = address.to_string().replace(['.', ':'], "-");
    if text.ends_with('-') {
        text.push('0');
    }
    text.into_bytes()
}

/// The address that a label spells, in whatever form. Allocates nothing.
pub fn address_of(label: &[u8]) -> Option<IpAddr> {
    if label.contains(&b'.') || label.contains(&b':') {
        return None; // an octet of the label, not a separator
    }
    let mut longest = [0; "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len()];
    let text = longest.get_mut(..label.len())?;
    let mut spell = |separator| {
        for (to, from) in text.iter_mut().zip(label) {
            *to = if *from == b'-' { separator } else { *from };
        }
        str::from_utf8(text).ok()?.parse().ok()
    };
    spell(b'.')
        .filter(IpAddr::is_ipv4)
        .or_else(|| spell(b':').filter(IpAddr::is_ipv6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_spells_an_address_of_either_family() {
        for (label, address) in [
            ("10-1-2-3", "10.1.2.3"),
            ("fd00--1", "fd00::1"),
            ("fd00--0", "fd00::"),
            ("--1", "::1"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(address_of(label.as_bytes()), Some(address));
            assert_eq!(label_of(address), label.as_bytes());
        }
        for bad in [
            "",
            "10-1-2",
            "10-1-2-300",
            "web-0",
            "10.1.2.3",
            "fd00::1",
            &"0-".repeat(31),
        ] {
            assert_eq!(address_of(bad.as_bytes()), None, "{bad}");
        }
    }
}
