//! Every address of the page, as data: what may be asked, how, and by whom. `openapi.json` of the box is tested against it.

use embedded_svc::http::Method;
use model::CameraId;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody on the box's network.
    Anyone,
    /// Whoever has signed in.
    Owner,
}

/// An address and what may be done with it.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// How.
    pub method: Method,
    /// Where; `{id}` stands for a camera's id, `{name}` for a file's name.
    pub path: &'static str,
    /// By whom.
    pub who: Who,
    /// What is done.
    pub(crate) what: What,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Page,
    Asset,
    State,
    Claim,
    Login,
    Logout,
    Password,
    Site,
    Overview,
    Add,
    Change,
    Remove,
    Order,
    Encoder,
    Improve,
    Snapshot,
    Reach,
    Join,
    Uplink,
    Time,
    Update,
    Events,
    Diagnostics,
    Restart,
    Reset,
}

const fn route(method: Method, path: &'static str, who: Who, what: What) -> Route {
    Route { method, path, who, what }
}

/// All of them.
pub const ROUTES: &[Route] = &[
    route(Method::Get, "/setup/", Who::Anyone, What::Page),
    route(Method::Get, "/setup/assets/{name}", Who::Anyone, What::Asset),
    route(Method::Get, "/api/v1/setup/state", Who::Anyone, What::State),
    route(Method::Post, "/api/v1/setup/claim", Who::Anyone, What::Claim),
    route(Method::Post, "/api/v1/setup/login", Who::Anyone, What::Login),
    route(Method::Post, "/api/v1/setup/logout", Who::Owner, What::Logout),
    route(Method::Post, "/api/v1/setup/password", Who::Owner, What::Password),
    route(Method::Post, "/api/v1/setup/site", Who::Owner, What::Site),
    route(Method::Get, "/api/v1/setup/overview", Who::Owner, What::Overview),
    route(Method::Post, "/api/v1/setup/cameras", Who::Owner, What::Add),
    route(Method::Post, "/api/v1/setup/cameras/{id}", Who::Owner, What::Change),
    route(Method::Delete, "/api/v1/setup/cameras/{id}", Who::Owner, What::Remove),
    route(Method::Post, "/api/v1/setup/order", Who::Owner, What::Order),
    route(Method::Get, "/api/v1/setup/cameras/{id}/encoder", Who::Owner, What::Encoder),
    route(Method::Post, "/api/v1/setup/cameras/{id}/improve", Who::Owner, What::Improve),
    route(Method::Get, "/api/v1/setup/cameras/{id}/snapshot.jpg", Who::Owner, What::Snapshot),
    route(Method::Post, "/api/v1/setup/reach", Who::Owner, What::Reach),
    route(Method::Post, "/api/v1/setup/join", Who::Owner, What::Join),
    route(Method::Post, "/api/v1/join", Who::Owner, What::Join),
    route(Method::Post, "/api/v1/setup/uplink", Who::Owner, What::Uplink),
    route(Method::Post, "/api/v1/setup/time", Who::Owner, What::Time),
    route(Method::Post, "/api/v1/setup/update", Who::Owner, What::Update),
    route(Method::Get, "/api/v1/setup/events", Who::Owner, What::Events),
    route(Method::Get, "/api/v1/setup/diagnostics", Who::Owner, What::Diagnostics),
    route(Method::Post, "/api/v1/setup/restart", Who::Owner, What::Restart),
    route(Method::Post, "/api/v1/setup/reset", Who::Owner, What::Reset),
];

/// What a request means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'p> {
    /// This route, with what stands for its placeholder.
    Route(What, Who, Part<'p>),
    /// The address is there, the method is not: these are (for `Allow`).
    Method(String),
    /// There is no such address.
    Nothing,
}

/// What stands for a placeholder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'p> {
    /// There is none.
    None,
    /// `{id}`.
    Id(CameraId),
    /// `{name}`.
    Name(&'p str),
}

/// Looks a request up. HEAD is understood wherever GET is.
pub(crate) fn find(method: Method, path: &str) -> Found<'_> {
    let mut allowed: Vec<&str> = Vec::new();
    for route in ROUTES {
        let Some(part) = fits(route.path, path) else { continue };
        if route.method == method || (route.method == Method::Get && method == Method::Head) {
            return Found::Route(route.what, route.who, part);
        }
        allowed.extend(match route.method {
            Method::Get => &["GET", "HEAD"][..],
            Method::Delete => &["DELETE"],
            _ => &["POST"],
        });
    }
    if allowed.is_empty() { Found::Nothing } else { Found::Method(allowed.join(", ")) }
}

fn fits<'p>(pattern: &str, path: &'p str) -> Option<Part<'p>> {
    let mut part = Part::None;
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(part),
            (Some("{id}"), Some(id)) => part = Part::Id(CameraId::new(id).ok()?),
            (Some("{name}"), Some(name)) => part = Part::Name(name),
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_whole_or_not_at_all() {
        let id = CameraId::new("gate").unwrap();
        assert_eq!(
            find(Method::Get, "/api/v1/setup/cameras/gate/snapshot.jpg"),
            Found::Route(What::Snapshot, Who::Owner, Part::Id(id.clone()))
        );
        assert_eq!(
            find(Method::Delete, "/api/v1/setup/cameras/gate"),
            Found::Route(What::Remove, Who::Owner, Part::Id(id))
        );
        assert_eq!(find(Method::Head, "/setup/"), Found::Route(What::Page, Who::Anyone, Part::None));
        assert_eq!(
            find(Method::Get, "/setup/assets/a-1.js"),
            Found::Route(What::Asset, Who::Anyone, Part::Name("a-1.js"))
        );
        assert_eq!(find(Method::Get, "/api/v1/setup/cameras/gate"), Found::Method("POST, DELETE".to_owned()));
        assert_eq!(find(Method::Put, "/setup/"), Found::Method("GET, HEAD".to_owned()));
        for path in [
            "/setup",
            "/setup//",
            "//setup/",
            "/setup/assets/../state",
            "/api/v1/setup/cameras/../events",
            "/api/v1/setup/cameras/Gate",
            "/api/v1/setup/state/",
            "/api/v1/setup/%73tate",
            "",
        ] {
            assert_eq!(find(Method::Get, path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn what_changes_something_is_no_get_and_needs_the_owner() {
        for route in ROUTES {
            let reading = [
                What::Page,
                What::Asset,
                What::State,
                What::Overview,
                What::Encoder,
                What::Snapshot,
                What::Events,
                What::Diagnostics,
            ];
            assert_eq!(route.method == Method::Get, reading.contains(&route.what), "{}", route.path);
            let open = [What::Page, What::Asset, What::State, What::Claim, What::Login];
            assert_eq!(route.who == Who::Anyone, open.contains(&route.what), "{}", route.path);
        }
    }
}
