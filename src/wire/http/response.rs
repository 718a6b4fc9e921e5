//! The head of an answer, and whole answers: short texts, and HTML pages of the shared files or of the contents that a name may mean.
//! Pages have only text and links; every name is escaped.

use std::fmt::Write;
use std::ops::Range;

use crate::types::name::{local_file_name, printable};
use crate::types::{ContentId, units};
use crate::wire::http::request::{Cursor, percent_encoded};

/// The media type of everything that is shared: nobody is to open it in the name of this host.
const ANY_BYTES: &str = "application/octet-stream";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// Nothing of a page loads, runs or frames anything; it may only lead on.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-downloads";
/// The most entries of a page.
pub const PAGE_ENTRIES_MAX: usize = 200;
/// A page that has so many bytes takes no further entry.
pub const PAGE_BYTES_MAX: usize = 64 << 10;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Here it is.
    Found,
    /// Here is the part that was wanted.
    Part,
    /// The name stands for several contents.
    Choices,
    /// The asker has it.
    NotModified,
    /// It makes no sense.
    BadRequest,
    /// It is not here.
    NotFound,
    /// This is for reading only.
    MethodNotAllowed,
    /// The file was shared and is not what it was.
    Gone,
    /// A body of unknown length.
    LengthRequired,
    /// A body.
    TooLarge,
    /// The content has no such part.
    Beyond,
    /// The asker takes this host for another.
    Misdirected,
    /// The head is too long.
    HeadTooLarge,
    /// Not now.
    Busy,
    /// A version that is not spoken.
    Version,
}

/// Whether a connection may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// For another request.
    Open,
    /// It is closed behind the answer.
    Closes,
}

/// One entry of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The content.
    pub id: ContentId,
    /// One of its names.
    pub name: &'a str,
    /// Its size in bytes.
    pub size: u64,
}

impl Status {
    /// Its number.
    pub fn code(self) -> u16 {
        self.parts().0
    }

    fn parts(self) -> (u16, &'static str) {
        match self {
            Status::Found => (200, "OK"),
            Status::Part => (206, "Partial Content"),
            Status::Choices => (300, "Multiple Choices"),
            Status::NotModified => (304, "Not Modified"),
            Status::BadRequest => (400, "Bad Request"),
            Status::NotFound => (404, "Not Found"),
            Status::MethodNotAllowed => (405, "Method Not Allowed"),
            Status::Gone => (410, "Gone"),
            Status::LengthRequired => (411, "Length Required"),
            Status::TooLarge => (413, "Content Too Large"),
            Status::Beyond => (416, "Range Not Satisfiable"),
            Status::Misdirected => (421, "Misdirected Request"),
            Status::HeadTooLarge => (431, "Request Header Fields Too Large"),
            Status::Busy => (503, "Service Unavailable"),
            Status::Version => (505, "HTTP Version Not Supported"),
        }
    }

    /// What a person reads who gets no more than this.
    fn sentence(self) -> &'static str {
        match self {
            Status::NotFound => "This peer shares no file with this name or id. / lists all shared files.",
            Status::Gone => "The file changed after it was shared.",
            Status::MethodNotAllowed => "Only GET and HEAD are possible here.",
            Status::Misdirected => "That is not a name or an address of this host.",
            Status::Beyond => "The file has no bytes in this range.",
            Status::Busy => "This peer is busy. Try again in a moment.",
            _ => self.parts().1,
        }
    }
}

/// The head of an answer whose bytes follow: a content under one of its names, wholly or in part.
pub fn content(id: &ContentId, name: &str, size: u64, part: Option<&Range<u64>>, stays: Stays) -> Vec<u8> {
    let (status, len) = match part {
        Some(part) => (Status::Part, part.end.saturating_sub(part.start)),
        None => (Status::Found, size),
    };
    let mut head = begun(status, stays);
    field(&mut head, "Content-Length", len);
    field(&mut head, "Content-Type", ANY_BYTES);
    if let Some(part) = part {
        let (first, last) = (part.start, part.end.saturating_sub(1));
        field(&mut head, "Content-Range", format_args!("bytes {first}-{last}/{size}"));
    }
    field(&mut head, "Content-Disposition", attachment(id, name));
    about_content(&mut head, id);
    finished(head)
}

/// The asker has the content.
pub fn not_modified(id: &ContentId, stays: Stays) -> Vec<u8> {
    let mut head = begun(Status::NotModified, stays);
    about_content(&mut head, id);
    finished(head)
}

