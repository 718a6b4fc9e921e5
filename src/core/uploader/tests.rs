//! Whom the uploader serves, and when a turn is over.

use super::*;

/// What a chunk has in these tests: too much for two of them to make one turn.
const CHUNK: u64 = TURN_BYTES;

fn conn(slot: u32) -> ConnId {
    ConnId { slot, generation: 0 }
}

fn request(chunk: u32) -> UploadRequest {
    ask_of(0, chunk)
}

fn ask_of(content: u8, chunk: u32) -> UploadRequest {
    UploadRequest { channel: 0, content: ContentId([content; 32]), chunk, bytes: 1_000_000 }
}

/// So many slots, and chunks that go side by side.
fn uploader(slots: usize) -> Uploader {
    let mut limits = Limits { upload_slots: slots, ..Limits::default() };
    limits.tactics.one_at_a_time = false;
    Uploader::new(&limits)
}

/// Serves chunks of `bytes`, each in `took`, until nobody asks any more: who was served what.
fn serve_all(uploader: &mut Uploader, bytes: u64, took: Duration) -> Vec<(u32, u32)> {
    let mut order = Vec::new();
    let mut now = Time::ZERO;
    while let Some(granted) = uploader.grant(now, |_| None) {
        while let Some(request) = uploader.begin(granted, now, |_| None) {
            uploader.check();
            order.push((granted.slot, request.chunk));
            now = now + took;
            uploader.finish(granted, now, bytes);
        }
    }
    assert!(uploader.is_idle());
    order
}

#[test]
fn of_what_is_fetched_here_what_few_have_goes_first() {
    let mut uploader = uploader(4);
    let copies = [9, 2, 9, 9];
    let copies = |content: &ContentId| (content.0[0] == 0).then_some(&copies[..]);
    uploader.push(conn(1), request(0), 0, 4);
    for chunk in [2, 1] {
        uploader.push(conn(2), request(chunk), 3, 4);
    }
    // Who asks for it goes first, though another is further behind; and that is what it gets.
    assert_eq!(uploader.grant(Time::ZERO, copies), Some(conn(2)));
    assert_eq!(uploader.begin(conn(2), Time::ZERO, copies), Some(request(1)));
    assert_eq!(uploader.grant(Time::ZERO, copies), Some(conn(1)));
    uploader.check();
    // Of what is not fetched here nothing of this is known.
    uploader.push(conn(3), ask_of(1, 2), 0, 4);
    uploader.push(conn(3), ask_of(1, 1), 0, 4);
    assert_eq!(uploader.grant(Time::ZERO, copies), Some(conn(3)));
    assert_eq!(uploader.begin(conn(3), Time::ZERO, copies), Some(ask_of(1, 2)));
    uploader.check();
}

#[test]
fn turns_go_round_by_chunk() {
    let mut uploader = uploader(1);
    for chunk in 0..2 {
        uploader.push(conn(1), request(chunk), 0, 9);
        uploader.push(conn(2), request(chunk), 0, 9);
    }
    let order = serve_all(&mut uploader, CHUNK, Duration::ZERO);
    assert_eq!(order, [(1, 0), (2, 0), (1, 1), (2, 1)]);
}

#[test]
fn a_turn_over_a_fast_link_is_several_chunks_and_over_a_slow_one_a_single_one() {
    let fast = Duration::from_micros(1);
    for (took, orders) in
        [(fast, [1, 1, 1, 1, 2, 2, 2, 2, 1, 2]), (TURN_QUICK, [1, 2, 1, 2, 1, 2, 1, 2, 1, 2])]
    {
        let mut uploader = uploader(1);
        for slot in [1, 2] {
            (0..5).for_each(|chunk| uploader.push(conn(slot), request(chunk), 0, 9));
            // Neither is a newcomer.
            uploader.requesters.get_mut(&conn(slot)).unwrap().served = true;
            uploader.line_up(conn(slot));
        }
        let served = serve_all(&mut uploader, TURN_BYTES / 4, took);
        assert_eq!(served.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), orders);
    }
}

