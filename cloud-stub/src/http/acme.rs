//! Certificates that come by themselves (ACME, RFC 8555) by http-01: the server asks the plain listener.
//!
//! Account and certificate are kept in the store, so a restart asks for nothing. At two thirds of its life a certificate
//! is renewed; while that fails, the old one is shown on and the next try comes later and later.

use std::time::Duration;

use anyhow::{Context as _, bail};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use serde::{Deserialize, Serialize};

use super::certificate::Shown;
use super::redirect::Challenges;
use super::validity::Validity;
use crate::config::Acme;
use crate::store::Store;

/// First and last pause after a failure. Let's Encrypt allows five failures per name and hour.
const PAUSES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// A whole order ends after this.
const ORDER_TIME: Duration = Duration::from_secs(120);
/// Longest sleep at once: the clock may be set meanwhile.
const SLEEP: Duration = Duration::from_secs(3600);

const ACCOUNT: &str = "acme_account";
const CERTIFICATE: &str = "acme_certificate";

/// Keeps a certificate fresh.
#[derive(Debug)]
pub struct Renewal {
    store: Store,
    acme: Acme,
    names: Vec<String>,
    challenges: Challenges,
    shown: Shown,
}

/// What is kept of a certificate.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The server that it came from.
    directory: String,
    /// The names it is for.
    names: Vec<String>,
    /// The chain, PEM.
    chain: String,
    /// Its private key, PEM.
    key: String,
}

/// What is kept of an account.
#[derive(Serialize, Deserialize)]
struct KeptAccount {
    /// The server that it is for.
    directory: String,
    /// Its address and key.
    credentials: serde_json::Value,
}

impl Renewal {
    /// A certificate for these names.
    pub fn new(
        store: Store,
        acme: Acme,
        names: impl IntoIterator<Item = String>,
        challenges: Challenges,
        shown: Shown,
    ) -> Self {
        let mut all = Vec::new();
        for name in names {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        Self { store, acme, names: all, challenges, shown }
    }

    /// Shows the certificate that the store has, if it is for these names and from this server.
    ///
    /// # Errors
    /// The store's.
    pub async fn show_kept(&self) -> anyhow::Result<()> {
        let Some(kept) = self.store.setting(CERTIFICATE).await? else { return Ok(()) };
        match serde_json::from_str::<Kept>(&kept) {
            Ok(kept) if kept.names == self.names && kept.directory == self.acme.directory => {
                if let Err(error) = self.shown.show(kept.chain.as_bytes(), kept.key.as_bytes()) {
                    tracing::warn!("the kept certificate is of no use: {error:#}");
                }
            }
            Ok(_) => tracing::info!("the kept certificate is for other names or from another server"),
            Err(error) => tracing::warn!("the kept certificate is of no use: {error}"),
        }
        Ok(())
    }

    /// Renews it in time, for ever.
    pub async fn keep(self) {
        let mut pause = PAUSES.0;
        loop {
            let wait =
                self.shown.validity().map_or(Duration::ZERO, |life| life.renewal_in(self.store.now_ms()));
            if !wait.is_zero() {
                tokio::time::sleep(wait.min(SLEEP)).await;
                continue;
            }
            match self.renew().await {
                Ok(life) => {
                    tracing::info!(names = ?self.names, until_s = life.until_s, "a new certificate is shown");
                    pause = PAUSES.0;
                    // One that is born old does not make a storm of orders.
                    if life.renewal_in(self.store.now_ms()).is_zero() {
                        tokio::time::sleep(PAUSES.0).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(again_in_s = pause.as_secs(), "no certificate: {error:#}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    async fn renew(&self) -> anyhow::Result<Validity> {
        let ordered = tokio::time::timeout(ORDER_TIME, self.order()).await;
        self.challenges.clear();
        let (chain, key) = ordered.context("the ACME server takes too long")??;
        let life = self.shown.show(chain.as_bytes(), key.as_bytes())?;
        let (directory, names) = (self.acme.directory.clone(), self.names.clone());
        let kept = serde_json::to_string(&Kept { directory, names, chain, key }).context("cannot keep it")?;
        if let Err(error) = self.store.set_setting(CERTIFICATE, &kept).await {
            // It is shown all the same; the next start orders another one.
            tracing::warn!("{error}");
        }
        Ok(life)
    }

    /// Orders a certificate: the chain and its private key, PEM.
    async fn order(&self) -> anyhow::Result<(String, String)> {
        let account = self.account().await?;
        let names: Vec<Identifier> = self.names.iter().cloned().map(Identifier::Dns).collect();
        let mut order =
            account.new_order(&NewOrder::new(&names)).await.context("the ACME server takes no order")?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.context("the ACME server does not say what to prove")?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                status => bail!("the ACME server says that a name is {status:?}"),
            }
            let mut challenge = authorization
                .challenge(ChallengeType::Http01)
                .context("the ACME server offers no http-01")?;
            let answer = challenge.key_authorization();
            self.challenges.put(&challenge.token, answer.as_str());
            challenge.set_ready().await.context("the ACME server does not begin to look")?;
        }
        let policy = RetryPolicy::default().timeout(ORDER_TIME);
        match order.poll_ready(&policy).await.context("the ACME server does not decide")? {
            OrderStatus::Ready | OrderStatus::Valid => {}
            _ => bail!(
                "the ACME server could not see {} at port 80: see that its name leads here and that \
                 [http] redirect_listen can be reached",
                self.names.join(", ")
            ),
        }
        let key = order.finalize().await.context("the ACME server refuses the request")?;
        let chain = order.poll_certificate(&policy).await.context("the ACME server gives no certificate")?;
        Ok((chain, key))
    }

    /// The account of the store, else a new one.
    async fn account(&self) -> anyhow::Result<Account> {
        let builder = || match &self.acme.ca {
            Some(ca) => {
                Account::builder_with_root(ca).with_context(|| format!("cannot use {}", ca.display()))
            }
            None => Account::builder().context("cannot use the system's roots"),
        };
        if let Some(kept) = self.store.setting(ACCOUNT).await? {
            let kept: KeptAccount =
                serde_json::from_str(&kept).context("the kept ACME account is of no use")?;
            if kept.directory == self.acme.directory {
                let credentials =
                    serde_json::from_value(kept.credentials).context("the kept ACME account is of no use")?;
                return builder()?
                    .from_credentials(credentials)
                    .await
                    .context("the ACME server does not answer");
            }
        }
        let contact: Vec<&str> = self.acme.contact.as_deref().into_iter().collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder()?
            .create(&new, self.acme.directory.clone(), None)
            .await
            .context("the ACME server gives no account")?;
        let credentials = serde_json::to_value(&credentials).context("cannot keep the ACME account")?;
        let kept = KeptAccount { directory: self.acme.directory.clone(), credentials };
        let kept = serde_json::to_string(&kept).context("cannot keep the ACME account")?;
        self.store.set_setting(ACCOUNT, &kept).await?;
        Ok(account)
    }
}
