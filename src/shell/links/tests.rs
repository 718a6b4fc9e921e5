use super::*;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};

const LINGERING_MAX: usize = 20;

/// Polls and discards until nobody lingers any more, or for `turns` turns.
fn linger(poll: &mut mio::Poll, links: &mut Links, turns: usize) {
    let mut events = mio::Events::with_capacity(64);
    let mut scratch = [0; 4096];
    for _ in 0..turns {
        while let Some(key) = links.ready.pop() {
            if links.discard(key, &mut scratch) {
                links.ready.push(key);
            }
        }
        if links.lingering() == 0 {
            return;
        }
        poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
        events.iter().for_each(|event| links.set_ready(event));
    }
}

fn conn(slot: u32) -> ConnId {
    ConnId { slot, generation: 1 }
}

/// A connection that stands: its place, and the other end.
fn pair(links: &mut Links, listener: &TcpListener, slot: u32) -> (usize, std::net::TcpStream) {
    let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    links.accept(conn(slot), TcpStream::from_std(near)).unwrap();
    (links.place_of(conn(slot)).unwrap(), far)
}

#[test]
fn the_tail_arrives_though_the_other_side_went_on_sending() {
    let mut poll = mio::Poll::new().unwrap();
    let mut links = Links::new(poll.registry().try_clone().unwrap(), Token(7), LINGERING_MAX);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (key, mut far) = pair(&mut links, &listener, 3);
    far.write_all(&[1; 50_000]).unwrap();
    let mut near = &links.get(key).unwrap().stream;
    near.write_all(b"the tail").unwrap();
    links.close(key, Instant::now());
    assert_eq!((links.lingering(), links.place_of(conn(3))), (1, None));
    assert!(links.open(key).is_none());
    linger(&mut poll, &mut links, 3);
    // Had unread bytes been there at a plain close, this write would meet a reset and the tail would be lost.
    far.write_all(&[2; 50_000]).unwrap();
    linger(&mut poll, &mut links, 3);
    let mut tail = Vec::new();
    far.read_to_end(&mut tail).unwrap();
    assert_eq!(tail, b"the tail");
    drop(far);
    linger(&mut poll, &mut links, 50);
    assert_eq!((links.lingering(), links.sockets.len()), (0, 0));
}

#[test]
fn lingering_is_bounded_in_time_count_and_bytes() {
    let poll = mio::Poll::new().unwrap();
    let mut links = Links::new(poll.registry().try_clone().unwrap(), Token(0), LINGERING_MAX);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let now = Instant::now();
    let mut far_ends = Vec::new();
    for slot in 0..LINGERING_MAX as u32 + 3 {
        let (key, far) = pair(&mut links, &listener, slot);
        far_ends.push(far);
        links.close(key, now);
    }
    assert_eq!((links.lingering(), links.sockets.len()), (LINGERING_MAX, LINGERING_MAX));
    assert_eq!(links.deadline(), Some(now + LINGER_MAX));
    links.expire(now + LINGER_MAX / 2);
    assert_eq!(links.lingering(), LINGERING_MAX);
    links.expire(now + LINGER_MAX);
    assert_eq!((links.lingering(), links.sockets.len(), links.deadline()), (0, 0, None));

    let (key, mut far) = pair(&mut links, &listener, 0);
    links.close(key, now);
    far.write_all(&[0; 100]).unwrap();
    links.get(key).unwrap().phase = Phase::Lingering { until: now + LINGER_MAX, bytes_left: 100 };
    let mut scratch = [0; 4096];
    while links.sockets.contains(key) {
        links.get(key).unwrap().readable = true;
        links.discard(key, &mut scratch);
    }
    assert_eq!(links.lingering(), 0);
}

#[test]
fn a_connection_whose_other_side_ended_need_not_linger() {
    let poll = mio::Poll::new().unwrap();
    let mut links = Links::new(poll.registry().try_clone().unwrap(), Token(0), LINGERING_MAX);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (key, _far) = pair(&mut links, &listener, 0);
    links.get(key).unwrap().ended = true;
    links.close(key, Instant::now());
    assert_eq!((links.lingering(), links.sockets.len()), (0, 0));
}

#[test]
fn what_is_said_of_an_old_generation_finds_nothing() {
    let poll = mio::Poll::new().unwrap();
    let mut links = Links::new(poll.registry().try_clone().unwrap(), Token(0), LINGERING_MAX);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (key, _far) = pair(&mut links, &listener, 5);
    while links.ready.pop().is_some() {}
    links.wake(ConnId { slot: 5, generation: 0 });
    links.wake(ConnId { slot: 6, generation: 1 });
    assert!(links.ready.is_empty());
    links.wake(conn(5));
    assert_eq!(links.ready.pop(), Some(key));
    links.remove(key);
    links.remove(key);
    assert_eq!(links.place_of(conn(5)), None);
}

#[test]
fn a_dial_from_an_address_that_is_not_ours_fails_at_once() {
    let poll = mio::Poll::new().unwrap();
    let mut links = Links::new(poll.registry().try_clone().unwrap(), Token(0), LINGERING_MAX);
    let elsewhere = IpAddr::from([192, 0, 2, 77]);
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    assert!(links.dial(conn(0), to, Some(elsewhere)).is_err());
    assert!(links.sockets.is_empty());
}
