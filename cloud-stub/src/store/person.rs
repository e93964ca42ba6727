//! People: their accounts, and what they are in which tenant.

use std::collections::HashMap;

use model::Private;

use super::audit::{Audit, By};
use super::database::{Fields, Write};
use super::login::end_others;
use super::portal::{Person, Role, Row as _};
use super::{Error, Refused, Store};

/// Longest name of a person, characters.
const NAME: usize = 100;
/// Longest e-mail address (RFC 5321 section 4.5.3.1.3 allows a path of 256), bytes.
const EMAIL: usize = 200;
/// In which the portal speaks.
const LANGUAGES: [&str; 3] = ["kk", "ru", "en"];

impl Role {
    /// Its word in the database, in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Installer => "installer",
            Self::Owner => "owner",
        }
    }

    /// The role of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Installer, Self::Owner].into_iter().find(|role| role.name() == name)
    }
}

/// A row of the table `person`.
pub(super) struct Account {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) language: String,
    pub(super) password: Private<String>,
    pub(super) operator: bool,
    pub(super) roles: HashMap<String, Role>,
}

impl Account {
    pub(super) fn new(id: String, email: &str) -> Self {
        Self {
            id,
            email: email.to_owned(),
            name: String::new(),
            language: "en".to_owned(),
            password: Private::default(),
            operator: false,
            roles: HashMap::new(),
        }
    }

    fn of(id: &str, person: Person) -> Self {
        let Person { email, name, language, password, operator, roles } = person;
        Self { id: id.to_owned(), email, name, language, password, operator, roles }
    }

    /// Writes it down, whether it was there or not.
    pub(super) async fn put(&self, write: &mut Write, now: u64) -> Result<(), Error> {
        let error = write.error();
        let roles =
            serde_json::to_string(&self.roles).map_err(|error| Error::broken(write.doing(), error))?;
        let put = "INSERT INTO person (id, email, name, language, password, is_operator, roles, made_ms) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
                   language = excluded.language, password = excluded.password, is_operator = excluded.is_operator, \
                   roles = excluded.roles";
        sqlx::query(put)
            .bind(&self.id)
            .bind(&self.email)
            .bind(person_name(&self.name)?)
            .bind(language(&self.language)?)
            .bind(self.password.expose())
            .bind(i64::from(self.operator))
            .bind(roles)
            .bind(now as i64)
            .execute(&mut *write.tx)
            .await
            .map_err(error)?;
        write.change(Person::WHAT, &self.id, now).await
    }
}

/// The account whose `column` is `value`.
pub(super) async fn account(write: &mut Write, column: &str, value: &str) -> Result<Option<Account>, Error> {
    let (error, doing) = (write.error(), write.doing());
    let row = sqlx::query(&format!("SELECT * FROM person WHERE {column} = $1"))
        .bind(value)
        .fetch_optional(&mut *write.tx)
        .await
        .map_err(error)?;
    let Some(row) = row else { return Ok(None) };
    let (id, person) = Person::read(&Fields::new(&row, doing))?;
    Ok(Some(Account::of(&id, person)))
}

impl Store {
    /// Changes what a person calls themselves and the language that the portal speaks to them.
    ///
    /// # Errors
    /// [`Refused::NotThere`], [`Refused::Unfit`], or the database's.
    pub async fn change_person(
        &self,
        id: &str,
        name: Option<&str>,
        language: Option<&str>,
        by: By<'_>,
    ) -> Result<(), Error> {
        const DOING: &str = "change a person";
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let mut account = account(&mut write, "id", id).await?.ok_or(Refused::NotThere)?;
            for (field, new) in [(&mut account.name, name), (&mut account.language, language)] {
                if let Some(new) = new {
                    new.trim().clone_into(field);
                }
            }
            account.put(&mut write, self.now_ms()).await?;
            let audit = Audit { by, tenant: "", what: "person.change", subject: id, detail: "" };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }

