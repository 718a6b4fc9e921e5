//! What the directory keeps of peers, and forgets.

use super::*;

fn heard(peer: u8, host: u8) -> Heard {
    Heard {
        peer: PeerId([peer; 16]),
        addr: SocketAddr::from(([10, 0, 0, host], 7117)),
        user: format!("user{peer}"),
        iface: None,
        interval: Some(Duration::from_secs(60)),
        by: By::Announcement,
    }
}

fn entry(content: u8, name: &str) -> Entry {
    Entry { id: ContentId([content; 32]), name: name.to_owned(), size: 1, have: 1, of: 1 }
}

fn directory() -> Directory {
    Directory::new(Limits { peers_per_address_max: 2, peers_max: 4, ..Limits::default() }, Vec::new())
}

/// Hears a peer: whether it was new, and who gave way to it.
fn hear(directory: &mut Directory, ms: u64, heard: Heard) -> Result<(bool, Vec<u8>), &'static str> {
    let taken = directory.heard(Time::from_millis(ms), heard, &mut Rng::new(ms))?;
    directory.check();
    Ok((taken.new, taken.gone.iter().filter_map(|gone| Some(gone.id?.0[0])).collect()))
}

const NEW: Result<(bool, Vec<u8>), &str> = Ok((true, Vec::new()));
const AGAIN: Result<(bool, Vec<u8>), &str> = Ok((false, Vec::new()));

