//! What stands behind a public link: a box's camera or a camera without a box, in the words that both have in common.

use std::sync::Arc;

use super::directory::{BoxRow, BoxState, CameraRow, Directory};
use super::portal::{Access, Source};

/// A camera of whatever kind. Whether it may be watched is for whoever asks: see `on` and `access`.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// The tenant's id; empty while the box's owner has none.
    pub tenant: &'a str,
    /// The id of the site where it stands, or empty. A box's camera stands where its box does.
    pub site: &'a str,
    /// False: the link is switched off.
    pub on: bool,
    /// Who may watch.
    pub access: Access,
    /// Where its pictures come from.
    pub from: From<'a>,
}

/// Where a camera's pictures come from.
#[derive(Debug, Clone, Copy)]
pub enum From<'a> {
    /// A box, which is active, and its camera.
    Box(&'a Arc<BoxRow>, &'a Arc<CameraRow>),
    /// Nobody's box.
    Source(&'a Arc<Source>),
}

impl<'a> Link<'a> {
    /// What people call it: what its tenant says, else what its box says.
    pub fn title(&self) -> &'a str {
        match self.from {
            From::Box(_, camera) if camera.title.is_empty() => &camera.name,
            From::Box(_, camera) => &camera.title,
            From::Source(source) => &source.title,
        }
    }
}

impl Directory {
    /// What is behind a public link; `None` for unknown ids and for cameras of boxes that are not active.
    pub fn link(&self, public_id: &str) -> Option<Link<'_>> {
        if let Some(camera) = self.camera(public_id) {
            return self.link_of(camera);
        }
        let source = self.portal().sources.get(public_id)?;
        Some(Link {
            tenant: &source.tenant,
            site: &source.site,
            on: source.on,
            access: source.access,
            from: From::Source(source),
        })
    }

    /// The link of a box's camera; `None` when the box is not active.
    pub fn link_of<'a>(&'a self, camera: &'a Arc<CameraRow>) -> Option<Link<'a>> {
        let from = self.by_id(&camera.box_id).filter(|row| row.state == BoxState::Active)?;
        Some(Link {
            tenant: self.portal().tenant_named(&from.owner).unwrap_or_default(),
            site: &from.site,
            on: camera.on,
            access: camera.access,
            from: From::Box(from, camera),
        })
    }
}
