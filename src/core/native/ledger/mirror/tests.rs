use super::*;

const A: ContentId = ContentId([1; 32]);
const B: ContentId = ContentId([2; 32]);

fn mirror(room: u64) -> Mirror {
    Mirror::new(0, vec![Wanted::Glob("*.txt".to_owned()), Wanted::Name("x".to_owned())], room, 2)
}

#[test]
fn room_is_taken_and_given_back() {
    let mut mirror = mirror(10);
    let take = |mirror: &mut Mirror, content, size| mirror.take(Time::ZERO, content, size, None);
    assert_eq!(take(&mut mirror, A, 10), Ok(()));
    assert_eq!(take(&mut mirror, A, 10), Err(Refusal::Known));
    assert_eq!(take(&mut mirror, B, 11), Err(Refusal::NoRoom));
    // A claim alone takes no room.
    assert_eq!(take(&mut mirror, B, 6), Ok(()));
    assert!(mirror.has_room(&A, 10) && !mirror.has_room(&A, 11));
    // With its first chunk a content takes room for all of it, and the other has to wait for that.
    assert!(mirror.reserve(&B, 6) && mirror.reserve(&B, 6));
    assert!(!mirror.reserve(&A, 10) && !mirror.has_room(&A, 5) && mirror.has_room(&B, 6));
    let failed = |mirror: &mut Mirror, content, part_bytes| {
        mirror.failed(Time::ZERO, content, "a.txt", 10, part_bytes).map(|failure| failure.drops_part)
    };
    assert_eq!((failed(&mut mirror, A, Some(0)), mirror.room_bytes), (Some(false), 4));
    assert_eq!(take(&mut mirror, ContentId([3; 32]), 5), Err(Refusal::Later));
    // A part is kept and counted, up to a quarter of the room; a larger one goes.
    assert_eq!((failed(&mut mirror, B, Some(2)), mirror.room_bytes), (Some(false), 8));
    let later = Time::ZERO + RETRY_WAIT_MIN;
    assert_eq!(mirror.take(later, B, 6, None), Ok(()));
    assert!(mirror.reserve(&B, 6) && mirror.room_bytes == 4);
    assert_eq!((failed(&mut mirror, B, Some(3)), mirror.room_bytes), (Some(true), 10));
    let later = later + RETRY_WAIT_MIN * 2;
    assert_eq!(mirror.take(later, B, 6, None), Ok(()));
    assert!(mirror.reserve(&B, 6));
    mirror.nothing_there(&B);
    assert!(mirror.room_bytes == 10 && mirror.reserve(&B, 6));
    mirror.finished(&B, Some(6));
    assert_eq!(mirror.room_bytes, 4);
    mirror.gone(B);
    assert_eq!(take(&mut mirror, B, 1), Err(Refusal::Known), "taken away is not fetched again");
    assert_eq!(mirror.room_bytes, 10);
}

#[test]
fn an_address_claims_so_much_until_some_of_it_came() {
    let mut mirror = mirror(10);
    let ip = IpAddr::from([10, 0, 0, 1]);
    let (peer, content) = (PeerId([1; 16]), |last| ContentId([last; 32]));
    let take = |mirror: &mut Mirror, last, ip: Option<IpAddr>| {
        let claimed_by = ip.map(|ip| Claimant { ip, connected: false });
        mirror.take(Time::ZERO, content(last), 5, claimed_by)
    };
    assert_eq!((take(&mut mirror, 1, Some(ip)), take(&mut mirror, 2, Some(ip))), (Ok(()), Ok(())));
    assert_eq!(take(&mut mirror, 3, Some(ip)), Err(Refusal::Later));
    let other = IpAddr::from([10, 0, 0, 2]);
    assert_eq!((take(&mut mirror, 4, Some(other)), take(&mut mirror, 5, None)), (Ok(()), Ok(())));
    mirror.put_off(ip, peer, (content(4), String::new()));
    mirror.put_off(ip, peer, (content(3), String::new()));
    assert!(mirror.may_claim(&ip) && mirror.next_freed().is_none());
    // What claims in the name of an address use up is nothing of who is connected from there.
    let connected = Some(Claimant { ip, connected: true });
    for last in [6, 7] {
        assert_eq!(mirror.take(Time::ZERO, content(last), 5, connected), Ok(()));
    }
    assert!(!mirror.may_claim(&ip));
    assert_eq!(mirror.take(Time::ZERO, content(8), 5, connected), Err(Refusal::Later));
    // Once some of one came, another may be claimed: the first that was put off.
    mirror.came(&content(1));
    assert!(mirror.may_claim(&ip));
    assert_eq!((mirror.next_freed(), mirror.next_freed()), (Some(ip), None));
    assert_eq!(mirror.next_put_off(other, None), None);
    assert_eq!(mirror.next_put_off(ip, None), Some((peer, (content(3), String::new()))));
    assert_eq!(mirror.next_put_off(ip, None), None);
    assert_eq!(take(&mut mirror, 3, Some(ip)), Ok(()));
    // That one more chunk of it came frees nothing again; that the others end does.
    mirror.came(&content(1));
    assert!(mirror.next_freed().is_none());
    mirror.finished(&content(2), None);
    mirror.failed(Time::ZERO, content(3), "c.txt", 10, None);
    assert_eq!((mirror.next_freed(), mirror.claims.len()), (Some(ip), 2));
}

#[test]
fn what_failed_is_tried_again_later_and_later() {
    let mut mirror = mirror(10);
    let mut now = Time::ZERO;
    let mut waits = Vec::new();
    for _ in 0..14 {
        mirror.take(now, A, 6, None).unwrap();
        let again = mirror.failed(now, A, "a.txt", 6, None).unwrap().again;
        assert_eq!(mirror.next_retry(now), Some(again));
        assert!(mirror.due(now).is_empty() && mirror.take(now, A, 6, None) == Err(Refusal::Known));
        assert_eq!(mirror.due(again), [(A, "a.txt".to_owned(), 6)]);
        waits.push(again.since(now));
        now = again;
    }
    assert_eq!((waits[0], waits[1], waits[13]), (RETRY_WAIT_MIN, RETRY_WAIT_MIN * 2, RETRY_WAIT_MAX));
    mirror.returned(&A);
    assert_eq!(mirror.take(Time::ZERO, A, 10, None), Ok(()));
}

#[test]
fn whoever_has_nothing_of_it_offers_nothing() {
    let mirror = mirror(10);
    let entry = |name: &str, have| Entry { id: A, name: name.to_owned(), size: 1, have, of: 1 };
    assert!(mirror.wants(&entry("d/a.txt", 1)) && mirror.wants(&entry("x", 1)));
    assert!(!mirror.wants(&entry("a.txt", 0)) && !mirror.wants(&entry("a.png", 1)));
    let empty = |of| Entry { size: 0, of, ..entry("a.txt", 0) };
    assert!(mirror.wants(&empty(0)));
    assert!(!mirror.wants(&empty(1)), "its size is not known yet");
}
