//! People, tenants, sites, shares, cameras without a box and other clouds, as they stand in memory: a part of the
//! [`Directory`](super::Directory), so that who may see what is answered without the database and moves within a second.

use std::collections::HashMap;
use std::sync::Arc;

use model::{CameraId, Private};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use super::Error;
use super::database::{Database, Fields};
use super::map::Map;
use crate::fleet::Window;

/// What is kept as a whole in memory, by its key.
pub(super) trait Row: Sized {
    /// Its word in the table `change`.
    const WHAT: &'static str;
    /// All of it.
    const ALL: &'static str;
    /// The column of its key.
    const KEY: &'static str;

    /// Reads a row.
    fn read(row: &Fields<'_>) -> Result<(String, Self), Error>;
}

/// Rows by their keys. A copy shares what it holds until one of both changes.
#[derive(Debug)]
pub struct Table<R>(Map<String, Arc<R>>);

impl<R> Clone for Table<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self(Map::default())
    }
}

impl<R> Table<R> {
    /// The row of a key.
    pub fn get(&self, key: &str) -> Option<&Arc<R>> {
        self.0.get(key)
    }

    /// All rows, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<R>)> {
        self.0.iter().map(|(key, row)| (key.as_str(), row))
    }

    /// Those rows that may differ from what they were in `old`: all that do, and few others.
    pub fn unlike<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = (&'a str, &'a Arc<R>)> {
        self.0.unlike(&old.0).map(|(key, row)| (key.as_str(), row))
    }

    /// Adds or replaces a row; `None` takes it out.
    pub fn put(&mut self, key: &str, row: Option<R>) {
        match row {
            Some(row) => drop(self.0.insert(key.to_owned(), Arc::new(row))),
            None => drop(self.0.remove(key)),
        }
    }
}

/// Whose boxes and cameras they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// As in `boxes.owner` and the check words; never changes.
    pub name: String,
    /// JSON: who is told of outages.
    pub alerts: String,
}

/// What a person may do in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees pictures.
    Viewer,
    /// Sees pictures, claims boxes, sets up sites and cameras.
    Installer,
    /// Everything in the tenant: people, access, shares, alerts, giving boxes away.
    Owner,
}

/// Somebody who can sign in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Lower case.
    pub email: String,
    /// As shown to others.
    pub name: String,
    /// `kk`, `ru` or `en`.
    pub language: String,
    /// argon2id in PHC form; empty: nobody has chosen one yet.
    pub password: Private<String>,
    /// Everything in every tenant, and new tenants.
    pub operator: bool,
    /// By tenant.
    pub roles: HashMap<String, Role>,
}

/// A browser that is signed in, by the SHA-256 of its cookie.
#[derive(Debug, Clone)]
pub struct Login {
    /// The person's id.
    pub person: String,
    /// What its changes must bring along.
    pub csrf: Private<String>,
    /// Milliseconds since 1970.
    pub expires_ms: u64,
}

/// Where boxes and cameras stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The tenant's id.
    pub tenant: String,
    /// What people call it.
    pub name: String,
    /// Where it is, in words.
    pub address: String,
    /// IANA name, such as `Asia/Almaty`.
    pub time_zone: String,
    /// When its boxes may restart for an update; `None`: at any time.
    pub window: Option<Window>,
}

/// Who may watch a camera without being somebody in its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everybody who has the link.
    Public,
    /// Nobody without a share, a token, or a yes of the decision hook.
    Private,
}

/// A link or token for one camera, by its id.
#[derive(Debug, Clone)]
pub struct Share {
    /// Its camera.
    pub public_id: CameraId,
    /// `link` or `embed`.
    pub kind: String,
    /// What it is for, in its maker's words.
    pub label: String,
    /// SHA-256 of the secret, base64.
    pub secret: String,
    /// A person's id.
    pub made_by: String,
    /// Milliseconds since 1970.
    pub made_ms: u64,
    /// Milliseconds since 1970; `None`: until it is taken back.
    pub expires_ms: Option<u64>,
}

/// A camera without a box, by its public id.
#[derive(Debug, Clone)]
pub struct Source {
    /// The tenant's id.
    pub tenant: String,
    /// The site's id, or empty.
    pub site: String,
    /// What people call it.
    pub title: String,
    /// `pull`, `push` or `peer`.
    pub kind: String,
    /// JSON of its kind; holds passwords and key hashes.
    pub settings: Private<String>,
    /// False: the link is switched off.
    pub on: bool,
    /// Who may watch.
    pub access: Access,
    /// The id of the cloud that its other end came to last, if it comes by itself; empty: none yet. Who has it now says
    /// [`crate::nodes::holder`].
    pub node: String,
    /// JSON of a [`model::status::CameraReport`], or empty.
    pub report: String,
    /// Since when it has been streaming, or not, milliseconds since 1970.
    pub since_ms: u64,
}

