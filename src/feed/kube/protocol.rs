//! What an API server sends, decoded no further than needed: list pages and watch lines whose objects stay text, so that
//! a malformed object costs only itself. It knows no HTTP and no clock.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest watch line. etcd holds objects of up to 1.5 MiB; as JSON with managed fields they may grow about fourfold.
const MAX_LINE_BYTES: usize = 8 << 20;
/// The annotation of the bookmark that ends a streaming list (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Why a response is none of an API server.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("expected a Kubernetes list: {0}")]
    Page(serde_json::Error),
    #[error("expected a watch event: {0}")]
    Line(serde_json::Error),
    #[error(
        "expected a watch event of one of ADDED, MODIFIED, DELETED, BOOKMARK, ERROR, not `{0}`"
    )]
    Kind(String),
    #[error("expected watch events of at most {MAX_LINE_BYTES} bytes")]
    TooLong,
}

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) resource_version: String,
    /// What the next page is asked with; `None` at the last.
    pub(super) next: Option<String>,
    pub(super) items: Vec<&'a RawValue>,
}

/// One line of a watch. Whether an object's text is JSON is known when it is read: see [`whole`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Applied(&'a str),
    Deleted(&'a str),
    Bookmark {
        resource_version: Option<String>,
        initial_events_end: bool,
    },
    Error(Status),
}

/// `metav1.Status`: why the server did not do it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) message: Option<String>,
    pub(super) details: Option<Details>,
}

