//! A cloud as far as updates go: it answers questions with signed assignments, and takes reports, both as a test wants it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use model::update::{Phase, Question, Report};
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use crate::world::Publisher;

/// The cloud's clock when it signs, unless a test says otherwise.
const NOON: &str = "2026-11-21T12:00:00Z";

/// How it answers.
#[derive(Clone)]
pub(crate) struct Answers {
    /// The release; `None`: stay.
    pub(crate) target: Option<&'static str>,
    /// When it signs.
    pub(crate) issued: &'static str,
    /// The box that it wants nothing to do with any more.
    pub(crate) revoked: Option<String>,
    /// Repeats its first nonce for ever.
    pub(crate) stale: bool,
    /// The site's windows.
    pub(crate) windows: Vec<[&'static str; 2]>,
    /// From which question on the box may restart.
    pub(crate) may_restart_from: usize,
    /// Answers no question any more.
    pub(crate) silent: bool,
    /// The status with which it takes reports.
    pub(crate) reports: u16,
}

impl Answers {
    /// This release, at any time.
    pub(crate) fn target(target: &'static str) -> Self {
        Self { target: Some(target), ..Self::stay() }
    }

    /// None.
    pub(crate) fn stay() -> Self {
        Self {
            target: None,
            issued: NOON,
            revoked: None,
            stale: false,
            windows: Vec::new(),
            may_restart_from: 0,
            silent: false,
            reports: 204,
        }
    }
}

/// A running one.
#[derive(Clone)]
pub(crate) struct Cloud {
    pub(crate) url: String,
    answers: Arc<Mutex<Answers>>,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    questions: Vec<Question>,
    reports: Vec<Report>,
    first: Option<String>,
}

impl Cloud {
    pub(crate) fn new(publisher: &Publisher, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let online = Ed25519KeyPair::from_seed_unchecked(&publisher.online_seed).unwrap();
        let cloud = Self { url, answers: Arc::new(Mutex::new(answers)), told: Arc::default() };
        let serving = cloud.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who hangs up early is nobody's trouble here.
                let _ = serving.serve(stream, &online);
            }
        });
        cloud
    }

    pub(crate) fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap()
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.told.lock().unwrap().questions.len()
    }

    /// Who asked last.
    pub(crate) fn box_id(&self) -> String {
        self.told.lock().unwrap().questions.last().unwrap().box_id.as_str().to_owned()
    }

    /// What it was told, in order.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.told.lock().unwrap().reports.clone()
    }

    pub(crate) fn phases(&self) -> Vec<Phase> {
        self.reports().iter().map(|report| report.phase).collect()
    }

    fn serve(&self, mut stream: TcpStream, online: &Ed25519KeyPair) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let (mut head, mut line, mut length) = (String::new(), String::new(), 0);
        loop {
            line.clear();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            let lower = line.to_ascii_lowercase();
            length =
                lower.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
            head.push_str(&lower);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (status, body) = if self.is_revoked(&body) {
            (410, Vec::new())
        } else if head.starts_with("post /api/v1/updates/assignment ") {
            self.assign(serde_json::from_slice(&body).unwrap(), online)
        } else if head.starts_with("post /api/v1/updates/report ") {
            let report: Report = serde_json::from_slice(&body).unwrap();
            enrol::verify_report(&report).unwrap();
            let status = self.answers().reports;
            if status == 204 {
                self.told.lock().unwrap().reports.push(report);
            }
            (status, Vec::new())
        } else {
            // It has no releases itself, and no tunnel.
            (404, Vec::new())
        };
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
    }

    /// Whether these are the words of a box that was revoked.
    fn is_revoked(&self, body: &[u8]) -> bool {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let from = said.get("box").or(said.get("box_id")).and_then(Value::as_str);
        from.is_some() && from == self.answers().revoked.as_deref()
    }

    fn assign(&self, question: Question, online: &Ed25519KeyPair) -> (u16, Vec<u8>) {
        enrol::verify_question(&question).unwrap();
        assert_eq!(question.board, "test");
        let answers = self.answers().clone();
        let mut told = self.told.lock().unwrap();
        told.questions.push(question.clone());
        if answers.silent {
            return (503, Vec::new());
        }
        let first = told.first.get_or_insert(question.nonce.clone()).clone();
        let mut signed = json!({
            "_type": "assignment", "spec_version": "1.0", "box": question.box_id,
            "nonce": if answers.stale { first } else { question.nonce }, "target": answers.target,
            "deadline": "2026-12-24T00:00:00Z", "campaign": "spring", "issued": answers.issued,
        });
        // An older cloud says neither.
        if answers.may_restart_from > 0 {
            signed["may_restart"] = (told.questions.len() >= answers.may_restart_from).into();
            signed["windows"] = json!(answers.windows);
        }
        (200, serde_json::to_vec(&update::tuf::sign(&signed, [online]).unwrap()).unwrap())
    }
}
