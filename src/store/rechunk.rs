//! Values of smaller units than a manifest has, kept so that each of many who ask does not have the whole file hashed anew.

use crate::types::manifest::ChainingValue;
use crate::types::{ContentId, Geometry};

/// The values of one content in one unit size, as far as they were computed: 33 bytes a unit, of which there are at most
/// [`crate::types::geometry::UNITS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct RechunkedValues {
    of: Option<(ContentId, Geometry)>,
    values: Vec<Option<ChainingValue>>,
}

impl RechunkedValues {
    /// The value of a unit, if it is kept.
    pub(crate) fn get(&self, content: &ContentId, cut: &Geometry, unit: u32) -> Option<ChainingValue> {
        let same = self.of.as_ref() == Some(&(*content, *cut));
        self.values.get(unit as usize).copied().flatten().filter(|_| same)
    }

    /// Keeps the value of a unit; those of another content or cut make room.
    pub(crate) fn put(&mut self, content: &ContentId, cut: &Geometry, unit: u32, value: ChainingValue) {
        if self.of != Some((*content, *cut)) {
            self.of = Some((*content, *cut));
            self.values = vec![None; cut.units() as usize];
        }
        if let Some(place) = self.values.get_mut(unit as usize) {
            *place = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_content_in_one_cut_are_kept() {
        let (a, b) = (ContentId([1; 32]), ContentId([2; 32]));
        let [cut, other] = [1024, 2048].map(|bytes| Geometry::new(5_000, bytes).unwrap());
        let mut rechunked = RechunkedValues::default();
        rechunked.put(&a, &cut, 4, [7; 32]);
        rechunked.put(&a, &cut, 5, [8; 32]);
        assert_eq!([4, 5, 0].map(|unit| rechunked.get(&a, &cut, unit)), [Some([7; 32]), None, None]);
        assert_eq!((rechunked.get(&b, &cut, 4), rechunked.get(&a, &other, 4)), (None, None));
        rechunked.put(&b, &cut, 0, [9; 32]);
        assert_eq!((rechunked.get(&a, &cut, 4), rechunked.get(&b, &cut, 0)), (None, Some([9; 32])));
    }
}