    /// Changes a person's password and signs all other browsers out; `old` is the hash that the old password was compared
    /// with, `login` the browser that stays.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when the password is another one by now, or the database's.
    pub async fn change_password(
        &self,
        id: &str,
        old: &Private<String>,
        new: &Private<String>,
        login: &str,
        by: By<'_>,
    ) -> Result<(), Error> {
        const DOING: &str = "change a password";
        self.writing(DOING, async {
            let now = self.now_ms();
            let mut write = self.0.database.write(DOING).await?;
            let mut account = account(&mut write, "id", id).await?.ok_or(Refused::NotThere)?;
            if account.password != *old {
                return Err(Refused::NotThere.into());
            }
            account.password = new.clone();
            account.put(&mut write, now).await?;
            end_others(&mut write, id, login, now).await?;
            let audit = Audit { by, tenant: "", what: "person.password", subject: id, detail: "" };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }

    /// Makes a person something in a tenant where they are something already, or, with `None`, nothing any more. Who is
    /// nothing anywhere is forgotten.
    ///
    /// # Errors
    /// [`Refused::NotThere`], [`Refused::LastOwner`], or the database's.
    pub async fn set_role(
        &self,
        tenant: &str,
        id: &str,
        role: Option<Role>,
        by: By<'_>,
    ) -> Result<(), Error> {
        const DOING: &str = "change what somebody may do";
        self.writing(DOING, async {
            let now = self.now_ms();
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let mut account = account(&mut write, "id", id).await?.ok_or(Refused::NotThere)?;
            let before = account.roles.get(tenant).copied().ok_or(Refused::NotThere)?;
            if before == Role::Owner
                && role != Some(Role::Owner)
                && !other_owner(&mut write, tenant, id).await?
            {
                return Err(Refused::LastOwner.into());
            }
            match role {
                Some(role) => drop(account.roles.insert(tenant.to_owned(), role)),
                None => drop(account.roles.remove(tenant)),
            }
            // Whom they have invited comes in by nobody's word.
            if role != Some(Role::Owner) {
                sqlx::query("DELETE FROM invitation WHERE tenant = $1 AND made_by = $2")
                    .bind(tenant)
                    .bind(id)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
            }
            if account.roles.is_empty() && !account.operator {
                forget(&mut write, id, now).await?;
            } else {
                account.put(&mut write, now).await?;
            }
            let what = if role.is_some() { "person.role" } else { "person.remove" };
            let detail = format!("{} {}", account.email, role.map_or("", Role::name));
            let audit = Audit { by, tenant, what, subject: id, detail: detail.trim() };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }

    /// Forgets a person and signs them out everywhere, from the command line.
    ///
    /// # Errors
    /// [`Refused::NoPerson`], or the database's.
    pub async fn remove_person(&self, address: &str) -> Result<(), Error> {
        const DOING: &str = "remove a person";
        let address = email(address)?;
        self.writing(DOING, async {
            let now = self.now_ms();
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let invited = sqlx::query("DELETE FROM invitation WHERE email = $1")
                .bind(&address)
                .execute(&mut *write.tx)
                .await
                .map_err(error)?;
            let known = account(&mut write, "email", &address).await?;
            if known.is_none() && invited.rows_affected() == 0 {
                return Err(Refused::NoPerson(address.clone()).into());
            }
            if let Some(known) = &known {
                sqlx::query("DELETE FROM invitation WHERE made_by = $1")
                    .bind(&known.id)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                forget(&mut write, &known.id, now).await?;
            }
            let subject = known.as_ref().map_or("", |known| &known.id);
            let by = By::COMMAND_LINE;
            let audit = Audit { by, tenant: "", what: "person.remove", subject, detail: &address };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }
}

async fn forget(write: &mut Write, id: &str, now: u64) -> Result<(), Error> {
    let error = write.error();
    end_others(write, id, "", now).await?;
    sqlx::query("DELETE FROM person WHERE id = $1").bind(id).execute(&mut *write.tx).await.map_err(error)?;
    write.change(Person::WHAT, id, now).await
}

/// Whether a tenant has an owner beside this one.
async fn other_owner(write: &mut Write, tenant: &str, but: &str) -> Result<bool, Error> {
    let (error, doing) = (write.error(), write.doing());
    // Ids are letters and digits, so that the pattern is the id itself.
    let rows = sqlx::query("SELECT * FROM person WHERE id <> $1 AND roles LIKE $2")
        .bind(but)
        .bind(format!("%\"{tenant}\"%"))
        .fetch_all(&mut *write.tx)
        .await
        .map_err(error)?;
    for row in &rows {
        let (_, person) = Person::read(&Fields::new(row, doing))?;
        if person.roles.get(tenant) == Some(&Role::Owner) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An e-mail address as it is kept: lower case, without spaces around it.
///
/// # Errors
/// [`Refused::Unfit`] when it cannot be one.
pub(super) fn email(text: &str) -> Result<String, Refused> {
    let text = text.trim().to_lowercase();
    let parts = text.rsplit_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    let plain =
        !text.chars().any(|char| char.is_whitespace() || char.is_control() || "<>,;\"".contains(char));
    if parts && plain && text.len() <= EMAIL {
        Ok(text)
    } else {
        Err(Refused::Unfit("An e-mail address looks like somebody@example.org."))
    }
}

fn person_name(name: &str) -> Result<&str, Refused> {
    let name = name.trim();
    let fits = (1..=NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name) } else { Err(Refused::Unfit("A name has 1 to 100 letters.")) }
}

fn language(word: &str) -> Result<&str, Refused> {
    if LANGUAGES.contains(&word) { Ok(word) } else { Err(Refused::Unfit("The languages are kk, ru and en.")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_one_way_only() {
        assert_eq!(email(" Aida@Example.ORG "), Ok("aida@example.org".to_owned()));
        for bad in ["", "aida", "@example.org", "aida@", "a b@example.org", "a@b,c@d", "a@b\n"] {
            let kept = email(bad);
            assert!(kept.is_err() || kept == Ok("a@b".to_owned()), "{bad:?}: {kept:?}");
        }
        assert!(email(&format!("{}@example.org", "x".repeat(200))).is_err());
    }
}
