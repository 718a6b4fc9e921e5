use super::*;

const CONN: ConnId = ConnId { slot: 0, generation: 0 };

/// A wish for a file of this name.
pub(crate) fn wish(name: &str) -> Wish {
    let stall = Duration::from_secs(600);
    let (name, layout, ticket) = (name.into(), Layout::Flat, None);
    Wish { name, layout, size_claimed: 1, stall, began: Time::ZERO, ticket, renewed: 0 }
}

#[test]
fn a_download_that_waits_is_small() {
    // A search begins 100,000 of them, and what only an active one needs is elsewhere or not there yet.
    assert!(size_of::<Download>() <= 496, "{} bytes", size_of::<Download>());
    assert!(size_of::<Wish>() <= 72, "{} bytes", size_of::<Wish>());
}

#[test]
fn lateness_counts_from_the_first_byte_or_from_silence() {
    let mut late = Download::new(1, wish("a"));
    late.geometry = Geometry::native(100_000).ok();
    let flight =
        Flight { conn: CONN, asked: Time::ZERO, begun: None, late: false, moved: false, revoked: None };
    late.flights.insert(0, Flight { begun: Some(Time::from_millis(3_000)), ..flight });
    late.flights.insert(1, flight);
    let limits = Limits::default();
    let mut at =
        |ms, heard_ms| late.mark_late(Time::from_millis(ms), &limits, |_| Some(Time::from_millis(heard_ms)));
    assert!(at(4_500, 3_000).is_empty());
    assert_eq!(at(7_060, 3_000), [(1, CONN)]);
    assert_eq!(at(7_100, 7_000), [(0, CONN)]);
    assert!(at(9_000, 7_000).is_empty());
}
