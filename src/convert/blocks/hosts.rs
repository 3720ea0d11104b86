//! `hosts`: names with addresses of their own.

use super::{Found, seconds};
use crate::convert::corefile::Directive;
use std::net::IpAddr;

pub(super) fn read(found: &mut Found, it: &Directive) {
    if let Some(file) = it.arguments.first() {
        found.keys.hosts_file = Some(file.clone());
    }
    if it.arguments.len() > 1 {
        found.left_out(
            it,
            "its zones are not carried over; a name counts wherever it stands",
        );
    }
    let mut names: Vec<(String, Vec<String>)> = Vec::new();
    for line in &it.body {
        if line.name.parse::<IpAddr>().is_ok() {
            for name in &line.arguments {
                let name = name.trim_end_matches('.').to_lowercase();
                match names.iter_mut().find(|(other, _)| *other == name) {
                    Some((_, addresses)) if addresses.contains(&line.name) => {}
                    Some((_, addresses)) => addresses.push(line.name.clone()),
                    None => names.push((name, vec![line.name.clone()])),
                }
            }
        } else {
            option(found, line);
        }
    }
    if !it.body.iter().any(|it| it.name == "fallthrough") {
        found.left_out(
            it,
            "a name that is not there is looked for further, as with `fallthrough`",
        );
    }
    for (name, addresses) in names {
        let entries = &mut found.keys.hosts;
        match entries.iter_mut().find(|(_, its)| *its == addresses) {
            Some((names, _)) => names.push(name),
            None => entries.push((vec![name], addresses)),
        }
    }
}

fn option(found: &mut Found, it: &Directive) {
    match (it.name.as_str(), it.arguments.as_slice()) {
        ("fallthrough", []) => {}
        ("fallthrough", _) => found.left_out(it, "for every zone"),
        ("ttl", [ttl]) => match seconds(ttl) {
            Some(ttl) if ttl <= 3600 => found.keys.hosts_ttl = Some(format!("{ttl}s")),
            _ => found.left_out(it, "not carried over; not a time of at most an hour"),
        },
        ("reload", _) => found.left_out(it, "not carried over; the file is read at the start"),
        ("no_reverse", _) => found.left_out(it, "not carried over; addresses have reverse names"),
        _ => found.left_out(it, "not carried over; not an address with names"),
    }
}
