//! Where things are and what people call them: sites, and the names, sites and access of boxes and cameras.

use model::{BoxId, CameraId};

use super::audit::{Audit, By};
use super::database::Write;
use super::follow::BOX;
use super::portal::{Access, Row as _, Site, Source};
use super::{Error, From, Refused, Store};
use crate::fleet::{Window, is_zone};
use crate::http::Change;

/// Longest name of a site, box or camera, characters.
pub(super) const NAME: usize = 100;
/// Longest address, characters.
const ADDRESS: usize = 300;
/// Longest name of a time zone; the longest IANA has is 30, bytes.
const TIME_ZONE: usize = 64;
/// Most sites of a tenant.
const SITES: i64 = 2000;

/// What is to change of a site; `None` leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteWords {
    /// What people call it.
    pub name: Option<String>,
    /// Where it is, in words.
    pub address: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// When its boxes may restart for an update; without one: at any time.
    pub window: Change<Window>,
}

impl SiteWords {
    fn onto(&self, mut site: Site) -> Result<Site, Refused> {
        if let Some(name) = &self.name {
            site.name = text(name, 1, NAME)?;
        }
        if let Some(address) = &self.address {
            site.address = text(address, 0, ADDRESS)?;
        }
        if let Some(zone) = &self.time_zone {
            // One that nobody knows would move the site's window by hours.
            if zone.len() > TIME_ZONE || !is_zone(zone) {
                return Err(Refused::Unfit(
                    "There is no such time zone. Write an IANA name such as Asia/Almaty or Europe/Berlin.",
                ));
            }
            site.time_zone.clone_from(zone);
        }
        match &self.window {
            Change::Keep => {}
            Change::Clear => site.window = None,
            Change::Set(window) if window.fits() => site.window = Some(window.clone()),
            Change::Set(_) => {
                return Err(Refused::Unfit("A window has days from 0 to 6 and two times such as 02:00."));
            }
        }
        Ok(site)
    }
}

/// What is to change of a camera; `None` leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CameraWords {
    /// What people call it; empty for a box's camera: what its box calls it.
    pub title: Option<String>,
    /// Whether its link is on.
    pub on: Option<bool>,
    /// Who may watch.
    pub access: Option<Access>,
    /// The site of a camera without a box.
    pub site: Option<String>,
}

impl Store {
    /// Makes a site and gives its id.
    ///
    /// # Errors
    /// [`Refused::Unfit`], or the database's.
    pub async fn add_site(&self, tenant: &str, words: &SiteWords, by: By<'_>) -> Result<String, Error> {
        const DOING: &str = "make a site";
        let id = self.secret(DOING)?;
        let none = Site {
            tenant: tenant.to_owned(),
            name: String::new(),
            address: String::new(),
            time_zone: "UTC".to_owned(),
            window: None,
        };
        let site = words.onto(none)?;
        text(&site.name, 1, NAME)?;
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let sites: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM site WHERE tenant = $1")
                .bind(tenant)
                .fetch_one(&mut *write.tx)
                .await
                .map_err(error)?;
            if sites >= SITES {
                return Err(Refused::Unfit("There are too many sites.").into());
            }
            put_site(&mut write, &id, &site, self.now_ms()).await?;
            let audit = Audit { by, tenant, what: "site.add", subject: &id, detail: &site.name };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await?;
        Ok(id)
    }

    /// Changes a site.
    ///
    /// # Errors
    /// [`Refused::NotThere`], [`Refused::Unfit`], or the database's.
    pub async fn change_site(&self, id: &str, words: &SiteWords, by: By<'_>) -> Result<(), Error> {
        const DOING: &str = "change a site";
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let site = words.onto(site(&mut write, id).await?.ok_or(Refused::NotThere)?)?;
            put_site(&mut write, id, &site, self.now_ms()).await?;
            let audit =
                Audit { by, tenant: &site.tenant, what: "site.change", subject: id, detail: &site.name };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }

