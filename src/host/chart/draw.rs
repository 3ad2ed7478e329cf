//! The picture itself.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use super::axis::{Across, bounds, number, ticks};
use super::{Chart, Shape};
use crate::host::html::escaped;

/// Colours that can be told apart, also by most who see few.
const COLOURS: [&str; 10] =
    ["#3366cc", "#dc7b1e", "#2a9d5c", "#c0392b", "#8e5bb5", "#7a6652", "#d868a8", "#6b7280", "#b5a11c", "#1fa3b8"];

/// Room around the plot.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 40.0;

struct Plot<'a> {
    chart: &'a Chart,
    top: f64,
    least: f64,
    most: f64,
    /// Least and largest of what goes below.
    from: f64,
    to: f64,
    out: String,
}

/// A chart as SVG.
pub(super) fn svg(chart: &Chart) -> String {
    let (width, height) = (chart.width, chart.height);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n"
    );
    if !chart.title.is_empty() {
        let title = escaped(&chart.title);
        let _ = writeln!(out, "<title>{title}</title>");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"22\" text-anchor=\"middle\" font-size=\"16\">{title}</text>",
            place(width / 2.0)
        );
    }
    let mut top = if chart.title.is_empty() { 16.0 } else { 40.0 };
    if chart.shape == Shape::Pie {
        pie(chart, top, &mut out);
    } else {
        if chart.series.len() > 1 {
            legend(chart, top, &mut out);
            top += 20.0;
        }
        out.push_str(&plot(chart, top));
    }
    out.push_str("</svg>\n");
    out
}

/// A place in the picture, to a tenth of a pixel.
fn place(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return escaped(text);
    }
    let short: String = text.chars().take(longest.saturating_sub(1)).collect();
    format!("{}…", escaped(&short))
}

fn legend(chart: &Chart, y: f64, out: &mut String) {
    let room = (chart.width - LEFT - RIGHT) / chart.series.len() as f64;
    for (index, series) in chart.series.iter().enumerate() {
        let x = place(LEFT + room * index as f64);
        let name = cut(&series.name, (room / 8.0) as usize);
        let _ = writeln!(out, "<circle cx=\"{}\" cy=\"{}\" r=\"5\" fill=\"{}\"/>", x + 5.0, y - 4.0, colour(index));
        let _ = writeln!(out, "<text x=\"{}\" y=\"{y}\">{name}</text>", x + 14.0);
    }
}

fn plot(chart: &Chart, top: f64) -> String {
    let numbers = chart.series.iter().flat_map(|series| series.values.iter().flatten().copied());
    let (mut least, mut most) = bounds(numbers);
    if matches!(chart.shape, Shape::Bar | Shape::Area) {
        (least, most) = (least.min(0.0), most.max(0.0));
    }
    let ticks = ticks(least, most);
    let (low, high) = bounds(ticks.iter().copied().chain([least, most]));
    let (from, to) = match &chart.across {
        Across::Numbers { values, .. } => bounds(values.iter().copied()),
        Across::Names(names) => (0.0, names.len().max(1) as f64),
    };
    let mut plot = Plot { chart, top, least: low, most: high, from, to, out: String::new() };
    plot.grid(&ticks);
    plot.below();
    for index in 0..chart.series.len() {
        match chart.shape {
            Shape::Bar => plot.bars(index),
            Shape::Scatter => plot.dots(index),
            _ => plot.lines(index),
        }
    }
    plot.out
}

