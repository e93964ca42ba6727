use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn hash(text: &str) -> Private<String> {
    Private::new(text.to_owned())
}

fn visitor(number: u32) -> Visitor<'static> {
    Visitor { peer: IpAddr::from((0xc0a8_0100 + number).to_be_bytes()), near: true, mark: None }
}

/// A gate with an owner who has signed in from address 7; the owner's pass.
fn owned() -> (Gate, Pass) {
    let mut gate = Gate::new(None, 30 * MINUTE);
    let claim = gate.claim(Duration::ZERO, visitor(7)).unwrap();
    let pass = gate.claimed(Duration::ZERO, claim, visitor(7), Some((hash("one"), [1; 32], [2; 32])));
    (gate, pass.unwrap())
}

/// One try with a password that is right or wrong; whether it was checked at all.
fn tried(gate: &mut Gate, now: Duration, visitor: Visitor<'_>, right: bool) -> Result<(), Refused> {
    let check = gate.check(now, visitor)?;
    gate.checked(&check, right)
}

#[test]
fn a_box_gets_its_owner_once() {
    let mut gate = Gate::new(None, 30 * MINUTE);
    let claim = gate.claim(Duration::ZERO, visitor(1)).unwrap();
    assert_eq!(gate.claim(Duration::ZERO, visitor(2)).unwrap_err(), Refused::Contended);
    // Nothing came of it, for example because it could not be kept: the next one may.
    assert!(gate.claimed(Duration::ZERO, claim, visitor(1), None).is_none());
    assert!(!gate.owned());
    let claim = gate.claim(Duration::ZERO, visitor(2)).unwrap();
    let pass = gate.claimed(Duration::ZERO, claim, visitor(2), Some((hash("x"), [1; 32], [2; 32]))).unwrap();
    assert!(gate.signed_in(Duration::ZERO, Some(pass.session.expose())));
    assert_eq!(gate.claim(Duration::ZERO, visitor(1)).unwrap_err(), Refused::Owned);
    assert_eq!(gate.claimable(Duration::ZERO, visitor(1)), None);
}

#[test]
fn a_claim_needs_the_first_minutes_and_the_boxs_own_network() {
    let mut gate = Gate::new(None, 30 * MINUTE);
    let far = Visitor { near: false, ..visitor(1) };
    assert_eq!(gate.claim(Duration::ZERO, far).unwrap_err(), Refused::Far);
    assert_eq!(gate.claimable(Duration::ZERO, far), None);
    assert_eq!(gate.claimable(10 * MINUTE, visitor(1)), Some(20 * MINUTE));
    assert_eq!(gate.claim(30 * MINUTE, visitor(1)).unwrap_err(), Refused::Closed);
    assert_eq!(gate.claimable(30 * MINUTE, visitor(1)), None);
    assert!(!gate.owned());
    assert_eq!(gate.check(30 * MINUTE, visitor(1)).unwrap_err(), Refused::Unowned);
}

/// THREATS.md, row 9.
#[test]
fn ten_thousand_guesses_a_minute_from_two_hundred_addresses_do_not_touch_the_owner() {
    let (mut gate, pass) = owned();
    let mut times = Vec::new();
    let mut owner_times = Vec::new();
    for step in 0..30_000_u32 {
        let now = Duration::from_millis(u64::from(step) * 6);
        match tried(&mut gate, now, visitor(10 + step % 200), false) {
            Err(Refused::Wrong) => times.push(now),
            Err(Refused::Later(wait)) => assert!(wait <= MINUTE && !wait.is_zero()),
            other => panic!("{other:?}"),
        }
        assert!(gate.signed_in(now, Some(pass.session.expose())), "the owner stays signed in");
        if step % 2_500 == 0 {
            // From the address of before, and in the browser of before from a new address.
            assert_eq!(tried(&mut gate, now, visitor(7), true), Ok(()), "at {now:?}");
            let moved = Visitor { mark: Some(pass.mark.expose()), ..visitor(3_000 + step) };
            assert_eq!(tried(&mut gate, now, moved, true), Ok(()), "at {now:?}");
            owner_times.extend([now, now]);
        }
    }
    assert!(times.len() >= 3 * 20, "{}", times.len());
    times.append(&mut owner_times);
    times.sort();
    for (first, at) in times.iter().enumerate() {
        let within = times[first..].iter().take_while(|other| **other < *at + MINUTE).count();
        assert!(within <= 30, "{within} checks in the minute from {at:?}");
    }
}

#[test]
fn a_new_password_ends_what_the_old_one_opened() {
    let (mut gate, pass) = owned();
    let now = MINUTE;
    let other = gate.sign_in(now, visitor(8), [3; 32], [4; 32]).unwrap();
    let late = gate.check(now, visitor(9)).unwrap();
    let mark = gate.changed(visitor(7), pass.session.expose(), hash("two"), [5; 32]);
    assert!(gate.signed_in(now, Some(pass.session.expose())), "who changed it stays");
    assert!(!gate.signed_in(now, Some(other.session.expose())));
    assert_eq!(gate.checked(&late, true), Err(Refused::Wrong), "it was the old password");
    assert!(known::holds(&hash("two"), mark.expose()) && !known::holds(&hash("two"), pass.mark.expose()));
    gate.sign_out(pass.session.expose());
    assert!(!gate.signed_in(now, Some(pass.session.expose())));
}

#[test]
fn nothing_of_it_prints_a_secret() {
    let (mut gate, pass) = owned();
    let check = gate.check(MINUTE, visitor(7)).unwrap();
    let printed = format!("{gate:?} {pass:?} {check:?}");
    for secret in ["one", pass.session.expose(), pass.mark.expose()] {
        assert!(!printed.contains(&format!("\"{secret}")), "{printed}");
    }
}
