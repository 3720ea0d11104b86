//! The form of a Corefile: server blocks, directives, arguments, each with its line. It knows no directive.

/// `KEYS { DIRECTIVES }`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Zones with scheme and port, as they stand there.
    pub(super) keys: Vec<String>,
    pub(super) line: usize,
    pub(super) directives: Vec<Directive>,
}

/// `NAME ARGUMENTS { BODY }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) line: usize,
    pub(super) body: Vec<Self>,
}

/// Deeper than any plugin nests, and shallow enough for recursion.
const MAX_DEPTH: usize = 8;

/// Reads a Corefile, or says what is wrong with it, with its line.
pub(super) fn parse(text: &str) -> Result<Vec<Block>, String> {
    let mut lines = lines(text)?.into_iter().peekable();
    let mut blocks = Vec::new();
    let mut keys = Vec::new();
    while let Some((line, mut words)) = lines.next() {
        let opens = words.last().is_some_and(|word| word == "{");
        words.truncate(words.len() - usize::from(opens));
        if words.iter().any(|word| word == "{" || word == "}") {
            return Err(format!("line {line}: a brace that opens or closes nothing"));
        }
        let names = words.iter().flat_map(|word| word.split(','));
        keys.extend(names.filter(|key| !key.is_empty()).map(str::to_owned));
        if opens {
            let directives = body(&mut lines, line, 1)?;
            blocks.push(Block {
                keys: std::mem::take(&mut keys),
                line,
                directives,
            });
        }
    }
    match keys.first() {
        None => Ok(blocks),
        Some(key) => Err(format!("`{key}` stands outside of every server block")),
    }
}

type Lines = std::iter::Peekable<std::vec::IntoIter<(usize, Vec<String>)>>;

fn body(lines: &mut Lines, opened: usize, depth: usize) -> Result<Vec<Directive>, String> {
    if depth > MAX_DEPTH {
        return Err(format!(
            "line {opened}: more than {MAX_DEPTH} blocks in one another"
        ));
    }
    let mut directives = Vec::new();
    for_each_line(lines, opened, |lines, line, mut words| {
        let opens = words.last().is_some_and(|word| word == "{");
        words.truncate(words.len() - usize::from(opens));
        let mut words = words.into_iter();
        let name = words.next().unwrap_or_default();
        let body = if opens {
            body(lines, line, depth + 1)?
        } else {
            Vec::new()
        };
        let arguments = words.collect();
        directives.push(Directive {
            name,
            arguments,
            line,
            body,
        });
        Ok(())
    })?;
    Ok(directives)
}

fn for_each_line(
    lines: &mut Lines,
    opened: usize,
    mut each: impl FnMut(&mut Lines, usize, Vec<String>) -> Result<(), String>,
) -> Result<(), String> {
    while let Some((line, words)) = lines.next() {
        if words == ["}"] {
            return Ok(());
        }
        each(lines, line, words)?;
    }
    Err(format!("line {opened}: the block is not closed"))
}

/// The words of every line that has some; an opening brace ends a line, and a closing one has its own.
fn lines(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = Vec::new();
        for word in
            words_of(line).ok_or_else(|| format!("line {number}: a quotation does not end"))?
        {
            if word == "}" && !words.is_empty() {
                lines.push((number, std::mem::take(&mut words)));
            }
            let ends = word == "}" || word == "{";
            words.push(word);
            if ends {
                lines.push((number, std::mem::take(&mut words)));
            }
        }
        if !words.is_empty() {
            lines.push((number, words));
        }
    }
    Ok(lines)
}

/// Words between blanks, up to a comment; in double quotes everything is a word's. `None` if they do not end.
fn words_of(line: &str) -> Option<Vec<String>> {
    let (mut words, mut rest) = (Vec::new(), line.trim_start());
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"')?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_directives_and_arguments_have_their_lines() {
        let text = "# a comment\n.:53, example.org\n  {\n  errors # and another\n  log \"a b\" {\n    class denial\n  } }\ntls://.:853 { whoami }\n";
        let blocks = parse(&text.replace("\n  {", " {")).unwrap();
        let directive = |line, name: &str, arguments: &[&str], body| Directive {
            name: name.to_owned(),
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
            line,
            body,
        };
        let class = directive(5, "class", &["denial"], vec![]);
        let first = Block {
            keys: vec![".:53".to_owned(), "example.org".to_owned()],
            line: 2,
            directives: vec![
                directive(3, "errors", &[], vec![]),
                directive(4, "log", &["a b"], vec![class]),
            ],
        };
        assert_eq!(blocks[0], first);
        assert_eq!(blocks[1].keys, ["tls://.:853"]);
    }

    #[test]
    fn what_is_no_corefile_is_refused_with_its_line() {
        let refused = |text| parse(text).unwrap_err();
        assert_eq!(
            refused(".:53 {\n  errors\n"),
            "line 1: the block is not closed"
        );
        assert_eq!(
            refused(".:53 {\n}\n}\n"),
            "line 3: a brace that opens or closes nothing"
        );
        assert_eq!(
            refused(". {\n log \"a\n}"),
            "line 2: a quotation does not end"
        );
        assert_eq!(
            refused("example.org\n"),
            "`example.org` stands outside of every server block"
        );
        let deep = format!("{}{}", ". {\n".repeat(9), "}\n".repeat(9));
        assert_eq!(refused(&deep), "line 9: more than 8 blocks in one another");
    }
}
