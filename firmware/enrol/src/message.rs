//! What is signed, and what a signature must cover. The bytes are each field behind its length, after a line that names
//! kind and version: no two messages have the same bytes, and none can be taken for another kind.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::BoxId;
use model::enrol::{Findable, Hello, Join};
use model::update::{CAMPAIGN, JOURNAL, Phase, Question, Report, WHY};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::identity::Identity;
use crate::name::box_id;

const HELLO: &str = "streambox hello 1";
/// A hello that also says how the box is found.
const FINDABLE_HELLO: &str = "streambox hello 2";
const JOIN: &str = "streambox join 1";
const QUESTION: &str = "streambox update question 1";
const REPORT: &str = "streambox update report 1";
/// Longest field of a message, bytes.
const LONGEST: usize = 512;
/// Most addresses of a page.
const PAGES: usize = 16;
/// Random bytes of a hello.
const NONCE: usize = 16;

/// What a box says with its hello besides who it is.
#[derive(Debug, Clone)]
pub struct Unsigned {
    /// Its WireGuard public key (X25519).
    pub tunnel_key: [u8; 32],
    /// Its firmware's version.
    pub version: String,
    /// The cloud that it means: scheme, host and port.
    pub cloud: String,
    /// Random bytes.
    pub nonce: [u8; NONCE],
    /// How people who stand before it find its page.
    pub findable: Option<Findable>,
}

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A field is too long, or not what it should be.
    #[error("a field of the message is malformed")]
    Malformed,
    /// The box's id is not the name of the key.
    #[error("the box's id is not that of its key")]
    WrongName,
    /// The signature does not fit.
    #[error("the signature does not fit the message")]
    WrongSignature,
}

/// Makes a box's first words.
pub fn sign_hello(identity: &Identity, words: Unsigned) -> Hello {
    let mut hello = Hello {
        box_id: identity.box_id().clone(),
        identity: STANDARD.encode(identity.public()),
        tunnel_key: STANDARD.encode(words.tunnel_key),
        version: words.version,
        cloud: words.cloud,
        nonce: STANDARD.encode(words.nonce),
        findable: words.findable,
        signature: String::new(),
    };
    hello.signature = STANDARD.encode(identity.sign(&hello_bytes(&hello)));
    hello
}

/// Makes a box's yes to a session that `owner` has claimed.
pub fn sign_join(identity: &Identity, session: &str, owner: &str, tunnel_key: [u8; 32]) -> Join {
    let mut join = Join {
        session: session.to_owned(),
        box_id: identity.box_id().clone(),
        owner: owner.to_owned(),
        tunnel_key: STANDARD.encode(tunnel_key),
        signature: String::new(),
    };
    join.signature = STANDARD.encode(identity.sign(&join_bytes(&join)));
    join
}

/// What a box asks about its next release besides who it is.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its board.
    pub board: String,
    /// The version that it runs.
    pub version: String,
    /// The lowest security version that it takes.
    pub security: u32,
    /// Random bytes, which the answer repeats.
    pub nonce: [u8; 32],
}

/// Makes a box's question for its next release.
pub fn sign_question(identity: &Identity, asked: Asked) -> Question {
    let mut question = Question {
        box_id: identity.box_id().clone(),
        identity: STANDARD.encode(identity.public()),
        nonce: hex(&asked.nonce),
        board: asked.board,
        version: asked.version,
        security: asked.security,
        signature: String::new(),
    };
    question.signature = STANDARD.encode(identity.sign(&question_bytes(&question)));
    question
}

/// What a box says of its update besides who it is.
#[derive(Debug, Clone)]
pub struct Told {
    /// The campaign; empty: none.
    pub campaign: String,
    /// The version that it is about.
    pub version: String,
    /// The version that runs; empty when it is not known.
    pub running: String,
    /// How far it is.
    pub phase: Phase,
    /// Why; only its beginning is told when it is longer than a report may be.
    pub why: String,
    /// The journal; only its end is told when it is longer than a report may be.
    pub journal: String,
    /// When, milliseconds since 1970 on the box's clock.
    pub at_ms: u64,
}

/// Makes a box's report of its update.
pub fn sign_report(identity: &Identity, told: Told) -> Report {
    let Told { campaign, version, running, phase, mut why, journal, at_ms } = told;
    let whole = |text: &str, at: &usize| text.is_char_boundary(*at);
    why.truncate((0..=WHY.min(why.len())).rev().find(|at| whole(&why, at)).unwrap_or_default());
    let last = journal.len().saturating_sub(JOURNAL);
    let last = (last..=journal.len()).find(|at| whole(&journal, at)).unwrap_or_default();
    let mut report = Report {
        box_id: identity.box_id().clone(),
        identity: STANDARD.encode(identity.public()),
        campaign,
        version,
        running,
        phase,
        why,
        journal: journal.get(last..).unwrap_or_default().to_owned(),
        at_ms,
        signature: String::new(),
    };
    report.signature = STANDARD.encode(identity.sign(&report_bytes(&report)));
    report
}

