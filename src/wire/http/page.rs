//! HTML pages: the shared files, and the contents that a name may mean. They have only text and links; every name is
//! escaped.

use std::fmt::Write;

use crate::types::id::ContentId;
use crate::types::name::printable;
use crate::types::units;
use crate::wire::http::target::Cursor;

/// The most entries of a page.
pub const PAGE_ENTRIES_MAX: usize = 200;
/// A page that has so many bytes takes no further entry.
pub const PAGE_BYTES_MAX: usize = 64 << 10;

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

/// What is shared: a page of as many of the rows as it takes; behind it a link to the next page if there are `more` or
/// some are left.
pub fn listing<'a>(user: &str, rows: impl IntoIterator<Item = Row<'a>>, more: bool) -> String {
    let mut html = begun(&format!("Shared by {}", escaped(user)));
    let last = table(&mut html, rows);
    match last {
        Table::Empty => html.push_str("<p>No files.</p>\n"),
        Table::Took { last, all } if more || !all => {
            let _ = writeln!(html, "<p><a href=\"/?after={}\">More</a></p>", last.encoded());
        }
        Table::Took { .. } => {}
    }
    finished(html)
}

/// What a name may mean.
pub fn choices<'a>(name: &str, rows: impl IntoIterator<Item = Row<'a>>) -> String {
    let mut html = begun(&format!("Several files are called {}", escaped(name)));
    if let Table::Took { all: false, .. } = table(&mut html, rows) {
        html.push_str("<p>There are more.</p>\n");
    }
    finished(html)
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

fn begun(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
}

fn finished(mut html: String) -> String {
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

    const ID: ContentId = ContentId([7; 32]);

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
