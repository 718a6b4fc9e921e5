use super::*;

#[test]
fn a_catalogue_is_walked_once_a_state() {
    let mut walks = Walks::default();
    let (peer, conn) = (PeerId([1; 16]), ConnId { slot: 0, generation: 0 });
    let later = Time::ZERO + WALK_GAP;
    assert!(walks.may_begin(Time::ZERO, &peer, 5));
    walks.began(Time::ZERO, peer, conn, 5);
    assert!(!walks.may_begin(later, &peer, 6), "one at a time");
    walks.ended(&peer, 5);
    assert!(!walks.may_begin(later, &peer, 5) && walks.may_begin(later, &peer, 6));
    assert!(!walks.may_begin(Time::ZERO, &peer, 6));
    walks.began(later, peer, conn, 6);
    walks.connection_over(conn);
    assert!(walks.may_begin(later, &peer, 6), "it was not finished");
    // One without an end is not begun anew soon, whatever state is told.
    walks.began(later, peer, conn, 6);
    assert_eq!((walks.listed(&peer, 3), walks.listed(&peer, 4)), (3, 7));
    walks.began(later, peer, conn, 6);
    assert_eq!(walks.listed(&peer, 1), 8, "the next page is the same walk's");
    walks.given_up(later, &peer, 6);
    walks.forget(later, |_| true);
    assert!(!walks.may_begin(later + WALK_GAP, &peer, 7));
    assert!(walks.may_begin(later + ENDLESS_WALK_GAP, &peer, 7));
    walks.began(later, peer, conn, 7);
    assert_eq!(walks.listed(&peer, 1), 1);
}
