//! `chart::svg`: numbers as a picture for mails and pages. Pure; the same rows give the same picture.

mod axis;
mod draw;

use rhai::{Dynamic, Map};
use rust_decimal::prelude::ToPrimitive as _;

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options, type_of};
use super::json::bounded;
use super::lists::plain;
use crate::script::guard;

/// Points of all series: more are no picture.
const MOST_POINTS: usize = 20_000;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "chart::svg",
    params: &["chart: map"],
    options: &[
        Choice::new(
            "kind",
            "string",
            "`\\\"line\\\"`, `\\\"area\\\"`, `\\\"scatter\\\"`, `\\\"bar\\\"` or `\\\"pie\\\"`",
        ),
        Choice::new("rows", "list of map", "the data"),
        Choice::new("x", "string", "the key with the places below: numbers, dates, or names"),
        Choice::new("y", "string or list of string", "the key with the numbers; several: one series each"),
        Choice::new("title", "string", "above"),
        Choice::new("width", "int", "in pixels; 640 unless given"),
        Choice::new("height", "int", "in pixels; 360 unless given"),
    ],
    returns: "string",
    nature: Nature::Pure,
    doc: "A chart as SVG. A row without a number (`()`) leaves a gap. Dates are texts such as `2026-12-24` or times.",
    example: "chart::svg(#{ kind: \"bar\", x: \"month\", y: [\"in\", \"out\"], title: \"Stock\", rows: [#{ month: \"Jan\", \"in\": 4, out: 2 }, #{ month: \"Feb\", \"in\": 6, out: 5 }] })",
    call: svg,
    ..Function::BASE
}];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Line,
    Area,
    Scatter,
    Bar,
    Pie,
}

/// Numbers of one name; `None`: a gap.
struct Series {
    name: String,
    values: Vec<Option<f64>>,
}

/// What is drawn.
struct Chart {
    shape: Shape,
    title: String,
    width: f64,
    height: f64,
    across: axis::Across,
    series: Vec<Series>,
}

fn svg(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let options = call.options(0)?;
    let shape = shape(call, &options)?;
    let rows = options.list("rows")?.ok_or_else(|| call.invalid("needs `rows`, a list of maps"))?;
    let keys = keys(call, &options)?;
    let x = options.text("x")?.ok_or_else(|| call.invalid("needs `x`, the key of what goes below"))?;
    if rows.len().saturating_mul(keys.len()) > MOST_POINTS {
        return Err(call.invalid(format!("there are more than {MOST_POINTS} points; hint: sum them up before")));
    }
    let maps = rows.iter().enumerate().map(|(index, row)| row_of(call, index, row)).collect::<Result<Vec<_>, _>>()?;
    let places =
        maps.iter().map(|row| plain(call, row.get(x.as_str()).unwrap_or(&Dynamic::UNIT))).collect::<Result<_, _>>()?;
    let series = keys.into_iter().map(|key| one_series(call, &maps, &key)).collect::<Result<Vec<_>, _>>()?;
    let chart = Chart {
        shape,
        title: options.text("title")?.unwrap_or_default(),
        width: size(call, &options, "width", 640)?,
        height: size(call, &options, "height", 360)?,
        across: axis::Across::of(places, shape == Shape::Bar || shape == Shape::Pie),
        series,
    };
    if shape == Shape::Pie {
        check_pie(call, &chart)?;
    }
    guard::check()?;
    bounded(call, draw::svg(&chart))
}

fn shape(call: &Call<'_>, options: &Options) -> Result<Shape, Fail> {
    let kinds = ["line", "area", "scatter", "bar", "pie"];
    let kind = options.text("kind")?.unwrap_or_else(|| "line".to_owned());
    Ok(match kind.as_str() {
        "line" => Shape::Line,
        "area" => Shape::Area,
        "scatter" => Shape::Scatter,
        "bar" => Shape::Bar,
        "pie" => Shape::Pie,
        other => {
            let hint = crate::diag::suggest::did_you_mean(other, kinds)
                .unwrap_or_else(|| format!("kinds are {}", kinds.join(", ")));
            return Err(call.invalid(format!("there is no chart of kind {other:?}; hint: {hint}")));
        }
    })
}

fn keys(call: &Call<'_>, options: &Options) -> Result<Vec<String>, Fail> {
    let needed = || call.invalid("needs `y`, the key of the numbers, or a list of keys");
    let keys = match options.get("y").ok_or_else(needed)? {
        list if list.is_array() => options.list("y")?.unwrap_or_default(),
        one => vec![one.clone()],
    };
    let keys = keys.into_iter().map(Dynamic::into_string).collect::<Result<Vec<_>, _>>().map_err(|_| needed())?;
    // Beyond this many, colours cannot be told apart.
    if keys.is_empty() || keys.len() > 20 { Err(call.invalid("takes between 1 and 20 keys as `y`")) } else { Ok(keys) }
}

fn row_of(call: &Call<'_>, index: usize, row: &Dynamic) -> Result<Map, Fail> {
    guard::check()?;
    row.clone()
        .try_cast::<Map>()
        .ok_or_else(|| call.invalid(format!("row {index} must be a map, not {}", type_of(row))))
}

