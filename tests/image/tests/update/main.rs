//! An update of the whole box from a plain web server: what it costs, and that the plug may be pulled at any moment.
//!
//! What changes between two versions are forty pages of the box's program, 2 % of it, and with them what must follow: the
//! version, the root's hash tree, its root hash in the initramfs, the FIT's signature. The pages are in the program's unwind
//! tables, so that it runs as before (only a panic reads them), in one place or spread over all of the tables; a third program, of which
//! only the cost is looked at, has its forty pages spread over everything, code and all.
//!
//! `STREAMBOX_KILLS` says how often the plug is pulled at a random moment (2), `STREAMBOX_SEED` at which.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod adaptive;
mod plug;
mod shop;

use shop::{Change, NEW, OLD, Shop};

/// Most of the full download that such an update may cost, per cent.
const MOST_PERCENT: f64 = 15.0;

fn percent(part: u64, of: u64) -> f64 {
    part as f64 * 100.0 / of as f64
}

#[test]
fn two_per_cent_of_the_program_cost_at_most_fifteen_of_the_download() {
    let changes = [Change::Together, Change::Apart, Change::Everywhere];
    let shop = Shop::open("cost", &changes).unwrap();
    for change in changes {
        let version = format!("{NEW}-{change:?}");
        let (cost, whole) = (shop.cost(&version), shop.release(&version).download);
        let share = percent(cost, whole);
        println!("update, 40 pages {change:?}: {cost} of {whole} bytes, {share:.1} %");
        assert!(share <= MOST_PERCENT, "{change:?}: {share:.1} %");
        assert!(cost > 0, "nothing has changed");
        let (old, new) = (shop.image(OLD), shop.image(&version));
        let rauc = adaptive::cost(old, new, &shop.folder.join("rauc")).unwrap();
        println!(
            "update, the same by RAUC's block-hash-index: {} of {} bytes, {:.1} %: {} of indexes, {} missing blocks",
            rauc.bytes,
            rauc.bundle,
            percent(rauc.bytes, rauc.bundle),
            rauc.index,
            rauc.missing
        );
        // Another program's figure judges nothing; that it is one does.
        assert!(rauc.index > 0 && rauc.missing >= shop::PAGES, "{rauc:?}");
    }
}