/// The only detail of a [`Status`] that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Details {
    pub(super) retry_after_seconds: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMetadata {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct RawPage<'a> {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Versioned {
    metadata: Option<Version>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Version {
    resource_version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bookmark {
    metadata: BookmarkMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BookmarkMetadata {
    resource_version: Option<String>,
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// Decodes a page of a list.
pub(super) fn page(json: &[u8]) -> Result<Page<'_>, Error> {
    let raw: RawPage<'_> = serde_json::from_slice(json).map_err(Error::Page)?;
    Ok(Page {
        resource_version: raw.metadata.resource_version.unwrap_or_default(),
        next: raw.metadata.next.filter(|next| !next.is_empty()),
        items: raw.items.unwrap_or_default(),
    })
}

/// Decodes a line of a watch.
pub(super) fn line(json: &[u8]) -> Result<Line<'_>, Error> {
    cut(json).map_or_else(|| parse(json), Ok)
}

/// A line in the form in which API servers write them is cut without being read, as its object is read right after.
fn cut(json: &[u8]) -> Option<Line<'_>> {
    let line = str::from_utf8(json).ok()?.trim_ascii_end();
    let (kind, object) = line
        .strip_prefix(r#"{"type":""#)?
        .strip_suffix('}')?
        .split_once(r#"","object":"#)?;
    match kind {
        "ADDED" | "MODIFIED" => Some(Line::Applied(object)),
        "DELETED" => Some(Line::Deleted(object)),
        _ => None,
    }
}

/// The plain twin of [`cut`], for every line.
fn parse(json: &[u8]) -> Result<Line<'_>, Error> {
    let raw: RawLine<'_> = serde_json::from_slice(json).map_err(Error::Line)?;
    match &*raw.kind {
        "ADDED" | "MODIFIED" => Ok(Line::Applied(raw.object.get())),
        "DELETED" => Ok(Line::Deleted(raw.object.get())),
        "BOOKMARK" => {
            let bookmark: Bookmark = serde_json::from_str(raw.object.get()).map_err(Error::Line)?;
            let annotations = bookmark.metadata.annotations.unwrap_or_default();
            Ok(Line::Bookmark {
                resource_version: bookmark.metadata.resource_version,
                initial_events_end: annotations
                    .get(INITIAL_EVENTS_END)
                    .is_some_and(|value| value == "true"),
            })
        }
        "ERROR" => Ok(Line::Error(status(raw.object.get().as_bytes(), 500))),
        other => Err(Error::Kind(other.chars().take(40).collect())),
    }
}

/// Decodes a status; what is no status, such as a proxy's page, is one of this code without a message.
pub(super) fn status(json: &[u8], code: u16) -> Status {
    let mut status: Status = serde_json::from_slice(json).unwrap_or_default();
    if status.code == 0 {
        status.code = code;
    }
    status
}

/// An object that cannot be read is malformed only if its text is JSON; otherwise the line is.
pub(super) fn whole(object: &str) -> Result<(), Error> {
    serde_json::from_str::<serde::de::IgnoredAny>(object).map_err(Error::Line)?;
    Ok(())
}

/// The resourceVersion of an object, malformed or not.
pub(super) fn resource_version(object: &str) -> Option<String> {
    let versioned: Versioned = serde_json::from_str(object).ok()?;
    versioned.metadata?.resource_version
}

/// Whether a version is older than another. They are ordered as numbers (KEP-5504); others have no order.
pub(super) fn is_before(version: &str, other: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    matches!((number(version), number(other)), (Some(a), Some(b)) if a < b)
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Where the line that comes next starts.
    start: usize,
    /// How far was looked for its end.
    searched: usize,
}

impl Lines {
    /// Appends what arrived.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a whole line is there; an error if none will be within the limit.
    pub(super) fn ready(&mut self) -> Result<bool, Error> {
        loop {
            let rest = &self.buffer[self.searched..];
            let Some(length) = memchr::memchr(b'\n', rest) else {
                self.searched = self.buffer.len();
                if self.buffer.len() - self.start > MAX_LINE_BYTES {
                    return Err(Error::TooLong);
                }
                return Ok(false);
            };
            self.searched += length;
            if !self.buffer[self.start..self.searched]
                .trim_ascii()
                .is_empty()
            {
                return Ok(true);
            }
            self.searched += 1;
            self.start = self.searched;
        }
    }

    /// Takes the line that [`Lines::ready`] found.
    pub(super) fn take(&mut self) -> &[u8] {
        let line = &self.buffer[self.start..self.searched];
        self.searched = (self.searched + 1).min(self.buffer.len());
        self.start = self.searched;
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_keeps_its_items_as_text() {
        let json = br#"{"kind":"ServiceList","metadata":{"resourceVersion":"7","continue":"abc","remainingItemCount":1},
            "items":[{"metadata":{}}, 17, {"spec":"malformed"}]}"#;
        let page = page(json).unwrap();
        let items: Vec<_> = page.items.iter().map(|item| item.get()).collect();
        assert_eq!(
            items,
            [r#"{"metadata":{}}"#, "17", r#"{"spec":"malformed"}"#]
        );
        assert_eq!(
            (&*page.resource_version, page.next.as_deref()),
            ("7", Some("abc"))
        );
    }

    #[test]
    fn the_last_page_has_no_continue_token_and_its_items_may_be_null() {
        let json = br#"{"metadata":{"resourceVersion":"7","continue":""},"items":null}"#;
        let page = page(json).unwrap();
        assert_eq!((page.next, page.items.len()), (None, 0));
        assert!(super::page(b"<html>").is_err());
    }

    #[test]
    fn the_bookmark_with_the_annotation_ends_the_initial_events() {
        for (annotations, end) in [
            (r#"{"k8s.io/initial-events-end":"true"}"#, true),
            (r#"{"k8s.io/initial-events-end":"false"}"#, false),
            ("null", false),
        ] {
            let json = format!(
                r#"{{"type":"BOOKMARK","object":{{"kind":"Pod","metadata":{{"resourceVersion":"9","annotations":{annotations}}}}}}}"#
            );
            let Ok(Line::Bookmark {
                resource_version,
                initial_events_end,
            }) = line(json.as_bytes())
            else {
                panic!("{json}");
            };
            assert_eq!(
                (resource_version.as_deref(), initial_events_end),
                (Some("9"), end)
            );
        }
    }

    #[test]
    fn an_error_line_is_a_status() {
        let json = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old resource version","details":{"retryAfterSeconds":3}}}"#;
        let Ok(Line::Error(status)) = line(json) else {
            panic!("expected an error");
        };
        assert_eq!(
            status,
            Status {
                code: 410,
                message: Some("too old resource version".to_owned()),
                details: Some(Details {
                    retry_after_seconds: Some(3)
                })
            }
        );
        assert!(matches!(
            line(br#"{"type":"NEW","object":{}}"#),
            Err(Error::Kind(_))
        ));
        assert!(matches!(line(br#"{"type":"ADDED"}"#), Err(Error::Line(_))));
    }

    #[test]
    fn a_line_that_is_cut_says_what_it_says_to_who_reads_it() {
        for object in [r#"{"metadata":{"name":"a}"}}"#, "{}", "17", "[{}]"] {
            for kind in ["ADDED", "MODIFIED", "DELETED"] {
                for (begin, end) in [("", ""), ("", "\r"), (" ", " ")] {
                    let json = format!(r#"{begin}{{"type":"{kind}","object":{object}}}{end}"#);
                    let line = line(json.as_bytes()).unwrap();
                    assert_eq!(line, parse(json.as_bytes()).unwrap(), "{json}");
                }
            }
        }
        let other_order = br#"{"object":{},"type":"ADDED"}"#;
        assert_eq!(line(other_order).unwrap(), Line::Applied("{}"));
    }

    #[test]
    fn a_line_that_breaks_off_is_whole_to_nobody() {
        let json = r#"{"type":"ADDED","object":{"metadata":{"labels":{}}}}"#;
        assert!(
            matches!(line(json.as_bytes()), Ok(Line::Applied(object)) if whole(object).is_ok())
        );
        for end in 0..json.len() {
            match line(&json.as_bytes()[..end]) {
                Ok(Line::Applied(object)) => assert!(whole(object).is_err(), "{object}"),
                other => assert!(other.is_err(), "{other:?}"),
            }
        }
    }

    #[test]
    fn versions_are_ordered_as_numbers_or_not_at_all() {
        assert!(is_before("99", "100") && !is_before("100", "99") && !is_before("7", "7"));
        assert!(!is_before("a", "b") && !is_before("", "1") && !is_before("1", "b"));
    }

    #[test]
    fn lines_are_the_same_wherever_the_stream_is_cut() {
        let stream = b"\n{\"a\":1}\n\r\n{\"b\":2}\r\n{\"c\"";
        for cut in 0..=stream.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                lines.push(part);
                while lines.ready().unwrap() {
                    found.push(lines.take().to_vec());
                }
            }
            assert_eq!(
                found,
                [b"{\"a\":1}".to_vec(), b"{\"b\":2}\r".to_vec()],
                "{cut}"
            );
        }
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_limit() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; MAX_LINE_BYTES]);
        assert!(matches!(lines.ready(), Ok(false)));
        lines.push(b"x");
        assert!(matches!(lines.ready(), Err(Error::TooLong)));
    }
}
