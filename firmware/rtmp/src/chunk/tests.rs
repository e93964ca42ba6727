use proptest::prelude::*;

use super::*;

const WIDE: Bounds = Bounds { message: 1 << 20, unfinished: 4 << 20 };

/// Reads everything, in pieces of this size.
fn read(sent: &[u8], piece: usize, bounds: Bounds) -> Result<Vec<Message>, Fault> {
    let (mut chunks, mut all) = (Chunks::new(bounds), Vec::new());
    for mut bytes in sent.chunks(piece) {
        while let Some(message) = chunks.next(&mut bytes)? {
            all.push(message);
        }
        assert!(bytes.is_empty());
        assert!(chunks.held <= bounds.unfinished);
    }
    Ok(all)
}

fn message(kind: u8, timestamp: u32, body: &[u8]) -> Message {
    Message { kind, stream: 1, timestamp, body: body.to_vec() }
}

/// The header of a message, by format; times of 0xffffff and more in the extended field.
fn header(format: u8, id: u8, time: u32, length: usize, kind: u8) -> Vec<u8> {
    let mut out = vec![format << 6 | id];
    let field = time.min(EXTENDED);
    if format < 3 {
        out.extend(&field.to_be_bytes()[1..]);
    }
    if format < 2 {
        out.extend(&(length as u32).to_be_bytes()[1..]);
        out.push(kind);
    }
    if format == 0 {
        out.extend(1_u32.to_le_bytes());
    }
    if time >= EXTENDED {
        out.extend(time.to_be_bytes());
    }
    out
}

#[test]
fn deltas_repeat_and_wrap() {
    let mut sent = Vec::new();
    // As ffmpeg writes sound: full header, then deltas, then nothing while both stay the same.
    for (format, time) in
        [(0, 40), (3, 40), (1, 23), (3, 23), (2, 24), (0, 0xffff_fff0), (2, 0x20), (3, 0x20)]
    {
        sent.extend(header(format, 4, time, 2, 8));
        sent.extend([1, 2]);
    }
    let times: Vec<u32> = read(&sent, 5, WIDE).unwrap().iter().map(|message| message.timestamp).collect();
    assert_eq!(times, [40, 80, 103, 126, 150, 0xffff_fff0, 0x10, 0x30]);
}

#[test]
fn a_repeated_header_does_not_double_the_hours() {
    let hours = 5 * 3_600_000;
    let mut sent = header(0, 4, hours, 1, 8);
    sent.push(1);
    // Its time is in the extended field, which chunks of format 3 repeat.
    sent.extend([0xc4]);
    sent.extend(hours.to_be_bytes());
    sent.push(2);
    assert_eq!(read(&sent, 100, WIDE).unwrap(), [message(8, hours, &[1]), message(8, hours, &[2])]);
}

#[test]
fn ids_of_all_lengths_are_apart() {
    let mut sent = Vec::new();
    for basic in [&[0x05][..], &[0x00, 0], &[0x00, 255], &[0x01, 0, 1], &[0x01, 255, 255]] {
        sent.extend(basic);
        sent.extend([0, 0, 9, 0, 0, 200, 8, 1, 0, 0, 0]);
        sent.extend([7; 128]);
    }
    for basic in [&[0xc1, 255, 255][..], &[0xc1, 0, 1], &[0xc0, 255], &[0xc0, 0], &[0xc5]] {
        sent.extend(basic);
        sent.extend([8; 72]);
    }
    let messages = read(&sent, 11, WIDE).unwrap();
    assert_eq!(messages.len(), 5);
    assert!(messages.iter().all(|message| message.body.len() == 200 && message.timestamp == 9));
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let full = header(0, 4, 0, 300, 8);
    let inside: Vec<u8> = [&full[..], &[0; 128], &full].concat();
    assert!(matches!(read(&inside, 50, WIDE), Err(Fault::Broken(_))));
    assert!(matches!(read(&header(2, 4, 9, 0, 0), 50, WIDE), Err(Fault::Broken(_))));
    assert!(matches!(read(&[0xc4], 50, WIDE), Err(Fault::Broken(_))));
    let mut chunks = Chunks::new(WIDE);
    assert!(chunks.set_chunk_bytes(0).is_err() && chunks.set_chunk_bytes(1 << 31).is_err());
    // An announcement costs nothing, one byte too many is refused before it comes.
    let bounds = Bounds { message: 1000, unfinished: 1500 };
    assert_eq!(read(&header(0, 4, 0, 1001, 8), 50, bounds), Err(Fault::TooLarge { most: 1000 }));
    let mut sent = Vec::new();
    for id in 4..7 {
        sent.extend(header(0, id, 0, 1000, 8));
        sent.extend([0; 128]);
    }
    assert_eq!(read(&sent, 50, bounds), Err(Fault::TooLarge { most: 1500 }));
    let many: Vec<u8> = (3..=3 + MOST_CHUNK_STREAMS as u8).flat_map(|id| header(0, id, 0, 0, 8)).collect();
    assert_eq!(read(&many, 50, WIDE), Err(Fault::TooManyChunkStreams));
    assert_eq!(read(&many[..many.len() - 12], 50, WIDE).unwrap().len(), MOST_CHUNK_STREAMS);
}

