//! The words of a script: lines into statements. What they do is the world's affair.

use std::time::Duration;

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    Set(String, String),
    Apply(String, String),
    Upstream(String, Says),
    Ask(String, Answer),
    /// How often an upstream was asked, over all transports and by TCP, if that is said.
    Asked(String, usize, Option<usize>),
    Elapse(Duration),
}

/// What an upstream says from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// What its zone has.
    Zone(String),
    /// This code.
    Rcode(u8),
    Nothing,
    /// What its zone has, in this manner.
    Act(String),
}

/// A whole answer, or what is expected of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub rcode: String,
    pub ede: Option<u16>,
    pub after: Duration,
    /// In alphabetical order.
    pub records: Vec<String>,
}

/// The statements of a script, each with the number of its line: the first line, and those that go on with it.
pub fn statements(script: &str) -> Vec<(usize, Vec<&str>)> {
    let mut statements: Vec<(usize, Vec<&str>)> = vec![];
    for (number, line) in (1..).zip(script.lines()) {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match statements.last_mut() {
            Some((_, lines)) if line.starts_with(' ') => lines.push(text),
            _ => statements.push((number, vec![text])),
        }
    }
    statements
}

impl Statement {
    /// Says what was expected if it is none.
    pub fn parse(lines: &[&str]) -> Result<Self, String> {
        let (verb, rest) = lines[0].split_once(' ').unwrap_or((lines[0], ""));
        let (rest, more) = (rest.trim(), &lines[1..]);
        let pair = || {
            let pair = rest.split_once(' ').ok_or("expected two words");
            pair.map(|(first, second)| (first.to_owned(), second.trim().to_owned()))
        };
        Ok(match verb {
            "set" => {
                let (key, value) = pair()?;
                Self::Set(key, value)
            }
            "apply" => {
                let (name, target) = pair()?;
                Self::Apply(name, target)
            }
            "upstream" => {
                let (name, first) = rest.split_once(':').ok_or("expected NAME: RECORD")?;
                let says = match rcode(first.trim()) {
                    Some(code) => Says::Rcode(code),
                    None => Says::Zone([&[first], more].concat().join("\n")),
                };
                Self::Upstream(name.to_owned(), says)
            }
            "silence" => Self::Upstream(rest.to_owned(), Says::Nothing),
            "ask" => {
                let (question, answer) = rest.split_once("->").ok_or("expected `->`")?;
                Self::Ask(question.trim().to_owned(), Answer::parse(answer, more)?)
            }
            "act" => {
                let (name, how) = pair()?;
                Self::Upstream(name, Says::Act(how))
            }
            "asked" => {
                let (name, times) = pair()?;
                let (all, tcp) = match times.split_once(" tcp=") {
                    Some((all, tcp)) => (all, Some(number(tcp)?)),
                    None => (&*times, None),
                };
                Self::Asked(name, number(all)?, tcp)
            }
            "elapse" => Self::Elapse(duration(rest)?),
            _ => return Err(format!("expected a verb, not `{verb}`")),
        })
    }
}

impl Answer {
    fn parse(first: &str, more: &[&str]) -> Result<Self, String> {
        let (mut ede, mut after, mut words) = (None, Duration::ZERO, vec![]);
        for word in first.split_whitespace() {
            match word.split_once('=') {
                Some(("ede", code)) => ede = Some(code.parse().map_err(|_| "expected a code")?),
                Some(("in", time)) => after = duration(time)?,
                _ => words.push(word),
            }
        }
        let (rcode, record) = words.split_first().ok_or("expected a code")?;
        let mut records: Vec<_> = more.iter().map(|line| one_spaced(line)).collect();
        if !record.is_empty() {
            records.push(record.join(" "));
        }
        records.sort();
        Ok(Self {
            rcode: (*rcode).to_owned(),
            ede,
            after,
            records,
        })
    }
}

fn number(text: &str) -> Result<usize, &'static str> {
    text.parse().map_err(|_| "expected a number")
}

fn one_spaced(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn rcode(word: &str) -> Option<u8> {
    match word {
        "SERVFAIL" => Some(2),
        "REFUSED" => Some(5),
        _ => None,
    }
}

/// A whole number and `ms`, `s`, `m` or `h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("expected a time such as `10s`, not `{text}`")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("expected a time, not `{text}`"))?;
    Ok(Duration::from_millis(number * unit))
}
