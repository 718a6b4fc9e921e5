use super::*;
use crate::core::io::Segment;
use crate::wire::frame;
use crate::wire::message::Frame;

fn connection(dialled: bool) -> Session {
    let addr = SocketAddr::from(([127, 0, 0, 1], 1));
    let transport = if dialled { Transport::dialled(addr) } else { Transport::accepted(addr) };
    Session::new(transport, &Limits::default(), Time::ZERO)
}

#[test]
fn that_a_chunk_was_bad_is_said_before_the_end() {
    let mut connection = connection(true);
    connection.phase = Phase::Open;
    let bad = |chunk| Frame::Bad { channel: 0, chunk };
    connection.outbox.push(Frame::Ping);
    connection.outbox.push(bad(1));
    connection.outbox.push(bad(2));
    let bye = Frame::Bye { reason: "sent bad chunks".into() };
    connection.begin_closing(Some(bye.clone()));
    let mut said = Vec::new();
    [bad(1), bad(2), bye].iter().for_each(|frame| frame::encode(frame, &mut said));
    assert_eq!(connection.segment(), Segment::Bytes { bytes: &said, span_of: None });
}

#[test]
fn a_chunk_is_cut_short_by_closing_without_a_false_promise() {
    let mut connection = connection(false);
    let content = ContentId([0; 32]);
    let out = Outgoing { content, chunk: 0, of: 1, offset: 0, len: 10, sent: 0, began: Time::ZERO };
    connection.begin_chunk(0, out);
    assert!(matches!(connection.segment(), Segment::Bytes { span_of: Some(_), .. }));
    connection.begin_closing(Some(Frame::Ping));
    assert_eq!(connection.segment(), Segment::Close);
}

#[test]
fn a_long_connection_still_knows_what_it_cancelled_last() {
    let mut connection = connection(false);
    let content = ContentId([0; 32]);
    for chunk in 0..1_000 {
        connection.note_cancelled(content, chunk);
    }
    assert!(connection.forget_cancelled(content, 999) && !connection.forget_cancelled(content, 999));
    assert!(!connection.forget_cancelled(content, 0));
}
