use super::*;

fn axis(from: f64, to: f64, unit: Unit) -> Axis {
    Axis::linear("a", unit, from, to)
}

fn labels(axis: &Axis, count: usize) -> Vec<String> {
    let step = axis.step(count);
    let ticks = axis.ticks(count);
    ticks.iter().map(|&tick| axis.text(tick, step)).collect()
}

#[test]
fn ticks_are_round_and_inside() {
    assert_eq!(
        axis(0.0, 10.0, Unit::Number).ticks(5),
        [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    );
    assert_eq!(
        labels(&axis(0.0, 0.9, Unit::Seconds), 3),
        ["0 ms", "500 ms"]
    );
    assert_eq!(
        labels(&axis(0.0, 2.2, Unit::Seconds), 5),
        ["0.0 s", "0.5 s", "1.0 s", "1.5 s", "2.0 s"]
    );
    assert_eq!(
        labels(&axis(1.2341, 1.2349, Unit::Seconds), 4),
        ["1.2342 s", "1.2344 s", "1.2346 s", "1.2348 s"]
    );
    assert_eq!(
        labels(&axis(0.0, 3e6, Unit::Bytes), 3),
        ["0 MB", "1 MB", "2 MB", "3 MB"]
    );
    assert_eq!(
        labels(&axis(0.0, 25e6, Unit::BitsPerSecond), 2),
        ["0 Mbit/s", "20 Mbit/s"]
    );
    assert_eq!(labels(&axis(0.0, 0.05, Unit::Percent), 2), ["0 %", "5 %"]);
    let log = Axis::log("a", Unit::Seconds, 0.001, 10.0);
    assert_eq!(labels(&log, 5).first().map(String::as_str), Some("1 ms"));
    assert_eq!(labels(&log, 5).last().map(String::as_str), Some("10 s"));
    for (from, to) in [(0.0, 1e-9), (5.0, 5.0), (-3.0, 4.0), (1e15, 1e15 + 7.0)] {
        let axis = axis(from, to, Unit::Number);
        let ticks = axis.ticks(8);
        assert!(ticks.len() <= 17 && !ticks.is_empty(), "{ticks:?}");
        let inside = axis.from - 1e-6 * axis.from.abs()..=axis.to + 1e-6 * axis.to.abs();
        assert!(ticks.iter().all(|tick| inside.contains(tick)), "{ticks:?}");
    }
}

#[test]
fn values_lie_where_they_belong() {
    let linear = axis(10.0, 20.0, Unit::Number);
    assert_eq!(
        [10.0, 15.0, 20.0].map(|it| linear.place(it, 0.0, 100.0)),
        [0.0, 50.0, 100.0]
    );
    let log = Axis::log("a", Unit::Number, 1.0, 100.0);
    assert!((log.place(10.0, 0.0, 100.0) - 50.0).abs() < 1e-9);
    // Even nonsense has a place that can be written.
    for value in [0.0, -1.0, f64::MAX] {
        assert!(log.place(value, 0.0, 100.0).is_finite());
    }
    assert_eq!(number(f64::NAN), "0");
    assert_eq!(number(-0.001), "0");
    assert_eq!(number(12.345), "12.35");
}

fn chart(series: Vec<Series>) -> Chart {
    let mut chart = Chart::new(
        "a <chart>",
        axis(0.0, 10.0, Unit::Seconds),
        axis(0.0, 10.0, Unit::Bytes),
    );
    chart.series = series;
    chart.marks.push(Mark {
        at: vec![1.0, 1.000_001, 5.0],
        color: Color::Red,
        name: "a & b".into(),
    });
    chart.bands.push(Band {
        from: 2.0,
        to: 3.0,
        color: Color::Grey,
        name: "dark".into(),
    });
    chart
}

/// Places named by absolute commands.
fn places(svg: &str, class: &str) -> usize {
    let document = roxmltree::Document::parse(svg).unwrap();
    let has = |node: &roxmltree::Node<'_, '_>| {
        node.attribute("class")
            .is_some_and(|it| it.split(' ').any(|it| it == class))
    };
    let path = document.descendants().find(has).unwrap();
    path.attribute("d")
        .unwrap()
        .matches(['M', 'L', 'H'])
        .count()
}

#[test]
fn a_chart_is_well_formed_and_draws_every_value() {
    let points: Vec<_> = (0..11).map(|n| (f64::from(n), f64::from(n))).collect();
    let shapes = [
        Shape::Line,
        Shape::Steps,
        Shape::Dashes,
        Shape::Dots,
        Shape::Crosses,
        Shape::Rings,
    ];
    for shape in shapes {
        let chart = chart(vec![Series::new("<s>", Color::Blue, shape, points.clone())]);
        assert_eq!(places(&chart.svg(), "series"), 11, "{shape:?}");
        assert_eq!(places(&chart.svg(), "mark"), 2);
        let figure = chart.figure("caption");
        let document = roxmltree::Document::parse(&figure).unwrap();
        let entries = document.descendants().filter(|it| it.has_tag_name("li"));
        assert_eq!(entries.count(), 3);
        assert!(!figure.contains("<s>"));
    }
    let bars = Series::bars("bars", Color::Blue, &[(1.0, 2.0, 3.0), (2.0, 3.0, 4.0)]);
    assert_eq!(places(&chart(vec![bars]).svg(), "series"), 2);
    let empty = Series::new("none", Color::Blue, Shape::Dots, Vec::new());
    assert!(!chart(vec![empty]).svg().contains("series"));
}

#[test]
fn very_many_values_make_no_very_large_picture() {
    let many = |count: u32| {
        (0..count).map(move |n| {
            let x = f64::from(n) * 10.0 / f64::from(count);
            // Up and down many times within a pixel.
            (x, f64::from(n % 97) / 10.0)
        })
    };
    for shape in [Shape::Line, Shape::Steps, Shape::Crosses, Shape::Dots] {
        let svg = chart(vec![Series::new(
            "s",
            Color::Blue,
            shape,
            many(400_000).collect(),
        )])
        .svg();
        assert!(svg.len() < 1_500_000, "{shape:?}: {}", svg.len());
        // The whole height is still there.
        assert!(
            svg.contains(&number(8.0 + 214.0 * (1.0 - 0.96))),
            "{shape:?}"
        );
    }
}

#[test]
fn strips_show_each_kind_once_and_hide_nothing_short() {
    let span = |from: f64, to: f64, name: &str| Span {
        from,
        to,
        color: Color::Blue,
        name: name.into(),
    };
    let strip = Strip {
        title: "t".into(),
        x: axis(0.0, 10.0, Unit::Seconds),
        group: None,
        rows: vec![Row {
            label: "r".into(),
            spans: vec![
                span(0.0, 1.0, "a"),
                span(1.0, 1.000_001, "b"),
                span(1.000_001, 2.0, "a"),
            ],
        }],
    };
    let svg = strip.svg();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let spans: Vec<_> = document
        .descendants()
        .filter(|it| it.attribute("class") == Some("span blue"))
        .collect();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].attribute("d").unwrap().matches('z').count(), 2);
    let hair = spans[1].attribute("d").unwrap();
    assert!(
        hair.starts_with("M202.2 ") && hair.contains("H202.5v"),
        "{hair}"
    );
    assert_eq!(strip.legend().matches("<li").count(), 2);
}