#[test]
fn a_newcomer_goes_before_who_was_served_and_ends_its_turn() {
    let mut uploader = uploader(1);
    (0..3).for_each(|chunk| uploader.push(conn(1), request(chunk), 0, 9));
    assert_eq!(uploader.grant(Time::ZERO, |_| None), Some(conn(1)));
    uploader.begin(conn(1), Time::ZERO, |_| None);
    uploader.push(conn(2), request(0), 0, 9);
    uploader.finish(conn(1), Time::ZERO, 1);
    uploader.push(conn(3), request(0), 0, 9);
    let order = serve_all(&mut uploader, CHUNK, Duration::ZERO);
    assert_eq!(order, [(2, 0), (3, 0), (1, 1), (1, 2)]);
}

#[test]
fn who_is_far_behind_goes_first() {
    let mut uploader = uploader(1);
    for (slot, had) in [(1, 70), (2, 69), (3, 20)] {
        uploader.push(conn(slot), request(0), had, 100);
    }
    // What it has got meanwhile is said with its next request.
    uploader.push(conn(1), request(1), 80, 100);
    let order = serve_all(&mut uploader, CHUNK, Duration::ZERO);
    assert_eq!(order, [(3, 0), (2, 0), (1, 0), (1, 1)]);
}

#[test]
fn being_behind_with_one_file_keeps_nobody_from_another() {
    let mut uploader = uploader(1);
    for chunk in 0..3 {
        uploader.push(conn(1), ask_of(1, chunk), 90, 100);
        uploader.push(conn(2), ask_of(2, chunk), 10, 100);
        uploader.push(conn(3), ask_of(2, chunk), 5, 100);
    }
    let order = serve_all(&mut uploader, CHUNK, Duration::ZERO);
    let whom: Vec<_> = order.iter().map(|(slot, _)| *slot).collect();
    // A third of the turns each, until the third has all it asked for: then half.
    assert_eq!(whom, [1, 3, 3, 1, 3, 2, 1, 2, 2]);
}

#[test]
fn who_is_ahead_is_not_passed_over_for_ever() {
    let mut uploader = uploader(1);
    uploader.push(conn(9), request(0), 90, 100);
    for slot in 1..5 {
        uploader.push(conn(slot), request(0), 0, 100);
    }
    let mut turns = 0;
    while let Some(granted) = uploader.grant(Time::ZERO, |_| None) {
        uploader.begin(granted, Time::ZERO, |_| None);
        uploader.check();
        if granted == conn(9) {
            break;
        }
        // The others are never done, and never come further.
        turns += 1;
        uploader.push(granted, request(turns), 0, 100);
        uploader.finish(granted, Time::ZERO, CHUNK);
    }
    assert!((20..40).contains(&turns), "{turns} turns of others");
}

#[test]
fn coming_further_costs_nobody_a_ticket() {
    let mut uploader = uploader(1);
    let mut served = [0u32; 2];
    for slot in 0..4 {
        uploader.push(conn(slot), ask_of(u8::from(slot > 1), 0), 0, 1000);
    }
    for turn in 1..200 {
        let granted = uploader.grant(Time::ZERO, |_| None).unwrap();
        uploader.begin(granted, Time::ZERO, |_| None);
        served[usize::from(granted.slot > 1)] += 1;
        uploader.push(granted, ask_of(u8::from(granted.slot > 1), turn), 0, 1000);
        uploader.finish(granted, Time::ZERO, CHUNK);
        // One who waits for the first content comes further all the time.
        uploader.push(conn(1), ask_of(0, turn), u64::from(turn % 2) * 500, 1000);
        uploader.check();
    }
    assert!(served[0].abs_diff(served[1]) < 4, "{served:?}");
}

#[test]
fn how_far_one_is_with_one_file_says_nothing_of_another() {
    let mut uploader = uploader(1);
    uploader.push(conn(1), ask_of(1, 0), 10, 100);
    uploader.push(conn(2), ask_of(1, 0), 50, 100);
    // Nearly done with another file, which it asks for as well.
    uploader.push(conn(1), ask_of(2, 0), 99, 100);
    let order = serve_all(&mut uploader, CHUNK, Duration::ZERO);
    assert_eq!(order.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [1, 2, 1]);
}

