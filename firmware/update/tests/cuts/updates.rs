//! Updates under power cuts: the real parts keep every promise, and each part is shown to be needed by taking it away.

use std::time::Instant;

use super::explore::{Search, Searched};
use super::life::{Make, Nature};

/// Cuts in a row: 3, or what `CUTS` says, for hours of searching.
fn cuts() -> usize {
    std::env::var("CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(3)
}

fn search(what: &str, search: &Search) -> Searched {
    let began = Instant::now();
    let searched = search.run();
    println!(
        "{what}: {} cuts, {} media left by them, {} lived from, {:.1} s{}",
        searched.cuts,
        searched.left,
        searched.media,
        began.elapsed().as_secs_f64(),
        searched.violation.as_deref().map(|words| format!(": {words}")).unwrap_or_default(),
    );
    searched
}

#[test]
fn no_cut_loses_a_box_whatever_the_new_version_does() {
    for nature in Nature::ALL {
        let searched = search(&format!("{nature:?}"), &Search::of(Make::real(nature), cuts()));
        assert_eq!(searched.violation, None, "{nature:?}");
    }
}