    /// Forgets a site. What stood there stands nowhere in particular.
    ///
    /// # Errors
    /// [`Refused::NotThere`], or the database's.
    pub async fn remove_site(&self, id: &str, by: By<'_>) -> Result<(), Error> {
        const DOING: &str = "remove a site";
        self.writing(DOING, async {
            let now = self.now_ms();
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let site = site(&mut write, id).await?.ok_or(Refused::NotThere)?;
            for (what, query) in [
                (BOX, "UPDATE boxes SET site = '' WHERE site = $1 RETURNING id"),
                (Source::WHAT, "UPDATE source SET site = '' WHERE site = $1 RETURNING public_id"),
                (Site::WHAT, "DELETE FROM site WHERE id = $1 RETURNING id"),
            ] {
                let changed: Vec<String> =
                    sqlx::query_scalar(query).bind(id).fetch_all(&mut *write.tx).await.map_err(error)?;
                for key in changed {
                    write.change(what, &key, now).await?;
                }
            }
            let audit =
                Audit { by, tenant: &site.tenant, what: "site.remove", subject: id, detail: &site.name };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }

    /// Names a box and says where it stands; `None` leaves it.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when the box is not this tenant's or the site is none of its sites, [`Refused::Unfit`], or
    /// the database's.
    pub async fn change_box(
        &self,
        id: &BoxId,
        tenant: &str,
        name: Option<&str>,
        place: Option<&str>,
        by: By<'_>,
    ) -> Result<(), Error> {
        const DOING: &str = "change a box";
        let name = name.map(|name| text(name, 0, NAME)).transpose()?;
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            if let Some(place) = place {
                its_site(&mut write, tenant, place).await?;
            }
            let update = "UPDATE boxes SET name = COALESCE($3, name), site = COALESCE($4, site) \
                          WHERE id = $1 AND owner = (SELECT name FROM tenant WHERE id = $2)";
            let changed = sqlx::query(update)
                .bind(id.as_str())
                .bind(tenant)
                .bind(&name)
                .bind(place)
                .execute(&mut *write.tx)
                .await
                .map_err(error)?;
            if changed.rows_affected() == 0 {
                return Err(Refused::NotThere.into());
            }
            write.change(BOX, id.as_str(), self.now_ms()).await?;
            let detail = name.as_deref().unwrap_or_default();
            let audit = Audit { by, tenant, what: "box.change", subject: id.as_str(), detail };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }

    /// Changes a camera, with a box or without one.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when it is not this tenant's or the site is none of its sites, [`Refused::Unfit`], or the
    /// database's.
    pub async fn change_camera(
        &self,
        public_id: &CameraId,
        tenant: &str,
        words: &CameraWords,
        by: By<'_>,
    ) -> Result<(), Error> {
        const DOING: &str = "change a camera";
        let directory = self.0.directory.borrow().clone();
        let link = directory.link(public_id.as_str()).ok_or(Refused::NotThere)?;
        let of_box = matches!(link.from, From::Box(..));
        let moved = words.site.as_deref().is_some_and(|site| site != link.site);
        if of_box && moved {
            return Err(Refused::Unfit("This camera stands where its box does: change the box.").into());
        }
        let title = words.title.as_ref().map(|title| text(title, usize::from(!of_box), NAME)).transpose()?;
        let detail = serde_json::json!({
            "title": title, "on": words.on, "access": words.access, "site": words.site
        });
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            if let Some(place) = &words.site {
                its_site(&mut write, tenant, place).await?;
            }
            let update = if of_box {
                "UPDATE camera SET title = COALESCE($3, title), is_on = COALESCE($4, is_on), \
                 access = COALESCE($5, access) WHERE public_id = $1 AND box_id IN (SELECT boxes.id FROM boxes \
                 JOIN tenant ON tenant.name = boxes.owner WHERE tenant.id = $2) RETURNING box_id"
            } else {
                "UPDATE source SET title = COALESCE($3, title), is_on = COALESCE($4, is_on), \
                 access = COALESCE($5, access), site = COALESCE($6, site) \
                 WHERE public_id = $1 AND tenant = $2 RETURNING public_id"
            };
            let mut query = sqlx::query_scalar(update)
                .bind(public_id.as_str())
                .bind(tenant)
                .bind(&title)
                .bind(words.on.map(i64::from))
                .bind(words.access.map(Access::name));
            if !of_box {
                query = query.bind(&words.site);
            }
            let changed: Option<String> = query.fetch_optional(&mut *write.tx).await.map_err(error)?;
            let changed = changed.ok_or(Refused::NotThere)?;
            let what = if of_box { BOX } else { Source::WHAT };
            write.change(what, &changed, self.now_ms()).await?;
            let (subject, detail) = (public_id.as_str(), &detail.to_string());
            self.audit(&mut write, Audit { by, tenant, what: "camera.change", subject, detail }).await?;
            write.commit().await
        })
        .await
    }
}

async fn site(write: &mut Write, id: &str) -> Result<Option<Site>, Error> {
    let (error, doing) = (write.error(), write.doing());
    let row = sqlx::query("SELECT * FROM site WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *write.tx)
        .await
        .map_err(error)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Site::read(&super::database::Fields::new(&row, doing))?.1))
}

async fn put_site(write: &mut Write, id: &str, site: &Site, now: u64) -> Result<(), Error> {
    let error = write.error();
    let put = "INSERT INTO site (id, tenant, name, address, time_zone, update_window) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
               address = excluded.address, time_zone = excluded.time_zone, update_window = excluded.update_window";
    let window = site.window.as_ref().map(serde_json::to_string).transpose();
    let window = window.map_err(|error| Error::broken(write.doing(), error))?;
    sqlx::query(put)
        .bind(id)
        .bind(&site.tenant)
        .bind(&site.name)
        .bind(&site.address)
        .bind(&site.time_zone)
        .bind(window.unwrap_or_default())
        .execute(&mut *write.tx)
        .await
        .map_err(error)?;
    write.change(Site::WHAT, id, now).await
}

/// Whether a site is one of this tenant's; nowhere in particular always is.
pub(super) async fn its_site(write: &mut Write, tenant: &str, place: &str) -> Result<(), Error> {
    let found = if place.is_empty() { None } else { site(write, place).await? };
    if place.is_empty() || found.is_some_and(|site| site.tenant == tenant) {
        Ok(())
    } else {
        Err(Refused::NotThere.into())
    }
}

/// A text as it is kept: without spaces around it.
pub(super) fn text(text: &str, least: usize, most: usize) -> Result<String, Refused> {
    let text = text.trim();
    let fits = (least..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(Refused::Unfit("A name has 1 to 100 letters.")) }
}