#[test]
fn a_stalled_upload_lends_its_slot() {
    let mut uploader = uploader(1);
    uploader.push(conn(2), request(0), 0, 9);
    uploader.push(conn(1), request(0), 0, 9);
    assert_eq!(uploader.grant(Time::ZERO, |_| None), Some(conn(2)));
    assert_eq!(uploader.grant(Time::from_millis(199), |_| None), None);
    assert_eq!(uploader.deadline(Time::from_millis(199)), Some(Time::from_millis(200)));
    assert_eq!(uploader.grant(Time::from_millis(200), |_| None), Some(conn(1)));
    assert_eq!(uploader.deadline(Time::from_millis(200)), None);
}

#[test]
fn what_is_taken_back_is_not_served() {
    let mut uploader = uploader(1);
    uploader.push(conn(1), ask_of(1, 0), 0, 9);
    uploader.push(conn(1), ask_of(0, 1), 0, 9);
    assert!(uploader.cancel(conn(1), 0, 0) && !uploader.cancel(conn(1), 0, 0));
    uploader.check();
    assert_eq!(uploader.grant(Time::ZERO, |_| None), Some(conn(1)));
    assert_eq!(uploader.cancel_content(&ContentId([0; 32])), [(conn(1), request(1))]);
    uploader.check();
    assert!(uploader.is_idle());
    uploader.push(conn(1), request(2), 0, 9);
    uploader.remove(conn(1));
    assert!(uploader.is_idle() && uploader.grant(Time::ZERO, |_| None).is_none());
}

/// Connections that ask for chunks of a megabyte without end, each of which takes at most `rate` bytes in 10 ms, over a link that
/// carries a megabyte in 100 ms: how many were served at once, each time one was begun.
fn served_at_once(uploader: &mut Uploader, now: &mut Time, conns: u32, rate: u64) -> Vec<usize> {
    let mut left: BTreeMap<ConnId, u64> = BTreeMap::new();
    let mut at_once = Vec::new();
    for slot in 0..conns {
        (0..400).for_each(|chunk| uploader.push(conn(slot), request(chunk), 0, 100));
    }
    for _ in 0..4_000 {
        while let Some(granted) = uploader.grant(*now, |_| None) {
            assert!(uploader.begin(granted, *now, |_| None).is_some());
            left.insert(granted, 1_000_000);
            at_once.push(uploader.active.len());
        }
        *now = *now + Duration::from_millis(10);
        let each = rate.min(100_000 / left.len() as u64);
        for (conn, rest) in left.iter_mut().map(|(conn, rest)| (*conn, rest)).collect::<Vec<_>>() {
            uploader.carried(*now, each);
            uploader.moved(conn, *now);
            *rest = rest.saturating_sub(each);
            if *rest == 0 {
                uploader.finish(conn, *now, CHUNK);
            }
        }
        left.retain(|_, rest| *rest > 0);
        uploader.check();
    }
    at_once
}

#[test]
fn chunks_go_alone_where_the_link_is_full_and_side_by_side_where_receivers_are_slow() {
    let mut uploader = Uploader::new(&Limits::default());
    let mut now = Time::ZERO;
    let mean =
        |at_once: Vec<usize>| at_once.iter().skip(50).sum::<usize>() as f64 / (at_once.len() - 50) as f64;
    let full = mean(served_at_once(&mut uploader, &mut now, 8, u64::MAX));
    assert!(full < 1.5, "{full}");
    let mut uploader = Uploader::new(&Limits::default());
    let slow = mean(served_at_once(&mut uploader, &mut now, 8, 25_000));
    assert!(slow > 3.0, "{slow}");
}

/// One connection is sent so many bytes in so long, while nobody else asks: what the link carries is known then.
fn sends_alone(uploader: &mut Uploader, now: &mut Time, bytes: u64, took: Duration) {
    uploader.push(conn(99), request(0), 0, 100);
    uploader.grant(*now, |_| None).unwrap();
    uploader.begin(conn(99), *now, |_| None).unwrap();
    *now = *now + took;
    uploader.carried(*now, bytes);
    uploader.finish(conn(99), *now, CHUNK);
}

