//! Others look through the names that are offered here, so that nobody else could.

use super::*;

/// A pattern that costs three steps for each character of each name, and matches none.
fn costly() -> Wanted {
    Wanted::Glob(format!("*{}b*", "a*".repeat(60)))
}

/// Offers names of 200 characters, in the order of their numbers.
fn offer(bench: &mut Bench, names: u32) {
    for number in 0..names {
        let mut content = ContentId([9; 32]);
        content.0[..4].copy_from_slice(&number.to_be_bytes());
        let name = format!("{number:05}{}", "a".repeat(195));
        // Not by way of `tell`, which looks whether everything is as it must be each time.
        let offered = StoreReply::Offered { content, name, size: 100_000 };
        bench.peer.handle(bench.now, Input::Stored(offered));
    }
    bench.drain();
    bench.wait(6_000);
}

fn query(number: u32, wanted: Wanted) -> Vec<u8> {
    let mut peer = PeerId([1; 16]);
    peer.0[..4].copy_from_slice(&number.to_be_bytes());
    let query = Query { peer, user: "x".into(), port: 7117, nonce: number.into(), wanted };
    datagram::encode_query(&query).expect("it fits")
}

fn source(number: u32) -> SocketAddr {
    let [_, b, c, d] = number.to_be_bytes();
    SocketAddr::from(([10, 100 + b, c, d], 7_117))
}

/// The entries of the answer to the query with this number.
fn answer(bench: &Bench, number: u32) -> Option<Vec<Entry>> {
    bench.said.iter().find_map(|said| match datagram::decode(said) {
        Ok(Datagram::Announcement(said)) if said.answers == Some(number.into()) => Some(said.entries),
        _ => None,
    })
}

#[test]
fn pages_keep_no_query_out() {
    let mut bench = Bench::with_limits(Limits { looks_max: 8, ..Limits::default() });
    offer(&mut bench, 3_000);
    // As many pages wait as queries may, and twice more.
    for last in 20..44 {
        let conn = bench.connected(host(last), last);
        bench.says(conn, &Frame::CatalogueRequest(CatalogueRequest { wanted: costly(), after: None }));
        bench.heard(conn);
    }
    bench.hear(source(1), &query(1, Wanted::Prefix("00000bb7".into())));
    // With so many peers about, an answer has a delay.
    bench.wait(50);
    assert!(answer(&bench, 1).is_some(), "an id is looked up at once");
    bench.hear(source(2), &query(2, Wanted::Name(format!("02999{}", "a".repeat(195)))));
    for _ in 0..100 {
        bench.wait(5);
    }
    assert!(answer(&bench, 2).is_some(), "a name is found between the pages");
    assert_eq!(bench.counter("queries over rate"), 0);
}

#[test]
fn forged_queries_keep_no_other_out() {
    let mut bench = Bench::with_limits(Limits { looks_max: 64, ..Limits::default() });
    offer(&mut bench, 300);
    let mut forged = 0;
    for honest in 1..=50 {
        // A thousand a second, each from another address.
        for _ in 0..20 {
            for _ in 0..5 {
                forged += 1;
                bench.hear(source(100_000 + forged), &query(100_000 + forged, costly()));
            }
            bench.wait(5);
        }
        bench.hear(source(honest), &query(honest, Wanted::Glob("00299*".into())));
        for _ in 0..4 {
            bench.wait(5);
        }
    }
    // With so many peers about, an answer has a delay.
    bench.wait(50);
    let missed: Vec<u32> = (1..=50).filter(|honest| answer(&bench, *honest).is_none()).collect();
    assert!(missed.is_empty(), "of 50 these were not answered: {missed:?}");
    assert!(bench.counter("queries over rate") > 1_000, "more came than could be looked for");
}

#[test]
fn many_connections_of_one_address_have_no_more_turns_than_one() {
    let mut bench = Bench::new();
    offer(&mut bench, 3_000);
    for number in 0..60 {
        let conn = bench.connected(host(20), 20 + number);
        bench.says(conn, &Frame::CatalogueRequest(CatalogueRequest { wanted: costly(), after: None }));
        bench.heard(conn);
    }
    let honest = bench.connected(host(2), 2);
    bench.heard(honest);
    let wanted = Wanted::Glob("02999*".into());
    bench.says(honest, &Frame::CatalogueRequest(CatalogueRequest { wanted, after: None }));
    // It takes two slices of the 64,000 steps that a millisecond brings; each of the others takes 30.
    let mut ms = 0;
    while bench.heard(honest).is_empty() {
        bench.wait(1);
        ms += 1;
        assert!(ms <= 20, "no page after {ms} ms");
    }
}

#[test]
fn an_answer_beyond_the_budget_has_the_first_match_and_costs_nothing_more() {
    let limits = Limits { look_steps_at_once: 20_000, look_steps_per_s: 1_000, ..Limits::default() };
    let mut bench = Bench::with_limits(limits);
    offer(&mut bench, 300);
    bench.wait(20_000);
    // With so many others an answer has a delay.
    for number in 0..60 {
        bench.hear(host(10 + number), &announcement(10 + number, 1, Vec::new()));
    }
    bench.hear(source(1), &query(1, Wanted::Glob("?".repeat(60) + "*")));
    bench.hear(source(2), &query(2, costly()));
    assert!(answer(&bench, 1).is_none(), "it waits");
    let before = bench.counter("steps of looking through names");
    for _ in 0..10 {
        bench.wait(5);
    }
    assert_eq!(answer(&bench, 1).map(|entries| entries.len()), Some(1));
    assert_eq!(bench.counter("steps of looking through names"), before);
}
