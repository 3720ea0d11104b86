//! A Corefile, or a ConfigMap that holds one, made into our configuration, and every line of it that has no place there.
//! It knows CoreDNS's directives and the names of our keys; whether the outcome is valid, [`crate::config`] says.

mod blocks;
mod corefile;
mod document;
mod yaml;

use std::fmt;

/// What a file became.
#[derive(Debug, PartialEq, Eq)]
pub struct Converted {
    /// A configuration of ours, in YAML.
    pub configuration: String,
    /// What is not in it, or not as it was, in the order of the lines.
    pub remarks: Vec<Remark>,
}

/// What became of a line that was not simply carried over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// Counted from 1 in the Corefile, also where that is a value of a ConfigMap; 0 for what stands beside it.
    pub line: usize,
    /// The directive, and what became of it.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.text),
            line => write!(f, "line {line}: {}", self.text),
        }
    }
}

/// Converts a Corefile, or the ConfigMaps in a file of manifests: `Corefile`, keys that end with `.server`, and the
/// `stubDomains` and `upstreamNameservers` of kube-dns. An error is a text for people.
pub fn convert(text: &str) -> Result<Converted, String> {
    document::read(text).and_then(|document| blocks::convert(&document))
}
