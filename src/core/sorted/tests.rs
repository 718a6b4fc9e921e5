//! Sorted maps against those of the standard library.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// One call on both maps.
#[derive(Debug, Clone)]
enum Call {
    Insert(u16, u16),
    Remove(u16),
    Entry(u16),
    PopFirst,
    PopLast,
    Retain(u16),
    Clear,
}

/// Values so large that blocks are small: eight entries each.
type Wide = [u16; 300];

/// Calls on keys below a bound, many more that add than that clear.
fn calls(keys: u16) -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        20 => (0..keys, any::<u16>()).prop_map(|(key, value)| Call::Insert(key, value)),
        12 => (0..keys).prop_map(Call::Remove),
        6 => (0..keys).prop_map(Call::Entry),
        3 => Just(Call::PopFirst),
        3 => Just(Call::PopLast),
        1 => (2u16..6).prop_map(Call::Retain),
        1 => Just(Call::Clear),
    ];
    prop::collection::vec(call, 0..400)
}

/// What holds of every map: blocks that are sorted, not empty, not too full, and together not too empty.
fn check<K: Ord, V>(map: &SortedMap<K, V>) {
    assert_eq!(map.len(), map.blocks.iter().map(Vec::len).sum::<usize>());
    assert!(map.blocks.iter().all(|block| (1..=SortedMap::<K, V>::BLOCK).contains(&block.len())));
    assert!(map.blocks.iter().all(|block| block.capacity() <= SortedMap::<K, V>::BLOCK));
    assert!(map.keys().zip(map.keys().skip(1)).all(|(one, next)| one < next));
    for two in map.blocks.windows(2) {
        assert!(two[0].len() + two[1].len() > SortedMap::<K, V>::BLOCK / 2, "two blocks that are one");
    }
}

/// Carries the calls out on a map of wide values and on `std`'s, and compares after each.
fn run(calls: Vec<Call>) {
    let (mut map, mut model) = (SortedMap::<u16, Wide>::new(), BTreeMap::<u16, Wide>::new());
    for call in calls {
        match call {
            Call::Insert(key, value) => {
                assert_eq!(map.insert(key, [value; 300]), model.insert(key, [value; 300]));
            }
            Call::Remove(key) => assert_eq!(map.remove(&key), model.remove(&key)),
            Call::Entry(key) => {
                map.entry(key).and_modify(|value| value[0] ^= 1).or_insert([key; 300])[1] ^= 2;
                model.entry(key).and_modify(|value| value[0] ^= 1).or_insert([key; 300])[1] ^= 2;
            }
            Call::PopFirst => assert_eq!(map.pop_first(), model.pop_first()),
            Call::PopLast => assert_eq!(map.pop_last(), model.pop_last()),
            Call::Retain(part) => {
                map.retain(|key, _| key % part != 0);
                model.retain(|key, _| key % part != 0);
            }
            Call::Clear => {
                map.clear();
                model.clear();
            }
        }
        check(&map);
        assert!(map.iter().eq(model.iter()));
        assert_eq!(
            (map.first_key_value(), map.last_key_value()),
            (model.first_key_value(), model.last_key_value())
        );
    }
    assert!(map.iter().rev().eq(model.iter().rev()));
    assert!(
        map.iter_mut()
            .map(|(key, value)| (*key, value[0]))
            .eq(model.iter().map(|(key, value)| (*key, value[0])))
    );
    assert_eq!(map.clone(), map);
    assert!(map.into_iter().eq(model));
}

proptest! {
    #[test]
    fn a_map_of_many_blocks_is_like_the_standard_one(calls in calls(400)) {
        run(calls);
    }

    #[test]
    fn a_small_map_is_like_the_standard_one(calls in calls(12)) {
        run(calls);
    }

    #[test]
    fn ranges_are_those_of_the_standard_map(
        keys in prop::collection::btree_set(0u16..300, 0..120),
        low in 0u16..300,
        width in 0u16..300,
        taken_from_the_back in 0usize..10,
    ) {
        let high = low.saturating_add(width);
        let map: SortedMap<u16, Wide> = keys.iter().map(|key| (*key, [*key; 300])).collect();
        let model: BTreeMap<u16, Wide> = keys.iter().map(|key| (*key, [*key; 300])).collect();
        prop_assert!(map.range(low..high).eq(model.range(low..high)));
        prop_assert!(map.range(low..=high).rev().eq(model.range(low..=high).rev()));
        prop_assert!(map.range(..low).eq(model.range(..low)));
        prop_assert!(map.range(low..).eq(model.range(low..)));
        let behind = (Bound::Excluded(low), Bound::Unbounded);
        prop_assert!(map.range(behind).eq(model.range(behind)));
        let (mut ours, mut theirs) = (map.range(low..high), model.range(low..high));
        for _ in 0..taken_from_the_back {
            prop_assert_eq!(ours.next_back(), theirs.next_back());
        }
        prop_assert!(ours.eq(theirs));
    }
}

#[test]
fn a_range_that_ends_before_it_begins_is_empty() {
    let map: SortedMap<u16, ()> = (0..100).map(|key| (key, ())).collect();
    assert_eq!(map.range((Bound::Included(70), Bound::Excluded(30))).count(), 0);
}

#[test]
fn keys_in_order_fill_their_blocks() {
    let set: SortedSet<u64> = (0..10_000).collect();
    let full = SortedMap::<u64, ()>::BLOCK;
    assert_eq!(set.len(), 10_000);
    assert!(set.iter().copied().eq(0..10_000));
    let map: SortedMap<u64, ()> = (0..10_000).map(|key| (key, ())).collect();
    assert_eq!(map.blocks.len(), 10_000usize.div_ceil(full));
}

#[test]
fn keys_in_order_before_a_greater_one_fill_their_blocks() {
    let full = SortedMap::<u16, Wide>::BLOCK;
    let mut map = SortedMap::from([(u16::MAX, [0; 300])]);
    for key in 0..1_000 {
        map.insert(key, [key; 300]);
    }
    check(&map);
    // The last two blocks are the ones that are being filled.
    assert!(map.blocks.len() <= 1_000usize.div_ceil(full) + 2, "{} blocks", map.blocks.len());
}

#[test]
fn a_block_has_no_more_room_than_it_may_use() {
    // Of these more would fit: ten.
    let map: SortedMap<u16, [u16; 200]> = (0..100).map(|key| (key, [key; 200])).collect();
    assert_eq!(SortedMap::<u16, [u16; 200]>::BLOCK, 8);
    check(&map);
}

#[test]
fn a_set_takes_another_and_gives_its_least() {
    let (mut set, mut other) = (SortedSet::from([3, 9]), SortedSet::from([1, 9, 12]));
    set.append(&mut other);
    assert!(other.is_empty());
    assert!(!set.insert(12) && set.insert(2) && set.remove(&9) && !set.remove(&9));
    assert_eq!((set.pop_first(), set.first(), set.last(), set.len()), (Some(1), Some(&2), Some(&12), 3));
    assert_eq!(format!("{set:?}"), "{2, 3, 12}");
}

#[test]
#[should_panic(expected = "out of bounds")]
fn a_key_that_is_not_there_has_no_value() {
    let map = SortedMap::from([("a", 1)]);
    assert_eq!(map["a"], 1);
    let _ = map["b"];
}
