//! What the portal is promised of people and things, on an empty database of either kind.

use anyhow::{Context, Result, ensure};
use cloud_stub::nodes::{holder, id_of, is_here};
use cloud_stub::store::{
    Access, By, CameraWords, Chosen, ClaimWords, LOGIN_LIFE_MS, NewLogin, NewSource, Node, Refused, Role,
    SiteWords, Store,
};
use model::Private;

use crate::{
    promises::report,
    stage::{Member, Place, refusal},
};

const DAY_S: u64 = 24 * 3600;

fn login(key: &str) -> NewLogin {
    NewLogin { key: key.to_owned(), csrf: Private::new("token".to_owned()), browser: "Browser".to_owned() }
}

fn chosen(key: &str, password: &str) -> Chosen {
    Chosen {
        name: "Aida".to_owned(),
        language: "kk".to_owned(),
        password: Some(Private::new(password.to_owned())),
        had: Private::default(),
        login: login(key),
    }
}

fn logins(store: &Store) -> Vec<String> {
    let directory = store.directory().borrow().clone();
    let mut keys: Vec<String> = directory.portal().logins.iter().map(|(key, _)| key.to_owned()).collect();
    keys.sort();
    keys
}

/// People come in once, are signed in everywhere, change their passwords and go; another process hears of each step.
pub(crate) async fn people(place: Place) -> Result<()> {
    let (store, other) = (place.open().await?, place.open().await?);
    let secret = store.invite_as("Aida@Example.org", Some(("ACME", Role::Owner))).await?;
    let invited = other.invitation(secret.expose()).await?.context("no invitation")?;
    ensure!(invited.email == "aida@example.org" && invited.renews(), "{invited:?}");
    let aida = other.accept(secret.expose(), &chosen("first", "hash"), None).await?;
    let again = store.accept(secret.expose(), &chosen("again", "hash"), None).await;
    ensure!(refusal(again)? == Refused::NotThere, "an invitation was used twice");
    store.refresh().await?;
    let tenant = store.directory().borrow().portal().tenant_named("ACME").context("no tenant")?.to_owned();
    ensure!(logins(&store) == ["first"]);

    place.clock().forward_s(10 * DAY_S);
    other.slide("first").await?;
    store.refresh().await?;
    let until = store.directory().borrow().portal().logins.get("first").map(|login| login.expires_ms);
    ensure!(until == Some(store.now_ms() + LOGIN_LIFE_MS), "{until:?}");
    let by = By { person: &aida, address: Some([192, 0, 2, 1].into()) };
    let (old, new) = (Private::new("hash".to_owned()), Private::new("other hash".to_owned()));
    store.sign_in(&aida, &old, &login("second"), by).await?;
    store.change_person(&aida, Some("Aida K."), None, by).await?;
    store.change_password(&aida, &old, &new, "second", by).await?;
    other.refresh().await?;
    ensure!(logins(&other) == ["second"], "the other browser is signed out");
    ensure!(
        refusal(other.sign_in(&aida, &old, &login("third"), by).await)? == Refused::NotThere,
        "old password"
    );

    ensure!(refusal(store.set_role(&tenant, &aida, Some(Role::Viewer), by).await)? == Refused::LastOwner);
    let secret = store.invite("b@example.org", &tenant, Role::Owner, by).await?;
    ensure!(store.invitations(&tenant).await?.len() == 1);
    let second = store.accept(secret.expose(), &chosen("of b", "hash"), None).await?;
    store.set_role(&tenant, &second, None, by).await?;
    other.refresh().await?;
    ensure!(other.directory().borrow().portal().people.get(&second).is_none(), "nothing anywhere: forgotten");
    store.invite("c@example.org", &tenant, Role::Viewer, by).await?;
    ensure!(store.uninvite("c@example.org", &tenant, by).await?);
    ensure!(!store.uninvite("c@example.org", &tenant, by).await?);
    place.clock().forward_s(31 * DAY_S);
    store.sign_in(&aida, &new, &login("third"), by).await?;
    store.sweep().await?;
    other.refresh().await?;
    ensure!(logins(&other) == ["third"], "what has ended by itself is forgotten");
    store.sign_out("third", by).await?;
    other.refresh().await?;
    ensure!(logins(&other).is_empty());
    store.remove_person("AIDA@example.org").await?;
    ensure!(matches!(refusal(store.remove_person("aida@example.org").await)?, Refused::NoPerson(_)));

    let whole = store.audited(&tenant, None, 100).await?;
    let first = store.audited(&tenant, None, 3).await?;
    let last = first.last().context("nothing was noted")?;
    let rest = store.audited(&tenant, Some((last.at_ms, &last.id)), 100).await?;
    ensure!(whole.len() == 7 && [first, rest].concat() == whole, "{whole:?}");
    ensure!(whole.iter().any(|row| row.address == "192.0.2.1" && row.person == aida), "{whole:?}");
    Ok(())
}

