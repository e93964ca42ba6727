//! Links that let somebody in, once, within seven days.
//!
//! Whoever is new chooses a password. Whoever is known already proves it by the one they have; only an invitation from
//! the command line lets a known person choose another one: that is the way back in for who has forgotten it.

use model::Private;

use super::audit::{Audit, By};
use super::database::{Fields, Write};
use super::login::{NewLogin, begin, end_others};
use super::person::{Account, account, email};
use super::portal::Role;
use super::{Error, Refused, Store, tenant};
use crate::people::fingerprint;

/// How long an invitation is good, milliseconds.
const LIFE_MS: u64 = 7 * 24 * 3_600_000;
/// Most invitations of a tenant that wait at a time.
const WAITING: i64 = 100;

/// Who is invited to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Lower case.
    pub email: String,
    /// The tenant's id; empty for an operator.
    pub tenant: String,
    /// What they are to be there.
    pub role: Role,
    /// Whether they are to be an operator.
    pub operator: bool,
    /// A person's id; empty for the command line.
    pub made_by: String,
    /// Milliseconds since 1970.
    pub expires_ms: u64,
}

/// What an invited person has chosen.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// As shown to others.
    pub name: String,
    /// `kk`, `ru` or `en`.
    pub language: String,
    /// The new password's hash; `None`: the one that the person has was found right.
    pub password: Option<Private<String>>,
    /// The hash that the person had when the password was looked at; empty for who is new.
    pub had: Private<String>,
    /// The browser that is signed in with it.
    pub login: NewLogin,
}

impl Invitation {
    /// Whether it lets a known person choose another password.
    pub fn renews(&self) -> bool {
        self.made_by.is_empty()
    }

    fn read(fields: &Fields<'_>, doing: &'static str) -> Result<Self, Error> {
        Ok(Self {
            email: fields.text("email")?,
            tenant: fields.text("tenant")?,
            role: Role::from_name(&fields.text("role")?).ok_or_else(|| Error::broken(doing, "a role"))?,
            operator: fields.number("is_operator")? != 0,
            made_by: fields.text("made_by")?,
            expires_ms: fields.number("expires_ms")?,
        })
    }
}