#[test]
fn who_takes_nothing_holds_nobody_up_for_longer_than_a_slot_may_stand_still() {
    let mut uploader = Uploader::new(&Limits::default());
    let mut now = Time::ZERO;
    sends_alone(&mut uploader, &mut now, 10_000_000, Duration::from_secs(10));
    for slot in 0..20 {
        uploader.push(conn(slot), request(0), 0, 100);
        let granted = loop {
            if let Some(granted) = uploader.grant(now, |_| None) {
                break granted;
            }
            let at = uploader.deadline(now).unwrap();
            assert!(at.since(now) <= Limits::default().upload_slot_stall);
            now = at;
        };
        assert_eq!(granted, conn(slot));
        uploader.begin(granted, now, |_| None).unwrap();
        uploader.check();
    }
    assert!(now.since(Time::ZERO) <= Duration::from_secs(10) + Limits::default().upload_slot_stall * 20);
}

#[test]
fn what_takes_no_time_goes_beside_what_takes_all_and_nothing_else_does() {
    let mut uploader = Uploader::new(&Limits::default());
    let mut now = Time::ZERO;
    sends_alone(&mut uploader, &mut now, 10_000_000, Duration::from_secs(1));
    uploader.push(conn(0), request(0), 0, 100);
    assert_eq!(uploader.grant(now, |_| None), Some(conn(0)));
    uploader.begin(conn(0), now, |_| None).unwrap();
    uploader.push(conn(1), UploadRequest { bytes: 1_000, ..request(1) }, 0, 100);
    assert_eq!(uploader.grant(now, |_| None), Some(conn(1)));
    uploader.begin(conn(1), now, |_| None).unwrap();
    uploader.finish(conn(1), now, 1_000);
    uploader.push(conn(2), request(2), 0, 100);
    assert_eq!(uploader.grant(now, |_| None), None);
}

#[test]
fn over_a_fast_link_chunks_go_side_by_side() {
    let mut uploader = Uploader::new(&Limits::default());
    let mut now = Time::ZERO;
    sends_alone(&mut uploader, &mut now, 100 << 20, Duration::from_millis(100));
    for slot in 0..6 {
        uploader.push(conn(slot), request(0), 0, 100);
    }
    let mut granted = 0;
    while let Some(conn) = uploader.grant(now, |_| None) {
        assert!(uploader.begin(conn, now, |_| None).is_some());
        granted += 1;
    }
    assert_eq!(granted, Limits::default().upload_slots);
}

#[test]
fn receivers_outside_the_native_protocol_have_half_of_the_slots_beside_native_peers() {
    let mut uploader = uploader(4);
    let now = Time::ZERO;
    let grant = |uploader: &mut Uploader| {
        let granted = uploader.grant(now, |_| None);
        uploader.check();
        granted.map(|conn| conn.slot)
    };
    // Where no native peer asks they have all of them.
    (1..=6).for_each(|slot| uploader.add_outside(conn(slot), request(0)));
    assert_eq!([(); 5].map(|()| grant(&mut uploader)), [Some(1), Some(2), Some(3), Some(4), None]);
    (1..=4).for_each(|slot| _ = uploader.begin(conn(slot), now, |_| None));
    // A native peer has the next slot, whatever it asks for and however far it is, and so has another.
    uploader.push(conn(7), request(1), 9, 9);
    uploader.push(conn(8), ask_of(1, 1), 9, 9);
    uploader.push(conn(9), request(2), 9, 9);
    for (over, next) in [(1, Some(7)), (2, Some(9)), (3, Some(5)), (7, Some(8)), (9, None)] {
        uploader.begin(conn(over), now, |_| None);
        uploader.finish(conn(over), now, CHUNK);
        assert_eq!(grant(&mut uploader), next, "when {over} is through");
    }
    // With the last native peer gone, none is kept for any.
    uploader.remove(conn(8));
    assert_eq!([(); 2].map(|()| grant(&mut uploader)), [Some(6), None]);
}
