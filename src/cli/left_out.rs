//! Links that a scan leaves out: one line counts them, so that a folder with thousands of links does not fill the screen.

use std::path::{Path, PathBuf};

use crate::cli::human;
use crate::store::LINK_LEFT_OUT;

/// The links that no line has told of yet.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    count: usize,
    first: PathBuf,
}

impl LeftOut {
    /// Whether `path` was left out because it is a link; then it is counted.
    pub(crate) fn takes(&mut self, path: &Path, why: &str) -> bool {
        if why != LINK_LEFT_OUT {
            return false;
        }
        if self.count == 0 {
            self.first = path.to_owned();
        }
        self.count += 1;
        true
    }

    /// The line about the links since the last one; `None`: there were none.
    pub(crate) fn line(&mut self) -> Option<String> {
        let LeftOut { count, first } = std::mem::take(self);
        let first = human::quoted_path(&first);
        match count {
            0 => None,
            1 => Some(format!("left out the link {first}; links are not followed")),
            _ => {
                let count = human::count(count as u64);
                Some(format!("left out {count} links (first: {first}); links are not followed"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_links_make_one_line() {
        let mut left_out = LeftOut::default();
        assert!(!left_out.takes(Path::new("pipe"), "it is not a file"));
        assert_eq!(left_out.line(), None);
        assert!(left_out.takes(Path::new("photos/link.jpg"), LINK_LEFT_OUT));
        let one = "left out the link \"photos/link.jpg\"; links are not followed";
        assert_eq!(left_out.line().as_deref(), Some(one));
        for number in 0..12 {
            left_out.takes(Path::new(&format!("photos/link-{number}.jpg")), LINK_LEFT_OUT);
        }
        let many = "left out 12 links (first: \"photos/link-0.jpg\"); links are not followed";
        assert_eq!(left_out.line().as_deref(), Some(many));
        assert_eq!(left_out.line(), None);
    }
}
