//! Manifests on the network: cut into pages, and joined again from the pages of one peer.

use std::fmt;

use super::{ChainingValue, Manifest, PAGE_VALUES_MAX, SizeProof};
use crate::types::geometry::{Geometry, GeometryError};

/// The first page of a manifest carries the size proof; each page carries values in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestPage {
    /// The sender's channel.
    pub channel: u32,
    /// The content's size in bytes.
    pub size: u64,
    /// The chunk size in bytes.
    pub chunk_bytes: u32,
    /// The index of the first value.
    pub first: u32,
    /// The values: as many as there are from `first` on, at most 1,024.
    pub values: Vec<ChainingValue>,
    /// The size proof; only in the page whose `first` is 0.
    pub proof: Option<SizeProof>,
}

impl Manifest {
    /// The page that begins at value `first`; `None` when there is none. Page 0 there is always.
    pub fn page(&self, channel: u32, first: u32) -> Option<ManifestPage> {
        let at = first as usize;
        if at > 0 && at >= self.values.len() {
            return None;
        }
        let end = self.values.len().min(at.saturating_add(PAGE_VALUES_MAX));
        Some(ManifestPage {
            channel,
            size: self.geometry.size_bytes(),
            chunk_bytes: self.geometry.chunk_bytes(),
            first,
            values: self.values.get(at..end)?.to_vec(),
            proof: (first == 0).then(|| self.proof.clone()),
        })
    }
}

/// Puts the pages of one manifest, in order and from one peer, together. Holds no more than what came.
#[derive(Debug, Clone, Default)]
pub struct ManifestPages {
    begun: Option<Manifest>,
}

/// Why a page does not go on where the one before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageError {
    /// Size and chunk size do not go together.
    Geometry(GeometryError),
    /// Another size or chunk size than the pages before.
    Changed,
    /// Not the page that comes next.
    Order,
    /// Not as many values as this page has.
    Values,
    /// A size proof that is missing, or of the wrong shape, or in a page that has none.
    Proof,
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageError::Geometry(why) => write!(f, "manifest page: {why}"),
            PageError::Changed => {
                f.write_str("manifest page of another size or chunk size than the one before")
            }
            PageError::Order => f.write_str("manifest page out of order"),
            PageError::Values => f.write_str("manifest page with a wrong count of values"),
            PageError::Proof => f.write_str("manifest page with a wrong size proof"),
        }
    }
}

impl std::error::Error for PageError {}

impl ManifestPages {
    /// No page yet.
    pub fn new() -> ManifestPages {
        ManifestPages::default()
    }

    /// The first value of the page that comes next.
    pub fn next_first(&self) -> u32 {
        let had = self.begun.as_ref().map_or(0, |manifest| manifest.values.len());
        u32::try_from(had).unwrap_or(u32::MAX)
    }

    /// Takes the page that comes next. Some manifest: it was the last one, and the manifest still is to be verified.
    /// After an error the pages of this peer are worth nothing.
    ///
    /// # Errors
    ///
    /// [`PageError`] for a page that does not come next, or does not fit those before it.
    pub fn push(&mut self, page: ManifestPage) -> Result<Option<Manifest>, PageError> {
        if page.first != self.next_first() || (page.first == 0 && self.begun.is_some()) {
            return Err(PageError::Order);
        }
        let geometry = Geometry::new(page.size, page.chunk_bytes).map_err(PageError::Geometry)?;
        let (count, first) = (Manifest::values_of(&geometry) as usize, page.first as usize);
        if count.checked_sub(first).map(|left| left.min(PAGE_VALUES_MAX)) != Some(page.values.len()) {
            return Err(PageError::Values);
        }
        let mut manifest = match (self.begun.take(), page.proof) {
            (None, Some(proof)) if proof.fits(&geometry) => begin(geometry, proof),
            (Some(begun), None) if begun.geometry == geometry => begun,
            (Some(_), None) => return Err(PageError::Changed),
            _ => return Err(PageError::Proof),
        };
        manifest.values.extend(page.values);
        if manifest.values.len() == count {
            return Ok(Some(manifest));
        }
        self.begun = Some(manifest);
        Ok(None)
    }
}

fn begin(geometry: Geometry, proof: SizeProof) -> Manifest {
    Manifest { geometry, values: Vec::new(), proof }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::manifest::tests::{bytes, manifest_of};

    fn pages(manifest: &Manifest) -> Vec<ManifestPage> {
        (0..).step_by(PAGE_VALUES_MAX).map_while(|first| manifest.page(9, first)).collect()
    }

    #[test]
    fn pages_come_together_again() {
        for size in [0, 1, 1024, 1025, 1 << 20, (1 << 20) + 1, (3 << 20) + 77] {
            let (_, manifest) = manifest_of(&bytes(size), 1024);
            let (pages, mut taken) = (pages(&manifest), ManifestPages::new());
            assert_eq!(pages.len(), Manifest::values_of(&manifest.geometry).div_ceil(1024).max(1) as usize);
            for (at, page) in pages.iter().enumerate() {
                assert_eq!(taken.next_first(), page.first);
                let whole = taken.push(page.clone()).unwrap();
                assert_eq!(whole, (at + 1 == pages.len()).then(|| manifest.clone()), "{size}");
            }
        }
    }

    #[test]
    fn pages_that_do_not_agree_are_refused() {
        let (_, manifest) = manifest_of(&bytes(3 << 20), 1024);
        let pages = pages(&manifest);
        let after = |first: &[ManifestPage], change: &dyn Fn(&mut ManifestPage)| {
            let mut taken = ManifestPages::new();
            first.iter().for_each(|page| assert_eq!(taken.push(page.clone()), Ok(None)));
            let mut page = pages[first.len()].clone();
            change(&mut page);
            taken.push(page)
        };
        assert_eq!(after(&pages[..0], &|page| page.proof = None), Err(PageError::Proof));
        assert_eq!(
            after(&pages[..1], &|page| page.proof = Some(SizeProof::default())),
            Err(PageError::Proof)
        );
        assert_eq!(after(&pages[..1], &|page| page.size += 1), Err(PageError::Changed));
        assert_eq!(after(&pages[..1], &|page| page.first = 0), Err(PageError::Order));
        assert_eq!(after(&pages[..1], &|page| page.first += 1), Err(PageError::Order));
        assert_eq!(after(&pages[..1], &|page| page.chunk_bytes = 2048), Err(PageError::Values));
        assert_eq!(after(&pages[..2], &|page| page.values.truncate(7)), Err(PageError::Values));
        assert_eq!(after(&pages[..2], &|page| page.values.push([0; 32])), Err(PageError::Values));
        assert!(matches!(after(&pages[..0], &|page| page.chunk_bytes = 3), Err(PageError::Geometry(_))));
        assert!(matches!(after(&pages[..0], &|page| page.size = u64::MAX), Err(PageError::Geometry(_))));
        assert_eq!(after(&pages[..0], &|page| page.values.clear()), Err(PageError::Values));
    }
}
