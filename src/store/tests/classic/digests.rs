//! What D announces of chunks, and that it is not read again as long as it is the same.

use super::*;
use crate::core::ChunkBytes;
use crate::store::hash::SLICE_BYTES;

/// Each chunk takes so many slices to read.
const SLICES: usize = 3;

impl Session {
    /// The sizes of what is announced, and how many system calls it took to know them.
    fn digested(&mut self, names: &[ChunkName], plan: &FaultPlan) -> (Vec<u64>, u64) {
        let before = plan.calls();
        let chunks = names.iter().map(|name| (name.clone(), ChunkBytes::Kept)).collect();
        let replies = self.job(ClassicJob::Digest { chunks });
        let [ClassicReply::Digested { chunks, .. }] = replies.as_slice() else { panic!("{replies:?}") };
        (chunks.iter().map(|chunk| chunk.size).collect(), plan.calls() - before)
    }
}

#[test]
fn a_chunk_that_did_not_change_is_not_read_again() {
    let place = Place::new();
    let size = 2 * SLICE_BYTES + 1;
    let names = place.put_five("holiday", &vec![7; 5 * size]);
    let plan = Arc::new(FaultPlan::dead_from(0));
    let mut session = place.open_as(place.classic(), Some(&plan));
    // The folder is looked at before the first job.
    session.job(ClassicJob::List);
    let sizes = vec![size as u64; 5];
    let (first, reads_all) = session.digested(&names, &plan);
    let (second, reads_none) = session.digested(&names, &plan);
    assert_eq!((&first, &second), (&sizes, &sizes));
    let all = 5 * SLICES as u64;
    assert_eq!(reads_all - reads_none, all, "all were read, and none again");

    place.put_chunk(&names[2].to_string(), &vec![8; size + 1]);
    let (third, reads_one) = session.digested(&names, &plan);
    assert_eq!(third.iter().sum::<u64>(), sizes.iter().sum::<u64>() + 1);
    assert_eq!(reads_one - reads_none, SLICES as u64, "only what changed was read");
}
