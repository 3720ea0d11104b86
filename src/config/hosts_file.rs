//! Reads static names out of a file in the format of /etc/hosts (hosts(5)). It opens no file.

use super::value::{HostName, Word as _};
use crate::{answer::is_kubernetes, wire::NameKey};
use std::net::IpAddr;

/// A file of static names.
#[derive(Debug, Default)]
pub(crate) struct HostsFile {
    /// Each line's names and its address.
    pub(crate) lines: Vec<(Vec<NameKey>, IpAddr)>,
    /// What could not be used, and where.
    pub(crate) bad: Vec<String>,
}

impl HostsFile {
    /// Parses the text. Names that Kubernetes gives below `domain` are not used: a kubelet writes a pod's own into its
    /// /etc/hosts.
    pub(crate) fn parse(text: &str, domain: &NameKey) -> Self {
        let mut file = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let Some(first) = words.next() else { continue };
            let mut bad = |what: &str, found: &str| {
                let found = found.escape_debug();
                file.bad
                    .push(format!("line {number}: {what}; found `{found:.80}`"));
            };
            let Ok(address) = first.parse() else {
                bad("expected an address", first);
                continue;
            };
            let mut names = vec![];
            for word in words {
                match HostName.parse(word) {
                    None => bad(&format!("expected {}", HostName.expected()), word),
                    Some(name) if is_kubernetes(&name, domain) => {
                        bad("expected a name that is not the cluster's to give", word);
                    }
                    Some(name) => names.push(name),
                }
            }
            if !names.is_empty() {
                file.lines.push((names, address));
            }
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_an_address_and_its_names_and_bad_ones_are_named() {
        let domain = NameKey::from_text("cluster.local").unwrap();
        let text = "# a comment\n\n192.0.2.10\tdb.corp.example db  # and another\n2001:db8::10 DB.\r\n\
                    fe80::1%lo0 localhost\n192.0.2.11\n\
                    10.1.0.4 web-0.nginx.default.svc.cluster.local web-0\n192.0.2.12 *.example a_b\n";
        let file = HostsFile::parse(text, &domain);
        let lines = file.lines.iter();
        let lines: Vec<_> = lines.map(|(names, at)| format!("{at} {names:?}")).collect();
        let expected = [
            "192.0.2.10 [db.corp.example., db.]",
            "2001:db8::10 [db.]",
            "10.1.0.4 [web-0.]",
            "192.0.2.12 [a_b.]",
        ];
        assert_eq!(lines, expected);
        let expected = [
            "line 5: expected an address; found `fe80::1%lo0`",
            "line 7: expected a name that is not the cluster's to give; found `web-0.nginx.default.svc.cluster.local`",
            "line 8: expected a name such as `db.corp.example`: labels of letters, digits, `-` and `_`; found `*.example`",
        ];
        assert_eq!(file.bad, expected);
    }
}