#[test]
fn an_aborted_message_leaves_room_and_its_stream_goes_on() {
    let mut chunks = Chunks::new(WIDE);
    let sent = [&header(0, 4, 5, 300, 9)[..], &[0; 128]].concat();
    assert_eq!(chunks.next(&mut &sent[..]), Ok(None));
    assert!(chunks.held > 0);
    chunks.abort(4);
    chunks.abort(5);
    assert_eq!(chunks.held, 0);
    let sent = [&header(1, 4, 5, 2, 9)[..], &[1, 2]].concat();
    assert_eq!(chunks.next(&mut &sent[..]), Ok(Some(message(9, 10, &[1, 2]))));
}

/// Messages of a few chunk streams, cut and interleaved by a list of choices.
fn interleave(messages: &[Vec<usize>], order: &[u8], chunk: usize) -> (Vec<u8>, Vec<Message>) {
    let mut sent = Vec::new();
    let mut whole = Vec::new();
    let mut next: Vec<(usize, usize)> = vec![(0, 0); messages.len()];
    let mut order = order.iter().cycle();
    while next.iter().zip(messages).any(|((turn, _), own)| *turn < own.len()) {
        let mut pick = *order.next().unwrap() as usize % messages.len();
        while next[pick].0 >= messages[pick].len() {
            pick = (pick + 1) % messages.len();
        }
        let (turn, at) = next[pick];
        let body: Vec<u8> = (0..messages[pick][turn]).map(|byte| (byte * 7 + pick) as u8).collect();
        if at == 0 {
            sent.extend(header(0, 3 + pick as u8, turn as u32, body.len(), 9));
        } else {
            sent.push(0xc0 | (3 + pick as u8));
        }
        let end = (at + chunk).min(body.len());
        sent.extend(&body[at..end]);
        next[pick] = if end == body.len() { (turn + 1, 0) } else { (turn, end) };
        if end == body.len() {
            whole.push(message(9, turn as u32, &body));
        }
    }
    (sent, whole)
}

proptest! {
    #[test]
    fn interleaved_messages_come_out_whole(
        messages in proptest::collection::vec(proptest::collection::vec(0_usize..700, 0..5), 1..6),
        order in proptest::collection::vec(any::<u8>(), 1..40),
        piece in 1_usize..300,
    ) {
        let (sent, whole) = interleave(&messages, &order, CHUNK_BYTES as usize);
        prop_assert_eq!(read(&sent, piece, WIDE).unwrap(), whole);
    }

    #[test]
    fn what_is_written_is_read(body in proptest::collection::vec(any::<u8>(), 0..900), kind: u8) {
        let mut sent = Vec::new();
        write(&mut sent, 3, &message(kind, 0, &body), CHUNK_BYTES as usize);
        prop_assert_eq!(read(&sent, 64, WIDE).unwrap(), [message(kind, 0, &body)]);
    }

    #[test]
    fn no_bytes_panic_or_pass_the_bounds(
        sent in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xc3), Just(0x03), Just(0xff)], 0..600),
        piece in 1_usize..100,
    ) {
        let _ = read(&sent, piece, Bounds { message: 700, unfinished: 1000 });
    }
}