impl Plot<'_> {
    fn y(&self, value: f64) -> f64 {
        let bottom = self.chart.height - BOTTOM;
        let span = self.most - self.least;
        let part = if span > 0.0 { (value - self.least) / span } else { 0.5 };
        place(bottom - part * (bottom - self.top))
    }

    fn x(&self, value: f64) -> f64 {
        let span = self.to - self.from;
        let part = if span > 0.0 { (value - self.from) / span } else { 0.5 };
        place(LEFT + part * (self.chart.width - LEFT - RIGHT))
    }

    fn x_of(&self, row: usize) -> f64 {
        match &self.chart.across {
            Across::Numbers { values, .. } => self.x(values[row]),
            Across::Names(_) => self.x(row as f64 + 0.5),
        }
    }

    fn grid(&mut self, ticks: &[f64]) {
        let right = self.chart.width - RIGHT;
        for tick in ticks {
            let y = self.y(*tick);
            let line = if *tick == 0.0 { "#888" } else { "#ddd" };
            let _ = writeln!(self.out, "<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\" stroke=\"{line}\"/>");
            let text = number(*tick);
            let _ = writeln!(
                self.out,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{text}</text>",
                LEFT - 8.0,
                place(y + 4.0)
            );
        }
    }

    fn below(&mut self) {
        let ticks: Vec<(f64, String)> = match &self.chart.across {
            Across::Numbers { ticks, .. } => ticks.iter().map(|(at, text)| (self.x(*at), escaped(text))).collect(),
            Across::Names(names) => {
                let room = (self.chart.width - LEFT - RIGHT) / names.len().max(1) as f64;
                // A name takes some 60 pixels; where they do not fit, every n-th is shown.
                let every = (60.0 / room).ceil().max(1.0) as usize;
                let longest = (room * every as f64 / 7.0) as usize;
                let shown = names.iter().enumerate().step_by(every);
                shown.map(|(row, name)| (self.x(row as f64 + 0.5), cut(name, longest.max(2)))).collect()
            }
        };
        let y = self.chart.height - BOTTOM;
        for (x, text) in ticks {
            let _ = writeln!(self.out, "<line x1=\"{x}\" y1=\"{y}\" x2=\"{x}\" y2=\"{}\" stroke=\"#888\"/>", y + 5.0);
            let _ = writeln!(self.out, "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", y + 19.0);
        }
    }

    fn bars(&mut self, index: usize) {
        let series = self.chart.series.len() as f64;
        let count = self.chart.series[index].values.len().max(1) as f64;
        let room = (self.chart.width - LEFT - RIGHT) / count * 0.8;
        let width = room / series;
        let zero = self.y(0.0);
        for (row, value) in self.chart.series[index].values.iter().enumerate() {
            // An empty bar keeps its place in the picture, so that bars and rows go together.
            let y = self.y(value.unwrap_or(0.0));
            let x = place(self.x_of(row) - room / 2.0 + width * index as f64);
            let (top, height) = (y.min(zero), place((y - zero).abs()));
            let fill = colour(index);
            let shown = value.map_or(String::new(), number);
            let _ = writeln!(
                self.out,
                "<rect x=\"{x}\" y=\"{top}\" width=\"{}\" height=\"{height}\" fill=\"{fill}\"><title>{shown}</title></rect>",
                place(width)
            );
        }
    }

    fn dots(&mut self, index: usize) {
        for (row, value) in self.chart.series[index].values.iter().enumerate() {
            if let Some(value) = value {
                let (x, y) = (self.x_of(row), self.y(*value));
                let _ = writeln!(
                    self.out,
                    "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"{}\" fill-opacity=\"0.8\"/>",
                    colour(index)
                );
            }
        }
    }

    /// One line for each stretch without a gap; a single point is a dot.
    fn lines(&mut self, index: usize) {
        let points: Vec<Option<(f64, f64)>> = {
            let values = &self.chart.series[index].values;
            values.iter().enumerate().map(|(row, value)| value.map(|value| (self.x_of(row), self.y(value)))).collect()
        };
        let (fill, zero) = (colour(index), self.y(0.0_f64.clamp(self.least, self.most)));
        for stretch in points.split(Option::is_none) {
            let stretch: Vec<(f64, f64)> = stretch.iter().flatten().copied().collect();
            match stretch.as_slice() {
                [] => {}
                [(x, y)] => {
                    let _ = writeln!(self.out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{fill}\"/>");
                }
                [first, .., last] => {
                    let text = stretch.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ");
                    if self.chart.shape == Shape::Area {
                        let _ = writeln!(
                            self.out,
                            "<polygon points=\"{},{zero} {text} {},{zero}\" fill=\"{fill}\" fill-opacity=\"0.25\"/>",
                            first.0, last.0
                        );
                    }
                    let _ = writeln!(
                        self.out,
                        "<polyline points=\"{text}\" fill=\"none\" stroke=\"{fill}\" stroke-width=\"2\"/>"
                    );
                }
            }
        }
    }
}

fn pie(chart: &Chart, top: f64, out: &mut String) {
    let names = match &chart.across {
        Across::Names(names) => names.clone(),
        Across::Numbers { .. } => Vec::new(),
    };
    let values: Vec<f64> =
        chart.series.iter().flat_map(|series| &series.values).map(|value| value.unwrap_or(0.0)).collect();
    let total: f64 = values.iter().sum();
    let radius = ((chart.height - top - 16.0) / 2.0).min(chart.width / 4.0).max(10.0);
    let (cx, cy) = (place(chart.width / 3.0), place(top + radius));
    let point = |part: f64| {
        let angle = part * TAU;
        (place(cx + radius * angle.sin()), place(cy - radius * angle.cos()))
    };
    let (mut from, mut line) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let part = value / total;
        // A whole circle has no arc from its begin to its end.
        let to = (from + part).min(from + 0.9999);
        let ((x1, y1), (x2, y2)) = (point(from), point(to));
        let large = i32::from(part > 0.5);
        let fill = colour(index);
        let r = place(radius);
        let _ = writeln!(
            out,
            "<path d=\"M{cx},{cy} L{x1},{y1} A{r},{r} 0 {large} 1 {x2},{y2} Z\" fill=\"{fill}\" stroke=\"#fff\"/>"
        );
        let (x, y) = (place(chart.width * 0.62), place(top + 14.0 + line * 18.0));
        let name = cut(names.get(index).map_or("", String::as_str), ((chart.width * 0.38) / 8.0) as usize);
        let _ = writeln!(out, "<circle cx=\"{x}\" cy=\"{}\" r=\"5\" fill=\"{fill}\"/>", place(y - 4.0));
        let _ = writeln!(out, "<text x=\"{}\" y=\"{y}\">{name} {:.1} %</text>", place(x + 12.0), part * 100.0);
        from += part;
        line += 1.0;
    }
}