/// A cloud that shares the database, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where the other clouds reach it: `http://ADDRESS:PORT`.
    pub url: String,
    /// Where boxes reach its hub: `host:port`.
    pub endpoint: String,
}

/// A WireGuard peer with one camera behind it, by the camera's public id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WirePeer {
    /// X25519.
    pub tunnel_key: [u8; 32],
    /// Inside the tunnel.
    pub address: std::net::Ipv4Addr,
}

/// Everything of the portal.
#[derive(Debug, Clone, Default)]
pub struct Portal {
    /// By id.
    pub tenants: Table<Tenant>,
    /// By id.
    pub people: Table<Person>,
    /// By the SHA-256 of the cookie, base64.
    pub logins: Table<Login>,
    /// By id.
    pub sites: Table<Site>,
    /// By id.
    pub shares: Table<Share>,
    /// By public id.
    pub sources: Table<Source>,
    /// By public id.
    pub peers: Table<WirePeer>,
    /// By id.
    pub nodes: Table<Node>,
    /// The ids of these tenants by their names.
    named: (Table<Tenant>, Arc<HashMap<String, String>>),
}

impl Portal {
    /// Everything, read anew.
    pub(super) async fn whole(database: &Database) -> Result<Self, Error> {
        Ok(Self {
            tenants: all(database).await?,
            people: all(database).await?,
            logins: all(database).await?,
            sites: all(database).await?,
            shares: all(database).await?,
            sources: all(database).await?,
            peers: all(database).await?,
            nodes: all(database).await?,
            named: Default::default(),
        })
    }