/// Sites, and the names and places of boxes and cameras.
pub(crate) async fn things(place: Place) -> Result<()> {
    let store = place.open().await?;
    let by = By::COMMAND_LINE;
    let tenant = store.add_tenant(" ACME ", by).await?;
    ensure!(refusal(store.add_tenant("ACME", by).await)? == Refused::NameTaken);
    let words = |name: &str| SiteWords { name: Some(name.to_owned()), ..SiteWords::default() };
    let site = store.add_site(&tenant, &words("Mill"), by).await?;
    store.change_site(&site, &words("Old mill"), by).await?;
    let foreign = store.add_tenant("Other", by).await?;
    let their = store.add_site(&foreign, &words("Farm"), by).await?;

    let member = Member::new(1);
    let session = member.hello(&store, 1).await?;
    let asked = ClaimWords { name: "Hall".to_owned(), site: their.clone() };
    ensure!(refusal(store.claim_by(&session.code.parse()?, "ACME", &asked, by).await)? == Refused::NotThere);
    let asked = ClaimWords { site: site.clone(), ..asked };
    store.claim_by(&session.code.parse()?, "ACME", &asked, by).await?;
    store.join(&member.yes(&session.session, "ACME", 1)).await?;
    store.refresh().await?;
    let camera = report(&store, &["gate"], true).await?.remove(0);
    store.refresh().await?;
    let id = member.identity.box_id();
    let row = store.directory().borrow().by_id(id).context("no box")?.clone();
    ensure!(row.name == "Hall" && row.site == site, "{row:?}");
    ensure!(refusal(store.change_box(id, &foreign, Some("Mine"), None, by).await)? == Refused::NotThere);
    ensure!(refusal(store.change_box(id, &tenant, None, Some(&their), by).await)? == Refused::NotThere);
    store.change_box(id, &tenant, Some("Hall 2"), None, by).await?;
    let words = CameraWords {
        title: Some("North".to_owned()),
        access: Some(Access::Private),
        ..CameraWords::default()
    };
    ensure!(refusal(store.change_camera(&camera, &foreign, &words, by).await)? == Refused::NotThere);
    store.change_camera(&camera, &tenant, &words, by).await?;
    let off = CameraWords { on: Some(false), ..CameraWords::default() };
    store.change_camera(&camera, &tenant, &off, by).await?;
    let directory = store.directory().borrow().clone();
    let link = directory.link(camera.as_str()).context("no link")?;
    ensure!(link.title() == "North" && link.access == Access::Private && !link.on, "{link:?}");
    ensure!(link.tenant == tenant && link.site == site, "{link:?}");
    store.remove_site(&site, by).await?;
    let row = store.directory().borrow().by_id(id).context("no box")?.clone();
    ensure!(row.name == "Hall 2" && row.site.is_empty(), "{row:?}");
    ensure!(matches!(refusal(store.release_box_by(id, Some("Other"), by).await)?, Refused::NoBox(_)));
    store.release_box_by(id, Some("ACME"), by).await?;
    ensure!(store.directory().borrow().link(camera.as_str()).is_none());
    Ok(())
}

/// Two clouds: a camera that comes by itself is where it came to last, and all know it; one that is asked stays where it is.
pub(crate) async fn sources(place: Place) -> Result<()> {
    let (a, b) = (place.open().await?, place.open().await?);
    let mut ids = Vec::new();
    for (store, port) in [(&a, 1), (&b, 2)] {
        let url = format!("http://10.0.0.{port}:8444");
        let node = Node { url, endpoint: format!("hub{port}.example.org:51820") };
        ids.push(id_of(&node.url));
        store.come_in(&id_of(&node.url), &node).await?;
        store.beat(&id_of(&node.url), &node).await?;
    }
    let first = a.directory().borrow().portal().nodes.get(&ids[0]).context("no node")?.clone();
    a.beat(&ids[0], &first).await?;
    let by = By::COMMAND_LINE;
    let tenant = a.add_tenant("ACME", by).await?;
    let mut cameras = Vec::new();
    for (kind, tunnel_key) in [("pull", None), ("push", None), ("peer", Some([7; 32]))] {
        let settings = Private::new("{}".to_owned());
        let new = NewSource { title: kind, site: "", kind, settings, tunnel_key };
        cameras.push(a.add_source(&tenant, &new, by).await?.0);
    }
    b.refresh().await?;
    let version = || b.directory().borrow().version();
    let holders = |store: &Store| -> Vec<String> {
        let directory = store.directory().borrow().clone();
        cameras.iter().filter_map(|id| holder(&directory, id.as_str()).map(str::to_owned)).collect()
    };
    let chosen = holders(&a);
    ensure!(chosen == holders(&b) && chosen.len() == 3, "{chosen:?}");
    for (store, id) in [(&b, &ids[1]), (&a, &ids[0])] {
        store.hold_sources(&cameras).await?;
        for other in [&a, &b] {
            other.refresh().await?;
            ensure!(holders(other)[0] == chosen[0] && holders(other)[1..] == [id.clone(), id.clone()]);
        }
        ensure!(
            is_here(&store.directory().borrow(), cameras[1].as_str()),
            "it is shown before it is answered"
        );
        let before = version();
        store.hold_sources(&cameras).await?;
        b.refresh().await?;
        ensure!(version() == before, "what is known is no change");
    }
    // It is on the disk, not in a directory only.
    let again = place.open().await?;
    ensure!(
        again
            .directory()
            .borrow()
            .portal()
            .sources
            .get(cameras[2].as_str())
            .is_some_and(|row| row.node == ids[0])
    );
    a.leave(&ids[0]).await?;
    b.refresh().await?;
    ensure!(holders(&b) == vec![ids[1].clone(); 3], "a cloud that has stopped has nothing");
    a.remove_source(&cameras[1], &tenant, by).await?;
    b.hold_sources(&cameras).await?;
    ensure!(b.directory().borrow().portal().sources.get(cameras[1].as_str()).is_none());
    Ok(())
}