#[test]
fn silence_ends_a_peer_and_its_content() {
    let mut directory = directory();
    let peer = PeerId([1; 16]);
    assert_eq!(hear(&mut directory, 0, heard(1, 1)), NEW);
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
    hear(&mut directory, 0, heard(1, 1)).unwrap();
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
fn the_state_that_was_told_elsewhere_does_not_hide_a_catalogue() {
    let mut directory = directory();
    let peer = PeerId([1; 16]);
    hear(&mut directory, 0, heard(1, 1)).unwrap();
    directory.list(&peer, u64::MAX, Some(2), vec![entry(7, "a"), entry(7, "bait")]);
    hear(&mut directory, 0, heard(1, 2)).unwrap();
    let names = |directory: &Directory| -> Vec<String> {
        directory.matching(&Wanted::All).map(|(_, entry)| entry.name).collect()
    };
    assert_eq!(names(&directory), ["a", "bait"]);
    directory.list(&peer, 3, Some(2), vec![entry(7, "a")]);
    assert!(directory.is_partly_known(&peer));
    directory.check();
    directory.list(&peer, 3, Some(2), vec![entry(7, "b")]);
    assert_eq!(names(&directory), ["a", "b"]);
    assert!(!directory.is_partly_known(&peer));
    directory.check();
}

#[test]
fn who_looks_for_the_same_is_counted_until_it_is_gone() {
    let mut directory = directory();
    let name = Wanted::Name("a".to_owned());
    for peer in 1..=2 {
        hear(&mut directory, 0, heard(peer, peer)).unwrap();
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
fn those_who_are_least_known_give_way_at_an_address_and_in_the_table() {
    let mut directory = directory();
    let by = |by, peer, host| Heard { by, ..heard(peer, host) };
    assert_eq!(hear(&mut directory, 0, heard(1, 1)), NEW);
    assert_eq!(hear(&mut directory, 0, by(By::Question, 2, 1)), NEW);
    // A peer that only asked gives way at a full address, but makes nobody else give way.
    assert_eq!(hear(&mut directory, 0, heard(3, 1)), Ok((true, vec![2])));
    assert!(hear(&mut directory, 0, by(By::Question, 2, 1)).is_err());
    // One announces itself again at its interval, so the other goes.
    assert_eq!(hear(&mut directory, 60_000, heard(1, 1)), AGAIN);
    assert_eq!(hear(&mut directory, 60_000, heard(4, 1)), Ok((true, vec![3])));
    // A peer that says hello has a place wherever others were only heard, and then goes last.
    assert_eq!(hear(&mut directory, 60_000, by(By::Hello, 5, 1)), Ok((true, vec![4])));
    assert_eq!(hear(&mut directory, 60_000, by(By::Hello, 6, 1)), Ok((true, vec![1])));
    directory.connected(&PeerId([5; 16]), true);
    assert_eq!(hear(&mut directory, 60_000, heard(7, 1)), Ok((true, vec![6])));
    directory.connected(&PeerId([7; 16]), true);
    assert!(hear(&mut directory, 60_000, by(By::Hello, 8, 1)).is_err());
    // Who moves, or is gone, leaves its place at an address to another.
    assert_eq!(hear(&mut directory, 60_000, heard(7, 3)), AGAIN);
    assert_eq!(hear(&mut directory, 60_000, by(By::Hello, 8, 1)), NEW);
    directory.remove(&PeerId([8; 16]));
    for peer in 10..14 {
        let by = if peer < 12 { By::Question } else { By::Answer };
        assert_eq!(hear(&mut directory, 60_000, Heard { by, ..heard(peer, peer) }), NEW);
    }
    // The table is full. One of those that asked looks for what is here.
    let wanted = Wanted::Name("a".to_owned());
    directory.seeks(&PeerId([10; 16]), Some(wanted.clone()));
    directory.is_here(&wanted);
    assert_eq!(hear(&mut directory, 60_000, heard(14, 14)), Ok((true, vec![11])));
    assert_eq!(hear(&mut directory, 60_000, heard(15, 15)), Ok((true, vec![10])));
    assert!(hear(&mut directory, 60_000, by(By::Question, 16, 16)).is_err());
    let (_, gone) = hear(&mut directory, 60_000, by(By::Answer, 16, 16)).unwrap();
    assert!(gone == [14] || gone == [15], "{gone:?}");
    let (_, gone) = hear(&mut directory, 60_000, by(By::Answer, 17, 17)).unwrap();
    assert!(gone == [14] || gone == [15], "{gone:?}");
    // Answers can be forged: where there are only those, one of them goes.
    let (_, gone) = hear(&mut directory, 60_000, heard(18, 18)).unwrap();
    assert!(gone.len() == 1 && [12, 13, 16, 17].contains(&gone[0]), "{gone:?}");
    assert_eq!(hear(&mut directory, 60_000, by(By::Hello, 19, 19)), NEW);
}

#[test]
fn a_second_announcement_counts_at_the_interval_that_was_told() {
    let mut directory = Directory::new(Limits { peers_max: 2, ..Limits::default() }, Vec::new());
    let every = |seconds| Heard { interval: Some(Duration::from_secs(seconds)), ..heard(1, 1) };
    let standing = |directory: &Directory| directory.get(&PeerId([1; 16])).map(|known| known.standing);
    hear(&mut directory, 0, every(3_600)).unwrap();
    // A peer that tells another interval begins anew; so does one that moves.
    hear(&mut directory, 1_000, every(1)).unwrap();
    assert_eq!(standing(&directory), Some(Standing::Announced));
    hear(&mut directory, 1_800, every(1)).unwrap();
    assert_eq!(standing(&directory), Some(Standing::Announced));
    hear(&mut directory, 2_000, every(1)).unwrap();
    assert_eq!(standing(&directory), Some(Standing::Regular));
    hear(&mut directory, 2_500, every(3_600)).unwrap();
    assert_eq!(standing(&directory), Some(Standing::Announced));
    hear(&mut directory, 2_600, every(1)).unwrap();
    hear(&mut directory, 3_600, every(1)).unwrap();
    assert_eq!(standing(&directory), Some(Standing::Regular));
    hear(&mut directory, 9_000, Heard { addr: heard(1, 2).addr, ..every(1) }).unwrap();
    assert_eq!(standing(&directory), Some(Standing::Announced));
    // A question in between changes nothing.
    hear(&mut directory, 9_500, Heard { by: By::Question, interval: None, ..heard(1, 2) }).unwrap();
    hear(&mut directory, 10_000, Heard { addr: heard(1, 2).addr, ..every(1) }).unwrap();
    assert_eq!(standing(&directory), Some(Standing::Regular));
}

#[test]
fn who_only_asked_is_forgotten_soon() {
    let mut directory = directory();
    hear(&mut directory, 0, Heard { by: By::Question, ..heard(1, 1) }).unwrap();
    assert!(directory.expire(Time::from_millis(9_999)).is_empty());
    assert_eq!(directory.expire(Time::from_millis(10_000)).len(), 1);
    directory.check();
}

#[test]
fn connections_and_announcements_have_room_of_their_own() {
    let limits = Limits { peers_max: 2, connections_max: 3, ..Limits::default() };
    let mut directory = Directory::new(limits, Vec::new());
    let greeted = |number| Heard { by: By::Hello, ..heard(number, number) };
    for number in 1..=3 {
        assert_eq!(hear(&mut directory, 0, greeted(number)), NEW);
        directory.connected(&PeerId([number; 16]), true);
    }
    for number in 4..=5 {
        assert_eq!(hear(&mut directory, 0, heard(number, number)), NEW);
    }
    let (_, gone) = hear(&mut directory, 0, heard(6, 6)).unwrap();
    assert!(gone == [4] || gone == [5], "{gone:?}");
    // Nobody makes the table longer than both limits allow: of those that said hello and are gone, one goes.
    for number in 1..=3 {
        directory.connected(&PeerId([number; 16]), false);
    }
    let (_, gone) = hear(&mut directory, 0, greeted(7)).unwrap();
    assert!(gone.len() == 1 && gone[0] <= 3, "{gone:?}");
    assert_eq!(directory.expire(Time::from_millis(180_000)).len(), 5);
    assert_eq!(hear(&mut directory, 180_000, heard(6, 6)), NEW);
}