    /// Reads again what the table `change` names; false when that is nothing of the portal.
    pub(super) async fn follow(&mut self, database: &Database, what: &str, key: &str) -> Result<bool, Error> {
        match what {
            Tenant::WHAT => one(database, &mut self.tenants, key).await?,
            Person::WHAT => one(database, &mut self.people, key).await?,
            Login::WHAT => one(database, &mut self.logins, key).await?,
            Site::WHAT => one(database, &mut self.sites, key).await?,
            Share::WHAT => one(database, &mut self.shares, key).await?,
            Source::WHAT => one(database, &mut self.sources, key).await?,
            WirePeer::WHAT => one(database, &mut self.peers, key).await?,
            Node::WHAT => one(database, &mut self.nodes, key).await?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The id of the tenant of this name, as far as a directory has these tenants.
    pub fn tenant_named(&self, name: &str) -> Option<&str> {
        self.named.1.get(name).map(String::as_str)
    }

    /// Learns the tenants' names anew, if there are others.
    pub(super) fn index(&mut self) {
        if !self.named.0.0.is(&self.tenants.0) {
            let names = self.tenants.iter().map(|(id, tenant)| (tenant.name.clone(), id.to_owned()));
            self.named = (self.tenants.clone(), Arc::new(names.collect()));
        }
    }
}

const DOING: &str = "read people and access";

async fn all<R: Row>(database: &Database) -> Result<Table<R>, Error> {
    let rows = sqlx::query(R::ALL).fetch_all(database.pool()).await.map_err(database.error(DOING))?;
    let mut map = Map::default();
    for row in &rows {
        let (key, row) = R::read(&Fields::new(row, DOING))?;
        map.insert(key, Arc::new(row));
    }
    Ok(Table(map))
}

async fn one<R: Row + Clone>(database: &Database, table: &mut Table<R>, key: &str) -> Result<(), Error> {
    let query = format!("{} WHERE {} = $1", R::ALL, R::KEY);
    let row: Option<AnyRow> =
        sqlx::query(&query).bind(key).fetch_optional(database.pool()).await.map_err(database.error(DOING))?;
    let row = row.as_ref().map(|row| R::read(&Fields::new(row, DOING))).transpose()?;
    table.put(key, row.map(|(_, row)| row));
    Ok(())
}

fn access(word: &str) -> Result<Access, Error> {
    match word {
        "public" => Ok(Access::Public),
        "private" => Ok(Access::Private),
        other => Err(Error::broken(DOING, format!("the access {other:?}"))),
    }
}

impl Access {
    /// Its word in the database and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }

    /// The access of a word in the database.
    pub(super) fn read(word: &str) -> Result<Self, Error> {
        access(word)
    }
}

impl Row for Tenant {
    const WHAT: &'static str = "tenant";
    const ALL: &'static str = "SELECT * FROM tenant";
    const KEY: &'static str = "id";

    fn read(row: &Fields<'_>) -> Result<(String, Self), Error> {
        Ok((row.text("id")?, Self { name: row.text("name")?, alerts: row.text("alerts")? }))
    }
}

impl Row for Person {
    const WHAT: &'static str = "person";
    const ALL: &'static str = "SELECT * FROM person";
    const KEY: &'static str = "id";

    fn read(row: &Fields<'_>) -> Result<(String, Self), Error> {
        let roles = serde_json::from_str(&row.text("roles")?).map_err(|error| Error::broken(DOING, error))?;
        let person = Self {
            email: row.text("email")?,
            name: row.text("name")?,
            language: row.text("language")?,
            password: Private::new(row.text("password")?),
            operator: row.number("is_operator")? != 0,
            roles,
        };
        Ok((row.text("id")?, person))
    }
}

impl Row for Login {
    const WHAT: &'static str = "login";
    const ALL: &'static str = "SELECT * FROM login";
    const KEY: &'static str = "secret";

    fn read(row: &Fields<'_>) -> Result<(String, Self), Error> {
        let login = Self {
            person: row.text("person")?,
            csrf: Private::new(row.text("csrf")?),
            expires_ms: row.number("expires_ms")?,
        };
        Ok((row.text("secret")?, login))
    }
}

impl Row for Site {
    const WHAT: &'static str = "site";
    const ALL: &'static str = "SELECT * FROM site";
    const KEY: &'static str = "id";

    fn read(row: &Fields<'_>) -> Result<(String, Self), Error> {
        let site = Self {
            tenant: row.text("tenant")?,
            name: row.text("name")?,
            address: row.text("address")?,
            time_zone: row.text("time_zone")?,
            // One that an older program cannot read is none.
            window: serde_json::from_str(&row.text("update_window")?).ok(),
        };
        Ok((row.text("id")?, site))
    }
}

impl Row for Share {
    const WHAT: &'static str = "share";
    const ALL: &'static str = "SELECT * FROM share";
    const KEY: &'static str = "id";

    fn read(row: &Fields<'_>) -> Result<(String, Self), Error> {
        let share = Self {
            public_id: row.parsed("public_id")?,
            kind: row.text("kind")?,
            label: row.text("label")?,
            secret: row.text("secret")?,
            made_by: row.text("made_by")?,
            made_ms: row.number("made_ms")?,
            expires_ms: row.maybe_number("expires_ms")?,
        };
        Ok((row.text("id")?, share))
    }
}

impl Row for Source {
    const WHAT: &'static str = "source";
    const ALL: &'static str = "SELECT * FROM source";
    const KEY: &'static str = "public_id";

    fn read(row: &Fields<'_>) -> Result<(String, Self), Error> {
        let source = Self {
            tenant: row.text("tenant")?,
            site: row.text("site")?,
            title: row.text("title")?,
            kind: row.text("kind")?,
            settings: Private::new(row.text("settings")?),
            on: row.number("is_on")? != 0,
            access: access(&row.text("access")?)?,
            node: row.text("node")?,
            report: row.text("report")?,
            since_ms: row.number("since_ms")?,
        };
        Ok((row.text("public_id")?, source))
    }
}

impl Row for WirePeer {
    const WHAT: &'static str = "peer";
    const ALL: &'static str = "SELECT * FROM peer";
    const KEY: &'static str = "public_id";

    fn read(row: &Fields<'_>) -> Result<(String, Self), Error> {
        let address = u32::try_from(row.number("address")?).map_err(|error| Error::broken(DOING, error))?;
        let tunnel_key = super::follow::key(&row.text("tunnel_key")?)?;
        Ok((row.text("public_id")?, Self { tunnel_key, address: address.into() }))
    }
}

impl Row for Node {
    const WHAT: &'static str = "node";
    const ALL: &'static str = "SELECT * FROM node";
    const KEY: &'static str = "id";

    fn read(row: &Fields<'_>) -> Result<(String, Self), Error> {
        Ok((row.text("id")?, Self { url: row.text("url")?, endpoint: row.text("endpoint")? }))
    }
}