/// The content has so many bytes, and no such part.
pub fn beyond(size: u64, head_only: bool, stays: Stays) -> Vec<u8> {
    let mut head = begun(Status::Beyond, stays);
    field(&mut head, "Content-Range", format_args!("bytes */{size}"));
    with_body(head, TEXT, &format!("{}\n", Status::Beyond.sentence()), head_only)
}

/// A page.
pub fn page(status: Status, html: &str, head_only: bool, stays: Stays) -> Vec<u8> {
    let mut head = begun(status, stays);
    field(&mut head, "Cache-Control", "no-store");
    with_body(head, HTML, html, head_only)
}

/// An answer that says why there is no other.
pub fn refusal(status: Status, head_only: bool, stays: Stays) -> Vec<u8> {
    let mut head = begun(status, stays);
    match status {
        Status::MethodNotAllowed => field(&mut head, "Allow", "GET, HEAD"),
        Status::Busy => field(&mut head, "Retry-After", 1),
        _ => {}
    }
    with_body(head, TEXT, &format!("{}\n", status.sentence()), head_only)
}

fn begun(status: Status, stays: Stays) -> String {
    let (code, reason) = status.parts();
    let mut head = format!("HTTP/1.1 {code} {reason}\r\n");
    let connection = match stays {
        Stays::Open => "keep-alive",
        Stays::Closes => "close",
    };
    field(&mut head, "Connection", connection);
    field(&mut head, "X-Content-Type-Options", "nosniff");
    field(&mut head, "Content-Security-Policy", POLICY);
    field(&mut head, "Cross-Origin-Resource-Policy", "same-origin");
    field(&mut head, "Referrer-Policy", "no-referrer");
    head
}

fn about_content(head: &mut String, id: &ContentId) {
    field(head, "ETag", format_args!("\"{id}\""));
    field(head, "Accept-Ranges", "bytes");
    // A name may mean another content tomorrow; a client that has it asks again, and gets 304.
    field(head, "Cache-Control", "no-cache");
}

fn field(head: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing into a String cannot fail.
    let _ = write!(head, "{name}: {value}\r\n");
}

fn finished(mut head: String) -> Vec<u8> {
    head.push_str("\r\n");
    head.into_bytes()
}

fn with_body(mut head: String, media: &str, body: &str, head_only: bool) -> Vec<u8> {
    field(&mut head, "Content-Length", body.len());
    field(&mut head, "Content-Type", media);
    let mut bytes = finished(head);
    if !head_only {
        bytes.extend_from_slice(body.as_bytes());
    }
    bytes
}

/// A file to be kept, under a name that is harmless on every system: once in ASCII for those who know no better.
fn attachment(id: &ContentId, name: &str) -> String {
    let name = local_file_name(name).unwrap_or_else(|| id.short());
    let plain = |c: char| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' };
    let ascii: String = name.chars().map(plain).collect();
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", percent_encoded(&name))
}

/// What is shared: a page of as many of the rows as it takes; behind it a link to the next page if there are `more` or
/// some are left.
pub fn listing<'a>(user: &str, rows: impl IntoIterator<Item = Row<'a>>, more: bool) -> String {
    let mut html = page_begun(&format!("Shared by {}", escaped(user)));
    let last = table(&mut html, rows);
    match last {
        Table::Empty => html.push_str("<p>No files.</p>\n"),
        Table::Took { last, all } if more || !all => {
            let _ = writeln!(html, "<p><a href=\"/?after={}\">More</a></p>", last.encoded());
        }
        Table::Took { .. } => {}
    }
    page_finished(html)
}

/// What a name may mean.
pub fn choices<'a>(name: &str, rows: impl IntoIterator<Item = Row<'a>>) -> String {
    let mut html = page_begun(&format!("Several files are called {}", escaped(name)));
    if let Table::Took { all: false, .. } = table(&mut html, rows) {
        html.push_str("<p>There are more.</p>\n");
    }
    page_finished(html)
}

/// What a table took.
enum Table {
    Empty,
    Took { last: Cursor, all: bool },
}

