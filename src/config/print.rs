//! A configuration written out: every key with its value, and above it what it is for.

use super::Key;
use std::fmt::Write;

/// Longest line of a comment, its indentation included.
const WIDTH: usize = 100;

/// The keys as a YAML document that reads back as the same configuration.
pub fn print(keys: &[Key]) -> String {
    let mut document = String::new();
    let mut open: Vec<&str> = Vec::new();
    for key in keys {
        let mut sections: Vec<&str> = key.path.split('.').collect();
        let name = sections.pop().unwrap_or_default();
        let same = open
            .iter()
            .zip(&sections)
            .take_while(|(a, b)| a == b)
            .count();
        if open.is_empty() || same < open.len() || same < sections.len() {
            document.push('\n');
        }
        for (depth, section) in sections.iter().enumerate().skip(same) {
            line(&mut document, depth, &format!("{section}:"));
        }
        let depth = sections.len();
        comment(&mut document, depth, key.reason);
        comment(
            &mut document,
            depth,
            &format!("Default {}; {}.", key.default, key.expected),
        );
        line(&mut document, depth, &format!("{name}: {}", key.value));
        open = sections;
    }
    document.trim_start().to_owned()
}

fn comment(document: &mut String, depth: usize, text: &str) {
    let mut written = String::from("#");
    for word in text.split_whitespace() {
        if 2 * depth + written.len() + 1 + word.len() > WIDTH {
            line(document, depth, &written);
            written = String::from("#");
        }
        written.push(' ');
        written.push_str(word);
    }
    line(document, depth, &written);
}

fn line(document: &mut String, depth: usize, text: &str) {
    let indent = 2 * depth;
    writeln!(document, "{:indent$}{text}", "").expect("a String takes everything");
}