impl Store {
    /// Invites somebody into a tenant and gives the secret of the link. An earlier invitation of the same person into the
    /// same tenant ends.
    ///
    /// # Errors
    /// [`Refused::Unfit`], [`Refused::NotThere`], or the database's.
    pub async fn invite(
        &self,
        to: &str,
        tenant: &str,
        role: Role,
        by: By<'_>,
    ) -> Result<Private<String>, Error> {
        const DOING: &str = "invite somebody";
        let to = email(to)?;
        let secret = self.secret(DOING)?;
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            self.put_invitation(&mut write, &secret, (&to, tenant, role, false), by).await?;
            write.commit().await
        })
        .await?;
        Ok(secret.into())
    }

    /// Invites somebody from the command line: as an operator, or into the tenant of this name, which is made when it is
    /// not there.
    ///
    /// # Errors
    /// [`Refused::Unfit`], [`Refused::OwnerName`], or the database's.
    pub async fn invite_as(&self, to: &str, what: Option<(&str, Role)>) -> Result<Private<String>, Error> {
        const DOING: &str = "invite somebody";
        let to = email(to)?;
        let secret = self.secret(DOING)?;
        self.writing(DOING, async {
            let now = self.now_ms();
            let mut write = self.0.database.write(DOING).await?;
            let (id, role) = match what {
                None => (String::new(), Role::Owner),
                Some((name, role)) => {
                    let name = super::claim::owner_name(name)?;
                    tenant::make(&mut write, &name, self.random(DOING)?, now).await?;
                    let id = tenant::id_of(&mut write, &name).await?.unwrap_or_default();
                    (id, role)
                }
            };
            let to = (to.as_str(), id.as_str(), role, what.is_none());
            self.put_invitation(&mut write, &secret, to, By::COMMAND_LINE).await?;
            write.commit().await
        })
        .await?;
        Ok(secret.into())
    }

    /// The link of an invitation. The secret stands behind the `#`, so no server and no proxy ever logs it.
    pub fn invitation_url(&self, secret: &Private<String>) -> String {
        format!("{}/#invitation/{}", self.0.options.url, secret.expose())
    }

    async fn put_invitation(
        &self,
        write: &mut Write,
        secret: &str,
        (to, tenant, role, operator): (&str, &str, Role, bool),
        by: By<'_>,
    ) -> Result<(), Error> {
        let (error, now) = (write.error(), self.now_ms());
        if !operator && !tenant::exists(write, tenant).await? {
            return Err(Refused::NotThere.into());
        }
        sqlx::query("DELETE FROM invitation WHERE email = $1 AND tenant = $2")
            .bind(to)
            .bind(tenant)
            .execute(&mut *write.tx)
            .await
            .map_err(error)?;
        let waiting: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM invitation WHERE tenant = $1 AND expires_ms > $2")
                .bind(tenant)
                .bind(now as i64)
                .fetch_one(&mut *write.tx)
                .await
                .map_err(error)?;
        if waiting >= WAITING {
            return Err(Refused::Unfit("A hundred invitations wait already: take some back first.").into());
        }
        let insert = "INSERT INTO invitation (secret, email, tenant, role, is_operator, made_by, expires_ms) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(insert)
            .bind(fingerprint(secret))
            .bind(to)
            .bind(tenant)
            .bind(role.name())
            .bind(i64::from(operator))
            .bind(by.person)
            .bind((now + LIFE_MS) as i64)
            .execute(&mut *write.tx)
            .await
            .map_err(error)?;
        let detail = if operator { "operator" } else { role.name() };
        self.audit(write, Audit { by, tenant, what: "person.invite", subject: to, detail }).await
    }

    /// The invitation of a secret, unless it was used or is too old.
    ///
    /// # Errors
    /// The database's.
    pub async fn invitation(&self, secret: &str) -> Result<Option<Invitation>, Error> {
        const DOING: &str = "look for an invitation";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let row = sqlx::query("SELECT * FROM invitation WHERE secret = $1 AND expires_ms > $2")
                    .bind(fingerprint(secret))
                    .bind(self.now_ms() as i64)
                    .fetch_optional(database.pool())
                    .await
                    .map_err(database.error(DOING))?;
                row.map(|row| Invitation::read(&Fields::new(&row, DOING), DOING)).transpose()
            })
            .await
    }

    /// The invitations into a tenant that wait, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn invitations(&self, tenant: &str) -> Result<Vec<Invitation>, Error> {
        const DOING: &str = "list invitations";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let query = "SELECT * FROM invitation WHERE tenant = $1 AND expires_ms > $2 \
                             ORDER BY expires_ms, email";
                let rows = sqlx::query(query)
                    .bind(tenant)
                    .bind(self.now_ms() as i64)
                    .fetch_all(database.pool())
                    .await
                    .map_err(database.error(DOING))?;
                rows.iter().map(|row| Invitation::read(&Fields::new(row, DOING), DOING)).collect()
            })
            .await
    }

    /// Takes back the invitations of somebody into a tenant; false when there was none.
    ///
    /// # Errors
    /// The database's.
    pub async fn uninvite(&self, to: &str, tenant: &str, by: By<'_>) -> Result<bool, Error> {
        const DOING: &str = "take an invitation back";
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let gone = sqlx::query("DELETE FROM invitation WHERE email = $1 AND tenant = $2")
                .bind(to)
                .bind(tenant)
                .execute(&mut *write.tx)
                .await
                .map_err(error)?
                .rows_affected();
            if gone == 0 {
                return Ok(false);
            }
            let audit = Audit { by, tenant, what: "person.uninvite", subject: to, detail: "" };
            self.audit(&mut write, audit).await?;
            write.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Uses an invitation up: the person is made or gets the role, and is signed in. Gives the person's id.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when it was used, is too old, or its person has another password by now;
    /// [`Refused::Unfit`]; or the database's.
    pub async fn accept(
        &self,
        secret: &str,
        chosen: &Chosen,
        address: Option<std::net::IpAddr>,
    ) -> Result<String, Error> {
        const DOING: &str = "take an invitation";
        self.writing(DOING, async {
            let now = self.now_ms();
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let row = sqlx::query("DELETE FROM invitation WHERE secret = $1 AND expires_ms > $2 RETURNING *")
                .bind(fingerprint(secret))
                .bind(now as i64)
                .fetch_optional(&mut *write.tx)
                .await
                .map_err(error)?
                .ok_or(Refused::NotThere)?;
            let invitation = Invitation::read(&Fields::new(&row, DOING), DOING)?;
            let known = account(&mut write, "email", &invitation.email).await?;
            let had = known.as_ref().map_or("", |known| known.password.expose());
            if had != chosen.had.expose() {
                return Err(Refused::NotThere.into());
            }
            let is_new = known.is_none();
            let mut person = match known {
                Some(known) => known,
                None => Account::new(self.secret(DOING)?, &invitation.email),
            };
            if let Some(password) = &chosen.password {
                person.password = password.clone();
                end_others(&mut write, &person.id, "", now).await?;
            }
            if is_new {
                person.name.clone_from(&chosen.name);
                person.language.clone_from(&chosen.language);
            }
            if person.password.expose().is_empty() {
                return Err(Refused::Unfit("Choose a password.").into());
            }
            person.operator |= invitation.operator;
            if !invitation.tenant.is_empty() {
                // A tenant never goes, so it is still there.
                person.roles.insert(invitation.tenant.clone(), invitation.role);
            }
            person.put(&mut write, now).await?;
            begin(&mut write, &person.id, &chosen.login, now).await?;
            let (by, tenant) = (By { person: &person.id, address }, invitation.tenant.as_str());
            let what = if is_new { "person.join" } else { "person.join_again" };
            let detail = if invitation.operator { "operator" } else { invitation.role.name() };
            let audit = Audit { by, tenant, what, subject: &person.id, detail };
            self.audit(&mut write, audit).await?;
            write.commit().await?;
            Ok(person.id)
        })
        .await
    }
}
