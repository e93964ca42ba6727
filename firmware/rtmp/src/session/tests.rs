use proptest::prelude::*;

use super::*;

/// A publisher: what it has to say, as bytes.
#[derive(Default)]
struct Publisher(Vec<u8>);

impl Publisher {
    fn new() -> Self {
        let mut hello = vec![3];
        hello.extend([7; 2 * 1536]);
        Self(hello)
    }

    fn says(mut self, kind: u8, stream: u32, timestamp: u32, body: &[u8]) -> Self {
        let message = Message { kind, stream, timestamp, body: body.to_vec() };
        let start = self.0.len();
        write(&mut self.0, 4, &message, CHUNK);
        self.0[start + 1..start + 4].copy_from_slice(&timestamp.to_be_bytes()[1..]);
        self
    }

    fn commands(self, values: &[Value]) -> Self {
        let mut body = Vec::new();
        for value in values {
            amf::write(&mut body, value);
        }
        self.says(kind::COMMAND, 0, 0, &body)
    }

    fn connects(self, app: &str) -> Self {
        let object = Value::Object(vec![("app".into(), Value::Text(app.into()))]);
        self.commands(&[Value::Text("connect".into()), Value::Number(1.0), object])
    }

    fn publishes(self, key: &str) -> Self {
        let text = |text: &str| Value::Text(text.into());
        self.commands(&[text("createStream"), Value::Number(2.0), Value::Null]).commands(&[
            text("publish"),
            Value::Number(3.0),
            Value::Null,
            text(key),
            text("live"),
        ])
    }

    fn all() -> Self {
        Self::new().connects("live").publishes("geheim")
    }
}

/// Gives everything to a session, accepting every key; gives what came of it and what was answered.
fn run(session: &mut Session, sent: &[u8], piece: usize) -> Result<(Vec<Event>, Vec<u8>), Fault> {
    let (mut events, mut out) = (Vec::new(), Vec::new());
    for mut bytes in sent.chunks(piece) {
        while let Some(event) = session.next(&mut bytes)? {
            if matches!(event, Event::Publish(_)) {
                session.accept();
            }
            events.push(event);
        }
        out.extend(session.output());
    }
    Ok((events, out))
}

/// The messages of an answer, after the handshake.
fn answers(out: &[u8]) -> Vec<Message> {
    let mut chunks = Chunks::new(PUBLISHER);
    let (mut rest, mut all) = (&out[1 + 2 * 1536..], Vec::new());
    while let Some(message) = chunks.next(&mut rest).unwrap() {
        all.push(message);
    }
    all
}

fn names(out: &[u8]) -> Vec<String> {
    let commands = answers(out).into_iter().filter(|message| message.kind == kind::COMMAND);
    commands
        .map(|message| {
            let values = amf::read(&message.body).unwrap();
            let code = values.last().and_then(|last| last.get("code")).and_then(Value::text);
            format!("{} {}", values[0].text().unwrap(), code.unwrap_or_default())
        })
        .collect()
}

#[test]
fn a_publisher_is_led_to_its_media_whatever_the_pieces() {
    let sent = Publisher::all().says(kind::VIDEO, 1, 40, &[1; 300]).says(kind::AUDIO, 1, 41, &[2]).0;
    for piece in [1, 100, 5000] {
        let (events, out) = run(&mut Session::new(1), &sent, piece).unwrap();
        assert_eq!(
            events,
            [
                Event::Publish(Private::new("geheim".into())),
                Event::Video { timestamp: 40, body: vec![1; 300] },
                Event::Audio { timestamp: 41, body: vec![2] },
            ]
        );
        assert_eq!(
            names(&out),
            ["_result NetConnection.Connect.Success", "_result ", "onStatus NetStream.Publish.Start"]
        );
    }
}