fn table<'a>(html: &mut String, rows: impl IntoIterator<Item = Row<'a>>) -> Table {
    let (mut last, mut count, mut all) = (None, 0, true);
    for row in rows {
        if count == PAGE_ENTRIES_MAX || html.len() >= PAGE_BYTES_MAX {
            all = false;
            break;
        }
        if count == 0 {
            html.push_str("<table>\n<tr><th>Name</th><th>Size</th><th>Id</th></tr>\n");
        }
        let Row { id, name, size } = row;
        // Writing into a String cannot fail.
        let _ = writeln!(
            html,
            "<tr><td><a href=\"/{id}\">{}</a></td><td title=\"{size}\">{}</td><td><code>{id}</code></td></tr>",
            escaped(name),
            units::size(size),
        );
        last = Some(Cursor { name: name.to_owned(), id });
        count = count.saturating_add(1);
    }
    let Some(last) = last else { return Table::Empty };
    html.push_str("</table>\n");
    Table::Took { last, all }
}

fn page_begun(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
}

fn page_finished(mut html: String) -> String {
    html.push_str("</body>\n</html>\n");
    html
}

/// Text that is only text on a page, and does not deceive.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: ContentId = ContentId([0xab; 32]);

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_part_says_which_it_is() {
        let head = text(content(&ID, "films/naïve \"x\".mkv", 100, Some(&(3..7)), Stays::Open));
        assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\nConnection: keep-alive\r\n"), "{head}");
        for line in [
            "Content-Length: 4",
            "Content-Range: bytes 3-6/100",
            "Content-Type: application/octet-stream",
            &format!("ETag: \"{}\"", "ab".repeat(32)),
            "Accept-Ranges: bytes",
            "X-Content-Type-Options: nosniff",
            "Content-Disposition: attachment; filename=\"na_ve _x_.mkv\"; filename*=UTF-8''na%C3%AFve%20_x_.mkv",
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
        }
        assert!(
            head.contains("default-src 'none'") && head.contains("sandbox") && head.ends_with("\r\n\r\n")
        );
    }

    #[test]
    fn a_head_alone_tells_the_length_of_what_it_leaves_out() {
        let whole = text(refusal(Status::NotFound, false, Stays::Closes));
        let head = text(refusal(Status::NotFound, true, Stays::Closes));
        assert!(whole.starts_with(&head) && head.ends_with("\r\n\r\n") && whole.len() > head.len());
        assert!(head.contains(&format!("Content-Length: {}\r\n", whole.len() - head.len())));
        assert!(
            text(refusal(Status::MethodNotAllowed, true, Stays::Closes)).contains("Allow: GET, HEAD\r\n")
        );
    }

    proptest! {
        #[test]
        fn no_name_breaks_out_of_its_line(name in any::<String>()) {
            let head = text(content(&ID, &name, 1, None, Stays::Closes));
            let plain = text(content(&ID, "x", 1, None, Stays::Closes));
            prop_assert_eq!(head.matches("\r\n").count(), plain.matches("\r\n").count());
            prop_assert!(head.is_ascii() && !head.replace("\r\n", "").chars().any(char::is_control));
            let disposition = head.lines().find(|line| line.starts_with("Content-Disposition")).unwrap();
            prop_assert_eq!(disposition.matches('"').count(), 2);
        }
    }

    #[test]
    fn a_page_is_bounded_and_says_where_it_goes_on() {
        let names: Vec<String> = (0..1000).map(|n| format!("{n:04}")).collect();
        let rows = || names.iter().map(|name| Row { id: ID, name, size: 1 });
        let html = listing("me", rows(), false);
        assert_eq!(html.matches("<tr><td>").count(), PAGE_ENTRIES_MAX);
        assert!(html.contains(&format!("?after={ID}/0199\">More</a>")), "{html}");
        let long = "\u{1b}".repeat(2000);
        let html = listing("me", (0..1000).map(|_| Row { id: ID, name: &long, size: 1 }), false);
        assert!(html.len() < PAGE_BYTES_MAX + 64 * long.len() && html.contains("More"));
        assert!(!listing("me", rows().take(3), false).contains("More"));
        assert!(listing("me", rows().take(3), true).contains("More"));
        assert!(listing("me", rows().take(0), false).contains("No files."));
    }

    proptest! {
        #[test]
        fn no_name_becomes_markup(name in any::<String>()) {
            let evil = format!("{name}<script>\"'&</script>\u{202e}");
            let plain = listing("x", [Row { id: ID, name: "x", size: 1 }], false);
            let html = listing(&evil, [Row { id: ID, name: &evil, size: 1 }], false);
            for mark in ['<', '>', '"', '\''] {
                prop_assert_eq!(html.matches(mark).count(), plain.matches(mark).count());
            }
            let deceives = html.contains('\u{202e}');
            prop_assert!(!deceives);
        }
    }
}
