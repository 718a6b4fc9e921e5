//! What the directory keeps of peers, and forgets.

use super::*;

fn heard(peer: u8, host: u8) -> Heard {
    Heard {
        peer: PeerId([peer; 16]),
        addr: SocketAddr::from(([10, 0, 0, host], 7117)),
        user: format!("user{peer}"),
        iface: None,
        interval: Some(Duration::from_secs(60)),
        greeted: false,
    }
}

fn entry(content: u8, name: &str) -> Entry {
    Entry { id: ContentId([content; 32]), name: name.to_owned(), size: 1, have: 1, of: 1 }
}

fn directory() -> Directory {
    Directory::new(Limits { peers_per_address_max: 2, peers_max: 4, ..Limits::default() }, Vec::new())
}

#[test]
fn silence_ends_a_peer_and_its_content() {
    let mut directory = directory();
    let peer = PeerId([1; 16]);
    assert_eq!(directory.heard(Time::ZERO, heard(1, 1)), Ok(true));
    assert_eq!(directory.list(&peer, 1, Some(1), vec![entry(7, "a")]), [ContentId([7; 32])]);
    assert_eq!(directory.expiry(), Some(Time::from_millis(180_000)));
    assert!(directory.expire(Time::from_millis(179_999)).is_empty());
    directory.connected(&peer, true);
    assert!(directory.expire(Time::from_millis(180_000)).is_empty());
    directory.connected(&peer, false);
    assert_eq!(directory.expire(Time::from_millis(180_000)).len(), 1);
    assert_eq!(directory.holders(&ContentId([7; 32])).count(), 0);
    directory.check();
}

#[test]
fn a_whole_generation_replaces_the_older_ones() {
    let mut directory = directory();
    let peer = PeerId([1; 16]);
    directory.heard(Time::ZERO, heard(1, 1)).unwrap();
    directory.list(&peer, 1, Some(2), vec![entry(7, "a"), entry(8, "b")]);
    directory.list(&peer, 2, Some(2), vec![entry(8, "b")]);
    assert!(directory.is_partly_known(&peer));
    assert_eq!(directory.matching(&Wanted::All).count(), 2);
    directory.list(&peer, 2, Some(2), vec![entry(9, "c")]);
    let names: Vec<_> = directory.matching(&Wanted::All).map(|(_, entry)| entry.name).collect();
    assert_eq!(names, ["b", "c"]);
    // An older datagram that comes late changes nothing.
    assert!(directory.list(&peer, 1, Some(2), vec![entry(7, "a")]).is_empty());
    directory.check();
}

#[test]
fn who_looks_for_the_same_is_counted_until_it_is_gone() {
    let mut directory = directory();
    let name = Wanted::Name("a".to_owned());
    for peer in 1..=2 {
        directory.heard(Time::ZERO, heard(peer, peer)).unwrap();
        directory.seeks(&PeerId([peer; 16]), Some(name.clone()));
    }
    assert_eq!(directory.seeker_count(&name), 2);
    let (one, id) = (PeerId([1; 16]), ContentId([7; 32]));
    assert!(directory.is_seeker(&one, &id, "a") && !directory.is_seeker(&one, &id, "b"));
    directory.seeks(&PeerId([1; 16]), Some(Wanted::Id(ContentId([7; 32]))));
    assert_eq!((directory.seeker_count(&name), directory.seekers_of(&id, "b")), (1, 1));
    assert!(directory.is_seeker(&one, &id, "b"));
    directory.check();
    directory.remove(&PeerId([2; 16]));
    assert_eq!(directory.seeker_count(&name), 0);
    directory.check();
}

#[test]
fn tables_have_an_end_and_known_peers_keep_their_places() {
    let mut directory = directory();
    assert_eq!(directory.heard(Time::ZERO, heard(1, 1)), Ok(true));
    assert_eq!(directory.heard(Time::ZERO, heard(2, 1)), Ok(true));
    assert!(directory.heard(Time::ZERO, heard(3, 1)).is_err());
    assert_eq!(directory.heard(Time::ZERO, heard(4, 2)), Ok(true));
    assert_eq!(directory.heard(Time::ZERO, heard(5, 2)), Ok(true));
    assert!(directory.heard(Time::ZERO, heard(6, 3)).is_err());
    assert_eq!(directory.heard(Time::ZERO, heard(1, 1)), Ok(false));
    // Who moves, or is gone, leaves its place at an address to another.
    assert_eq!(directory.heard(Time::ZERO, heard(1, 3)), Ok(false));
    directory.remove(&PeerId([5; 16]));
    directory.check();
    assert_eq!(directory.heard(Time::ZERO, heard(3, 1)), Ok(true));
    directory.check();
}

#[test]
fn connections_and_announcements_have_room_of_their_own() {
    let limits = Limits { peers_max: 2, connections_max: 3, ..Limits::default() };
    let mut directory = Directory::new(limits, Vec::new());
    let greeted = |number| Heard { greeted: true, ..heard(number, number) };
    for number in 1..=3 {
        assert_eq!(directory.heard(Time::ZERO, greeted(number)), Ok(true));
        directory.connected(&PeerId([number; 16]), true);
    }
    for number in 4..=5 {
        assert_eq!(directory.heard(Time::ZERO, heard(number, number)), Ok(true));
    }
    assert!(directory.heard(Time::ZERO, heard(6, 6)).is_err());
    // Who has left is forgotten with time only; nobody makes the table longer than both limits allow.
    for number in 1..=3 {
        directory.connected(&PeerId([number; 16]), false);
    }
    assert!(directory.heard(Time::ZERO, greeted(7)).is_err());
    assert_eq!(directory.expire(Time::from_millis(180_000)).len(), 5);
    assert_eq!(directory.heard(Time::ZERO, heard(6, 6)), Ok(true));
    directory.check();
}