/// Checks a report: fields, name and signature.
///
/// # Errors
/// [`Refused`].
pub fn verify_report(report: &Report) -> Result<(), Refused> {
    bounded(&[&report.identity, &report.version, &report.running])?;
    let within = report.campaign.len() <= CAMPAIGN && report.why.len() <= WHY;
    if !within || report.journal.len() > JOURNAL {
        return Err(Refused::Malformed);
    }
    let identity: [u8; 32] = bytes(&report.identity)?;
    verify(&identity, &report.box_id, &report_bytes(report), &report.signature)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS[usize::from(value & 15)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// Checks a question: fields, name and signature.
///
/// # Errors
/// [`Refused`].
pub fn verify_question(question: &Question) -> Result<(), Refused> {
    bounded(&[&question.identity, &question.board, &question.version])?;
    let digits = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if question.nonce.len() != 64 || !question.nonce.bytes().all(digits) {
        return Err(Refused::Malformed);
    }
    let identity: [u8; 32] = bytes(&question.identity)?;
    verify(&identity, &question.box_id, &question_bytes(question), &question.signature)
}

/// Checks a hello: fields, name and signature. Gives the identity's public key.
///
/// # Errors
/// [`Refused`].
pub fn verify_hello(hello: &Hello) -> Result<[u8; 32], Refused> {
    bounded(&[&hello.identity, &hello.tunnel_key, &hello.version, &hello.cloud, &hello.nonce])?;
    if let Some(Findable { label, pages }) = &hello.findable {
        bounded(&[label])?;
        bounded(&pages.iter().map(String::as_str).collect::<Vec<_>>())?;
        if pages.len() > PAGES {
            return Err(Refused::Malformed);
        }
    }
    let identity: [u8; 32] = bytes(&hello.identity)?;
    let _tunnel_key: [u8; 32] = bytes(&hello.tunnel_key)?;
    let _nonce: [u8; NONCE] = bytes(&hello.nonce)?;
    verify(&identity, &hello.box_id, &hello_bytes(hello), &hello.signature)?;
    Ok(identity)
}

/// Checks a yes against the identity that said hello in its session.
///
/// # Errors
/// [`Refused`].
pub fn verify_join(join: &Join, identity: &[u8; 32]) -> Result<(), Refused> {
    bounded(&[&join.session, &join.owner, &join.tunnel_key])?;
    let _tunnel_key: [u8; 32] = bytes(&join.tunnel_key)?;
    verify(identity, &join.box_id, &join_bytes(join), &join.signature)
}

fn verify(identity: &[u8; 32], id: &BoxId, message: &[u8], signature: &str) -> Result<(), Refused> {
    if box_id(identity).as_ref() != Some(id) {
        return Err(Refused::WrongName);
    }
    let signature: [u8; 64] = bytes(signature)?;
    UnparsedPublicKey::new(&ED25519, identity)
        .verify(message, &signature)
        .map_err(|_| Refused::WrongSignature)
}

fn bounded(fields: &[&str]) -> Result<(), Refused> {
    if fields.iter().all(|field| field.len() <= LONGEST) { Ok(()) } else { Err(Refused::Malformed) }
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], Refused> {
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(Refused::Malformed)
}

fn hello_bytes(hello: &Hello) -> Vec<u8> {
    let Hello { box_id, identity, tunnel_key, version, cloud, nonce, findable, signature: _ } = hello;
    let mut fields: Vec<&str> = vec![box_id.as_str(), identity, tunnel_key, version, cloud, nonce];
    let Some(Findable { label, pages }) = findable else { return message(HELLO, &fields) };
    fields.push(label);
    fields.extend(pages.iter().map(String::as_str));
    message(FINDABLE_HELLO, &fields)
}

fn join_bytes(join: &Join) -> Vec<u8> {
    let Join { session, box_id, owner, tunnel_key, signature: _ } = join;
    message(JOIN, &[session, box_id.as_str(), owner, tunnel_key])
}

fn question_bytes(question: &Question) -> Vec<u8> {
    let Question { box_id, identity, nonce, board, version, security, signature: _ } = question;
    message(QUESTION, &[box_id.as_str(), identity, nonce, board, version, &security.to_string()])
}

fn report_bytes(report: &Report) -> Vec<u8> {
    let Report { box_id, identity, campaign, version, running, phase, why, journal, at_ms, signature: _ } =
        report;
    let at_ms = at_ms.to_string();
    let fields =
        [box_id.as_str(), identity, campaign, version, running, phase.name(), why, journal, at_ms.as_str()];
    message(REPORT, &fields)
}

fn message(kind: &str, fields: &[&str]) -> Vec<u8> {
    let mut message = kind.as_bytes().to_vec();
    message.push(b'\n');
    for field in fields {
        message.extend_from_slice(&(field.len() as u64).to_be_bytes());
        message.extend_from_slice(field.as_bytes());
    }
    message
}

#[cfg(test)]
mod tests;