#[test]
fn the_address_names_the_key() {
    let key = |app: &str, name: &str| {
        let sent = Publisher::new().connects(app).publishes(name).0;
        match run(&mut Session::new(1), &sent, 99).unwrap().0.first() {
            Some(Event::Publish(key)) => key.expose().clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(key("live", "abc"), "abc");
    assert_eq!(key("live/", "abc?user=x"), "abc");
    assert_eq!(key("other", "abc"), "", "no key outside of /live/");
}

#[test]
fn no_media_before_a_key_and_none_after_a_refusal() {
    let early = Publisher::new().connects("live").says(kind::VIDEO, 1, 0, &[1]).0;
    assert_eq!(run(&mut Session::new(1), &early, 99).unwrap().0, []);
    let mut session = Session::new(1);
    let sent = Publisher::all().0;
    let mut rest = sent.as_slice();
    assert!(matches!(session.next(&mut rest), Ok(Some(Event::Publish(_)))));
    session.refuse("There is no such key.");
    session.accept();
    let mut more = &Publisher::default().says(kind::VIDEO, 1, 0, &[1]).0[..];
    assert_eq!(session.next(&mut more), Ok(None));
    assert!(names(&session.output()).contains(&"onStatus NetStream.Publish.BadName".to_owned()));
}

#[test]
fn a_key_is_never_printed() {
    let mut session = Session::new(1);
    let sent = Publisher::all().0;
    let mut rest = sent.as_slice();
    let event = session.next(&mut rest).unwrap();
    assert!(!format!("{event:?} {session:?}").contains("geheim"));
}

#[test]
fn pings_are_answered_and_windows_acknowledged() {
    let sent = Publisher::all().says(kind::USER_CONTROL, 0, 0, &[0, 6, 1, 2, 3, 4]);
    let sent = sent.says(kind::WINDOW_SIZE, 0, 0, &200_000_u32.to_be_bytes());
    let sent = (0..50).fold(sent, |sent, _| sent.says(kind::VIDEO, 1, 0, &[0; 10_000])).0;
    let (_, out) = run(&mut Session::new(1), &sent, 4096).unwrap();
    let answers = answers(&out);
    let pong =
        answers.iter().find(|answer| answer.kind == kind::USER_CONTROL && answer.body[1] == 7).unwrap();
    assert_eq!(pong.body, [0, 7, 1, 2, 3, 4]);
    let acknowledged: Vec<u32> = answers
        .iter()
        .filter(|answer| answer.kind == kind::ACKNOWLEDGEMENT)
        .map(|answer| u32::from_be_bytes(answer.body[..4].try_into().unwrap()))
        .collect();
    assert_eq!(acknowledged.len(), 2, "of 500 kB: {acknowledged:?}");
    assert!(acknowledged[0] >= 200_000 && acknowledged[0] < 215_000);
}

#[test]
fn what_no_publisher_does_ends_it() {
    let fault = |publisher: Publisher| run(&mut Session::new(1), &publisher.0, 1000).err();
    let text = |text: &str| Value::Text(text.into());
    let plays = [text("play"), Value::Number(4.0), Value::Null, text("geheim")];
    assert_eq!(fault(Publisher::new().connects("live").commands(&plays)), Some(Fault::Player));
    assert!(matches!(fault(Publisher::new().publishes("x")), Some(Fault::Broken(_))));
    assert!(matches!(fault(Publisher::all().publishes("x")), Some(Fault::Broken(_))));
    assert!(matches!(fault(Publisher::new().connects("live").connects("live")), Some(Fault::Broken(_))));
    assert!(matches!(fault(Publisher::new().says(kind::COMMAND, 0, 0, &[0xff])), Some(Fault::Broken(_))));
    let long = Publisher::new().says(kind::COMMAND, 0, 0, &vec![0; 20_000]);
    assert_eq!(fault(long), Some(Fault::TooLarge { most: 16 << 10 }));
    // A thousand pings at once, none of whose answers is fetched.
    let pings =
        (0..1000).fold(Publisher::new(), |sent, _| sent.says(kind::USER_CONTROL, 0, 0, &[0, 6, 1, 2, 3, 4]));
    assert_eq!(run(&mut Session::new(1), &pings.0, usize::MAX), Err(Fault::Unread));
    let done = [text("FCUnpublish"), Value::Number(5.0), Value::Null, text("geheim")];
    let said = Publisher::all().commands(&done).commands(&done).says(kind::VIDEO, 1, 0, &[1]).0;
    let (events, _) = run(&mut Session::new(1), &said, 1000).unwrap();
    assert_eq!(events[1..], [Event::End], "once, and nothing after it");
}

#[test]
fn a_publisher_may_send_the_largest_picture() {
    let mut session = Session::new(1);
    run(&mut session, &Publisher::all().0, 1000).unwrap();
    let sent = Publisher::default().says(kind::VIDEO, 1, 0, &vec![0; MOST_UNIT_BYTES]).0;
    let (mut most, mut events) = (0, 0);
    for mut bytes in sent.chunks(16 << 10) {
        events += usize::from(session.next(&mut bytes).unwrap().is_some());
        most = most.max(session.held_bytes());
    }
    assert_eq!(events, 1);
    assert!((MOST_UNIT_BYTES..PUBLISHER_BYTES).contains(&most), "{most}");
}

proptest! {
    #[test]
    fn strangers_hold_little_and_nothing_panics(
        place in 0_usize..4000,
        noise in proptest::collection::vec(any::<u8>(), 1..40),
        more in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0_u8), Just(0xc4), Just(0x04)], 0..4000),
        piece in 1_usize..20_000,
    ) {
        let mut sent = Publisher::new().connects("live").0;
        let place = place.min(sent.len());
        sent.splice(place..(place + noise.len()).min(sent.len()), noise);
        sent.extend(more);
        let mut session = Session::new(1);
        for mut bytes in sent.chunks(piece) {
            while let Ok(Some(_)) = session.next(&mut bytes) {}
            prop_assert!(session.held_bytes() < STRANGER_BYTES);
            session.output();
        }
    }
}
