use super::*;
use crate::plan::{MS, StreamPlan};
use crate::{Scenario, run_traced};
use gapless_link::Profile;

fn picture_of(scenario: &Scenario, title: &Title) -> String {
    let mut trace = Trace::new();
    let _ = run_traced(scenario, &mut trace);
    html(&trace, title)
}

fn plain(path: &str, streams: Vec<StreamPlan>) -> Scenario {
    let path: Profile = path.parse().unwrap();
    Scenario::plain(1, &path, streams)
}

const BAD: &str =
    "loss=3%,delay=20ms,jitter=3ms,reorder=1%,duplicate=1%,rate=20mbit,blackout=500ms+400ms";

fn parsed(page: &str, look: impl FnOnce(&roxmltree::Document<'_>)) {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    look(&roxmltree::Document::parse_with_options(page, options).unwrap());
}

#[test]
fn a_page_is_well_formed_self_contained_and_the_same_each_time() {
    let scenario = plain(
        BAD,
        vec![
            StreamPlan::bulk(600_000, 60_000),
            StreamPlan::bulk(100_000, 0),
        ],
    );
    let title = Title {
        heading: "a run".into(),
        replay: Some("gapless lab".into()),
        failure: None,
    };
    let page = picture_of(&scenario, &title);
    assert_eq!(page, picture_of(&scenario, &title));
    parsed(&page, |document| {
        for node in document.descendants() {
            for attribute in node.attributes() {
                let value = attribute.value();
                let leads_out = ["src", "href", "action"].contains(&attribute.name())
                    && !value.starts_with('#');
                assert!(!leads_out, "{value}");
                assert!(!attribute.name().starts_with("on"), "{}", attribute.name());
            }
            assert!(!["link", "iframe", "img", "object"].contains(&node.tag_name().name()));
            // Every link leads somewhere.
            if let Some(target) = node.attribute("href").and_then(|it| it.strip_prefix('#')) {
                assert!(
                    document
                        .descendants()
                        .any(|it| it.attribute("id") == Some(target))
                );
            }
        }
        let svgs = document
            .descendants()
            .filter(|it| it.attribute("role") == Some("img"));
        assert!(svgs.count() >= 10);
    });
    for words in [
        "No rule was broken",
        "From the dialer to the acceptor",
        "lost on the path",
        "sent again",
        "the path is down",
        "while the path was down",
        "probe timeout",
        "CUBIC",
        "Where it stood still the longest",
        "ssthresh",
        "The same again",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("@import") && !page.contains("url("));
}

/// Losses and repetitions are drawn one by one.
#[test]
fn the_diagram_shows_every_loss() {
    let scenario = plain(BAD, vec![StreamPlan::bulk(600_000, 10)]);
    let mut trace = Trace::new();
    run_traced(&scenario, &mut trace).unwrap();
    let page = html(&trace, &Title::default());
    let lost = trace
        .datagrams()
        .iter()
        .filter(|it| it.sender == 0 && it.fate.lost.is_some());
    let lost = lost
        .flat_map(Datagram::data)
        .filter(|data| !data.range.is_empty())
        .count();
    assert!(lost > 10);
    parsed(&page, |document| {
        let path = document
            .descendants()
            .find(|it| {
                it.attribute("data-of") == Some("lost on the path")
                    && it.tag_name().name() == "path"
            })
            .unwrap();
        assert_eq!(path.attribute("d").unwrap().matches('M').count(), lost);
    });
}

#[test]
fn nothing_that_is_named_becomes_markup() {
    let evil = "</title><script>alert(1)</script>]]>\u{0}\"'";
    let title = Title {
        heading: evil.into(),
        replay: Some(evil.into()),
        failure: Some(format!("{evil}\n{evil}")),
    };
    let page = picture_of(
        &plain("delay=5ms", vec![StreamPlan::bulk(5_000, 10)]),
        &title,
    );
    assert!(!page.contains("<script>alert"));
    parsed(&page, |document| {
        assert_eq!(
            document
                .descendants()
                .filter(|it| it.has_tag_name(("http://www.w3.org/1999/xhtml", "script")))
                .count(),
            1
        );
    });
    assert!(page.contains("A rule was broken"));
}

#[test]
fn a_long_run_makes_no_large_page() {
    let mut trace = Trace::keeping(20_000);
    let mut streams = vec![StreamPlan::bulk(30_000_000, 10)];
    streams.extend([StreamPlan::bulk(20_000, 20_000); 60]);
    run_traced(
        &plain("loss=2%,delay=10ms,rate=100mbit", streams),
        &mut trace,
    )
    .unwrap();
    let page = html(&trace, &Title::default());
    assert!(page.len() < 4_000_000, "{}", page.len());
    parsed(&page, |_| {});
    assert!(page.contains("The run was long"));
}

#[test]
fn a_run_that_breaks_a_rule_is_shown_to_where_it_broke_it() {
    let mut scenario = plain(
        "delay=20ms,rate=8mbit,blackout=300ms+60s",
        vec![StreamPlan::bulk(900_000, 10)],
    );
    scenario.patience = 3_000 * MS;
    let page = picture_of(&scenario, &Title::default());
    parsed(&page, |_| {});
    for words in [
        "A rule was broken",
        "progress once the path delivers",
        "The last packets",
        "did not go on",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let never = html(&Trace::new(), &Title::default());
    assert!(never.contains("Nothing was recorded"));
    parsed(&never, |_| {});
}

#[test]
fn every_seed_can_be_drawn() {
    for seed in 0..12 {
        let page = picture_of(&Scenario::from_seed(seed), &Title::default());
        parsed(&page, |_| {});
        assert!(page.len() < 4_000_000, "seed {seed}: {}", page.len());
    }
}
