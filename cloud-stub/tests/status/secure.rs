//! Mail and webhooks over TLS: only to servers that show a good certificate, and the operator hears of one that is not.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cloud_stub::config::Config;
use cloud_stub::ingest::Rule;
use cloud_stub::status::alert::Courier;
use cloud_stub::status::alert::hook::Hooks;
use cloud_stub::status::alert::mail::{Error, Mailer};
use cloud_stub::store::Role;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::log::{LOG, Log};
use crate::post::{self, Inbox, Secured};
use crate::stage::{Stage, URL};

const TO: &str = "owner@example.org";

/// A certificate that signs itself, as a file for whoever is to believe it.
struct Root {
    file: PathBuf,
    tls: TlsAcceptor,
}

impl Root {
    fn of(name: &str) -> Self {
        static TURN: AtomicU32 = AtomicU32::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let file = std::env::temp_dir().join(format!("cloud-secure-{}-{turn}.pem", std::process::id()));
        std::fs::write(&file, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Self { file, tls: TlsAcceptor::from(Arc::new(config)) }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// What the operator has written, with this file of roots.
fn configuration(scheme: &str, port: u16, ca: Option<&Root>) -> Config {
    let line = ca.map(|ca| format!("ca = \"{}\"\n", ca.file.display())).unwrap_or_default();
    let text = format!(
        "[mail]\nsmtp = \"{scheme}://127.0.0.1:{port}\"\nfrom = \"a@example.org\"\nuser = \"u\"\npassword = \"canary\"\n\
         {line}[alerts]\nallow_private = true\n{line}"
    );
    Config::parse("cloud.toml", &text).unwrap()
}

fn mailer(scheme: &str, port: u16, ca: Option<&Root>) -> Mailer {
    Mailer::new(configuration(scheme, port, ca).mail.as_ref().unwrap()).unwrap()
}

async fn send(inbox: &Inbox<(String, String)>, scheme: &str, ca: Option<&Root>) -> Result<(), Error> {
    mailer(scheme, inbox.port, ca).send(TO, "Subject", "Text\r\n".to_owned()).await
}

#[tokio::test]
async fn mail_goes_to_servers_whose_certificate_is_good_and_to_no_other() {
    let (good, other, named) = (Root::of("127.0.0.1"), Root::of("127.0.0.1"), Root::of("mail.example.org"));
    for (secured, scheme) in [(Secured::Wrapped, "smtps"), (Secured::Asked, "smtp")] {
        let inbox = post::secure_mail(secured, good.tls.clone()).await;
        send(&inbox, scheme, Some(&good)).await.unwrap();
        assert_eq!(inbox.arrived()[0].0, TO);
        for stranger in [Some(&other), Some(&named)] {
            let refused = send(&inbox, scheme, stranger).await.unwrap_err();
            assert!(matches!(refused, Error::Certificate(_)), "{scheme}: {refused}");
            assert!(
                refused.to_string().contains("[mail]") && !refused.to_string().contains("canary"),
                "{refused}"
            );
        }
        let wrong = post::secure_mail(secured, named.tls.clone()).await;
        let refused = send(&wrong, scheme, Some(&named)).await.unwrap_err();
        assert!(matches!(refused, Error::Certificate(_)), "another name, {scheme}: {refused}");
        assert_eq!((inbox.arrived().len(), wrong.arrived().len()), (1, 0));
        assert_eq!((inbox.knocks(), wrong.knocks()), (0, 0), "nothing is said before TLS stands");
    }
    let public = post::secure_mail(Secured::Wrapped, good.tls.clone()).await;
    let refused = send(&public, "smtps", None).await.unwrap_err();
    assert!(matches!(refused, Error::Certificate(_)), "{refused}");
    let plain = post::secure_mail(Secured::Never, good.tls.clone()).await;
    send(&plain, "smtp", Some(&good)).await.unwrap_err();
    assert_eq!(plain.knocks(), 0, "neither login nor mail without TLS");
}

#[tokio::test]
async fn a_file_that_holds_no_root_is_found_at_the_start() {
    let root = Root::of("127.0.0.1");
    std::fs::write(&root.file, "no certificate").unwrap();
    let config = configuration("smtps", 465, Some(&root));
    let refused = Mailer::new(config.mail.as_ref().unwrap()).unwrap_err();
    assert!(matches!(&refused, Error::Ca(file) if *file == root.file.display().to_string()), "{refused}");
    let refused = Hooks::new(Rule::default(), config.alerts.ca.as_deref()).unwrap_err();
    assert!(refused.to_string().contains(&root.file.display().to_string()), "{refused}");
}

/// A cloud of this configuration that has one outage to tell, tried once.
async fn tell(config: &Config, hook: u16) {
    let stage = Stage::new(1, &["gate"]).await;
    let owner = stage.person(TO, "ACME", Role::Owner, "en").await;
    let tenant = stage.get(&owner, "/api/v1/me").await["tenants"][0]["id"].as_str().unwrap().to_owned();
    let words = json!({
        "emails": [TO], "webhooks": [{ "url": format!("https://127.0.0.1:{hook}/x") }], "after_s": 60
    });
    assert!(stage.put(&owner, &format!("/api/v1/tenants/{tenant}/alerts"), &words).await.0.is_success());
    stage.wait(100_000).await;
    let rule = Rule { private: config.alerts.private, own: Vec::new() };
    let hooks = Hooks::new(rule, config.alerts.ca.as_deref()).unwrap();
    let mailer = Mailer::new(config.mail.as_ref().unwrap()).unwrap();
    let courier = Courier::new(URL.to_owned(), Some(mailer), hooks, vec![Duration::from_secs(3600)]);
    // Whatever the stage's own has tried in vain is due again.
    stage.status.courier().settle(Duration::from_secs(30)).await;
    let pool = sqlx::AnyPool::connect(&stage.database()).await.unwrap();
    sqlx::query("UPDATE message SET tries = 0, due_ms = 0").execute(&pool).await.unwrap();
    pool.close().await;
    let directory = stage.store.directory().borrow().clone();
    courier.deliver(&stage.store, &directory, "", None, stage.now()).await.unwrap();
    courier.settle(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn webhooks_are_told_over_tls_and_the_operator_of_a_wrong_certificate() {
    Log::start();
    let (good, other) = (Root::of("127.0.0.1"), Root::of("127.0.0.1"));
    let mails = post::secure_mail(Secured::Asked, good.tls.clone()).await;
    let hooks = post::secure_hook(good.tls.clone()).await;
    tell(&configuration("smtp", mails.port, Some(&other)), hooks.port).await;
    assert_eq!((mails.arrived().len(), hooks.arrived().len()), (0, 0));
    let said = LOG.text();
    for warning in [
        "the certificate of the mail server is not good",
        "the certificate of the webhook's server is not good",
    ] {
        let told = said.lines().any(|line| line.contains("WARN") && line.contains(warning));
        assert!(told, "{warning}");
    }
    assert!(!said.contains("canary"), "a password is logged");
    tell(&configuration("smtp", mails.port, Some(&good)), hooks.port).await;
    let (mails, hooks) = (mails.arrived(), hooks.arrived());
    assert_eq!((mails.len(), hooks.len()), (1, 1));
    let posted: Value = serde_json::from_str(&hooks[0].body).unwrap();
    assert_eq!((&posted["event"], &posted["time_zone"]), (&json!("site_out"), &json!("")), "{posted}");
}