fn one_series(call: &Call<'_>, rows: &[Map], name: &str) -> Result<Series, Fail> {
    let number = |(index, row): (usize, &Map)| {
        let Some(value) = row.get(name).filter(|value| !value.is_unit()) else { return Ok(None) };
        let decimal = || value.as_decimal().ok().and_then(|number| number.to_f64());
        let number = value.as_int().map(|number| number as f64).or_else(|_| value.as_float()).ok().or_else(decimal);
        // Larger ones leave no room to calculate in.
        let fits = number.filter(|number| number.abs() < 1e100);
        let wrong = || call.invalid(format!("row {index}: `{name}` must be a number, not {}", type_of(value)));
        fits.ok_or_else(wrong).map(Some)
    };
    let values = rows.iter().enumerate().map(number).collect::<Result<Vec<_>, Fail>>()?;
    Ok(Series { name: name.to_owned(), values })
}

fn size(call: &Call<'_>, options: &Options, key: &str, default: i64) -> Result<f64, Fail> {
    let given = options.int(key)?.unwrap_or(default);
    let fits = (120..=10_000).contains(&given);
    if fits {
        Ok(given as f64)
    } else {
        Err(call.invalid(format!("option `{key}` lies between 120 and 10000, not {given}")))
    }
}

fn check_pie(call: &Call<'_>, chart: &Chart) -> Result<(), Fail> {
    let [series] = chart.series.as_slice() else { return Err(call.invalid("a pie has one key as `y`")) };
    if series.values.iter().flatten().any(|value| *value < 0.0) {
        return Err(call.invalid("a pie cannot show negative numbers"));
    }
    if series.values.len() > 100 {
        return Err(call.invalid("a pie has at most 100 pieces"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::shown;

    fn chart(rest: &str) -> String {
        shown(&format!("chart::svg(#{{ x: \"d\", y: \"n\", {rest} }})"))
    }

    #[test]
    fn each_kind_draws_its_shapes() {
        let rows = "rows: [#{ d: \"2026-01-01\", n: 1 }, #{ d: \"2026-01-02\", n: () }, #{ d: \"2026-02-01\", n: decimal(\"2.5\") }, #{ d: \"2026-03-01\", n: 4 }]";
        for (kind, mark, count) in [
            ("line", "<polyline", 1),
            ("area", "<polygon", 1),
            ("scatter", "<circle", 3),
            ("bar", "<rect", 4),
            ("pie", "<path", 3),
        ] {
            let svg = chart(&format!("kind: \"{kind}\", {rows}"));
            assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"), "{svg}");
            assert_eq!(svg.matches(mark).count(), count, "{kind}: {svg}");
            assert_eq!(svg, chart(&format!("kind: \"{kind}\", {rows}")), "the same rows give the same picture");
        }
        let svg = chart(&format!("kind: \"line\", {rows}"));
        assert!(svg.contains(">2026-02-"), "dates are ticks: {svg}");
    }

    #[test]
    fn a_line_has_points_where_they_belong() {
        let svg = chart("width: 440, height: 300, rows: [#{ d: 0, n: 0 }, #{ d: 5, n: 50 }, #{ d: 10, n: 100 }]");
        let points = svg.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let places: Vec<f64> = points.split([' ', ',']).map(|number| number.parse().unwrap()).collect();
        assert!((places[2] - f64::midpoint(places[0], places[4])).abs() < 0.2, "the middle is in the middle: {points}");
        assert!(places[5] < places[3] && places[3] < places[1], "more is higher: {points}");
        assert!(svg.contains(">100<") && svg.contains(">60<"), "{svg}");
    }

    #[test]
    fn texts_are_escaped_and_extremes_drawn() {
        let svg =
            chart("kind: \"bar\", title: \"<script>\", rows: [#{ d: \"a&b\", n: -1e99 }, #{ d: \"c\", n: 1e99 }]");
        assert!(
            svg.contains("&lt;script&gt;")
                && svg.contains("a&amp;b")
                && !svg.contains("<script")
                && !svg.contains("NaN"),
            "{svg}"
        );
        for rows in ["[]", "[#{}]", "[#{ d: 1, n: 0 }]", "[#{ d: 1, n: 7 }, #{ d: 1, n: 7 }]"] {
            for kind in ["line", "bar", "pie", "area", "scatter"] {
                let svg = chart(&format!("kind: \"{kind}\", rows: {rows}"));
                assert!(
                    svg.starts_with("<svg") && !svg.contains("NaN") && !svg.contains("inf"),
                    "{kind} {rows}: {svg}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_told() {
        assert!(chart("rows: [#{ n: \"x\" }]").contains("row 0: `n` must be a number"));
        assert!(chart("rows: [#{ n: 1e300 * 1e300 }]").contains("must be a number"));
        assert!(chart("kind: \"lin\", rows: []").contains("did you mean `line`?"));
        assert!(chart("width: 5, rows: []").contains("between 120 and 10000"));
        assert!(chart("kind: \"pie\", rows: [#{ n: -1 }]").contains("negative"));
    }
}
