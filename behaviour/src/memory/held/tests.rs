use super::*;

fn receive(held: &mut Held, stream: u32, body: u32) {
    held.begun(body).unwrap();
    held.received(stream, body);
}

#[test]
fn what_was_read_is_no_longer_held() {
    let mut held = Held::default();
    held.opened(1).unwrap();
    held.taken(1);
    receive(&mut held, 1, 1000);
    receive(&mut held, 1, 500);
    let full = held.charge();
    held.read(1, 1200);
    assert_eq!(held.charge(), full - 1200 - FRAME_COST);
    held.read(1, 300);
    assert_eq!(held.charge(), STREAM_COST + 2 * QUEUE_COST);
    held.dropped(1);
    held.turn_begins();
    held.turn_is_done();
    assert_eq!(held.charge(), 0);
}

#[test]
fn a_window_filled_byte_by_byte_counts_what_it_costs() {
    let mut held = Held::default();
    held.opened(1).unwrap();
    (0..1000).for_each(|_| receive(&mut held, 1, 1));
    assert!(held.charge() > 1000 * (1 + FRAME_COST + QUEUE_COST));
    held.read(1, 1000);
    assert!(held.charge() > 1000 * QUEUE_COST, "the queue stays large");
}

#[test]
fn the_body_of_a_frame_counts_from_its_header_on() {
    let mut held = Held::default();
    held.begun(100_000).unwrap();
    assert_eq!(held.charge(), 100_000);
    // Stream 7 was never opened.
    held.received(7, 100_000);
    assert_eq!(held.charge(), 0);
}

#[test]
fn a_dropped_stream_counts_until_the_multiplexer_has_let_go_of_it() {
    let mut held = Held::default();
    held.opened(1).unwrap();
    held.taken(1);
    receive(&mut held, 1, 1000);
    held.turn_begins();
    held.dropped(1);
    held.turn_is_done();
    assert!(held.charge() > 1000, "dropped during the turn");
    receive(&mut held, 1, 1000);
    held.turn_begins();
    held.turn_is_done();
    assert_eq!(held.charge(), 0);
}

#[test]
fn what_was_written_counts_until_it_is_sent() {
    let mut held = Held::default();
    held.taken(1);
    held.written(300);
    held.sent(100);
    assert_eq!(held.unsent(), 200);
    held.close();
    assert_eq!(held.unsent(), 0);
    held.dropped(1);
    assert_eq!(held.charge(), 0);
}

#[test]
fn violations_of_the_rules_are_detected() {
    let mut held = Held::default();
    for stream in 0..MAX_KNOWN as u32 {
        held.opened(stream).unwrap();
        receive(&mut held, stream, STREAM_WINDOW as u32 / 4);
    }
    assert_eq!(held.opened(u32::MAX), Err(Overrun::Streams));
    while held.begun(STREAM_WINDOW as u32).is_ok() {
        held.received(0, STREAM_WINDOW as u32);
    }
    assert!(held.unread <= MAX_UNREAD);
}
