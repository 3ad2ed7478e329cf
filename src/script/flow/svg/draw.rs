//! Everything into its place.

use std::fmt::Write;

use super::super::run::State;
use super::super::{Graph, Kind, Node, Shape};
use super::layout::{ASIDE, BACK, BESIDE, FORK, GAP, Head, JOIN, Laid, LaidLane, PAD, Page, TITLE, straight};
use super::{escaped, style};

struct Draw {
    svg: String,
    /// A run is shown: what it did not reach is pale.
    run: bool,
}

pub(super) fn page(page: &Page, graph: &Graph) -> String {
    let mut draw = Draw { svg: String::new(), run: graph.start.mark.is_some() };
    let (w, h) = (page.w, page.h);
    let name = escaped(&graph.workflow);
    let _ = write!(
        draw.svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
         aria-label=\"flow of {name}\">\n<title>{name}</title>\n<style>{}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto-start-reverse\"><path class=\"tip\" d=\"M0 0L8 4L0 8Z\"/></marker></defs>\n\
         <rect class=\"ground\" width=\"{w}\" height=\"{h}\"/>\n",
        style::sheet(),
    );
    draw.column(page, graph);
    draw.svg.push_str("</svg>\n");
    draw.svg
}

impl Draw {
    fn column(&mut self, page: &Page, graph: &Graph) {
        let mut y = PAD;
        if !page.triggers.is_empty() {
            y = self.triggers(page, y);
        }
        self.pill(&graph.start, &page.start, page.anchor - page.start.w / 2, y);
        y += page.start.h;
        if !page.body.blocks.is_empty() {
            self.arrow(page.anchor, y, y + GAP);
            self.lane(&page.body, page.anchor - page.body.anchor, y + GAP);
            y += GAP + page.body.h;
        }
        if let Some((node, head)) = &page.end {
            self.arrow(page.anchor, y, y + GAP);
            self.pill(node, head, page.anchor - head.w / 2, y + GAP);
        }
    }

    fn triggers(&mut self, page: &Page, y: i32) -> i32 {
        let row = page.triggers.iter().map(|(_, head)| head.w + BESIDE).sum::<i32>() - BESIDE;
        let tallest = page.triggers.iter().map(|(_, head)| head.h).max().unwrap_or(0);
        let (mut x, below) = (page.anchor - row / 2, y + tallest + GAP);
        for (node, head) in &page.triggers {
            let middle = if page.triggers.len() == 1 { page.anchor } else { x + head.w / 2 };
            self.elbow((middle, y + head.h), below - 13, (page.anchor, below), true);
            self.card(node, head, x, y, 6);
            x += head.w + BESIDE;
        }
        below
    }

    fn lane(&mut self, lane: &LaidLane, x: i32, mut y: i32) {
        let middle = x + lane.anchor;
        for (index, laid) in lane.blocks.iter().enumerate() {
            if index > 0 {
                self.arrow(middle, y, y + GAP);
                y += GAP;
            }
            self.block(laid, middle - laid.anchor, y);
            y += laid.h;
        }
    }

    fn block(&mut self, laid: &Laid, x: i32, y: i32) {
        let node = &laid.block.node;
        match laid.block.shape {
            Shape::Leaf if matches!(node.kind, Kind::Return | Kind::Throw | Kind::Break | Kind::Continue) => {
                self.pill(node, &laid.head, x, y);
            }
            Shape::Leaf => {
                self.card(node, &laid.head, x, y, 6);
                // Beside something taller, the line goes on.
                if laid.h > laid.head.h {
                    self.line(x + laid.anchor, y + laid.head.h, y + laid.h);
                }
            }
            Shape::Inside => self.inside(laid, x, y),
            Shape::Beside => self.beside(laid, x, y),
            Shape::Choice => self.choice(laid, x, y),
        }
        if let Some((undo, head)) = &laid.undo {
            let (from, to) = (x + laid.own, x + laid.own + ASIDE);
            let middle = y + head.h / 2;
            self.path(&format!("M{from} {middle}H{to}"), "line dashed", true);
            self.card(undo, head, to, y, 6);
        }
    }

    fn inside(&mut self, laid: &Laid, x: i32, y: i32) {
        let lane = &laid.lanes[0];
        let is_loop = laid.block.node.kind == Kind::Loop;
        self.framed(&laid.block.node, &laid.head, (x, y, laid.own, laid.h));
        let top = y + laid.head.h + if is_loop { JOIN } else { 0 };
        if is_loop && !lane.lane.leaves() {
            let (middle, bottom, right) = (x + laid.anchor, top + lane.h, x + lane.x + lane.w + BACK);
            let (low, high) = (bottom + JOIN - 4, top - JOIN + 4);
            self.path(&format!("M{middle} {bottom}V{low}H{right}V{high}H{middle}V{top}"), "line", true);
        }
        self.lane(lane, x + lane.x, top);
    }

    fn beside(&mut self, laid: &Laid, x: i32, y: i32) {
        let node = &laid.block.node;
        self.framed(node, &laid.head, (x, y, laid.own, laid.h));
        let (top, height) = (y + laid.head.h, laid.h - laid.head.h - PAD);
        let mut before: Option<i32> = None;
        for lane in &laid.lanes {
            let left = x + lane.x;
            if let Some(inner) = &lane.lane.node {
                let class = if node.kind == Kind::Try { "plain" } else { "side" };
                self.open(inner, class);
                let _ = write!(
                    self.svg,
                    "<rect class=\"box\" x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{height}\" rx=\"6\"/>\
                     <text class=\"detail\" x=\"{}\" y=\"{}\">{}</text>",
                    lane.w,
                    left + 12,
                    top + 19,
                    escaped(&inner.label),
                );
                self.close();
            }
            if let (Some(before), Kind::Try) = (before, node.kind) {
                self.path(&format!("M{before} {}H{left}", top + 15), "line dashed", true);
            }
            before = Some(left + lane.w);
            self.lane(lane, left, top + TITLE);
        }
    }

    fn choice(&mut self, laid: &Laid, x: i32, y: i32) {
        let (line, below) = (x + laid.anchor, y + laid.head.h);
        let (half, middle, top, bottom) = (laid.own / 2, y + laid.head.h / 2, below + FORK, y + laid.h);
        let straight = straight(laid.block);
        let mut cases = Vec::new();
        for (index, lane) in laid.lanes.iter().enumerate() {
            let at = x + lane.x + lane.anchor;
            let (from_side, tip) = ((at - line).abs() > half, !lane.blocks.is_empty());
            let end = if tip { top } else { bottom };
            if straight == Some(index) || at == line {
                self.path(&format!("M{line} {below}V{end}"), "line", tip);
            } else if from_side {
                let side = line + half * (at - line).signum();
                self.path(&format!("M{side} {middle}H{at}V{}", if tip { top } else { bottom - 6 }), "line", tip);
            } else {
                self.elbow((line, below), below + 10, (at, if tip { top } else { bottom - 6 }), tip);
            }
            cases.push((at + 6, top - 10, &lane.label));
            self.lane(lane, x + lane.x, top);
            if !lane.lane.leaves() && (tip || at != line) {
                self.rejoin(at, if tip { top + lane.h } else { bottom - 6 }, (line, bottom));
            }
        }
        self.hexagon(&laid.block.node, &laid.head, line - half, y);
        for (x, y, label) in cases {
            let _ = writeln!(self.svg, "<text class=\"case\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(label));
        }
    }

    /// From the end of a lane back to the line.
    fn rejoin(&mut self, at: i32, from: i32, (line, bottom): (i32, i32)) {
        if at == line {
            self.line(line, from, bottom);
        } else {
            self.path(&format!("M{at} {from}V{}H{line}V{bottom}", bottom - 6), "line", false);
        }
    }

    fn hexagon(&mut self, node: &Node, head: &Head, x: i32, y: i32) {
        let (w, h) = (head.w + 32, head.h);
        let (right, low, mid) = (x + w, y + h, y + h / 2);
        self.open(node, style::class(node.kind));
        let _ = write!(
            self.svg,
            "<path class=\"card\" d=\"M{x} {mid}L{} {y}H{}L{right} {mid}L{} {low}H{}Z\"/>",
            x + 14,
            right - 14,
            right - 14,
            x + 14,
        );
        self.text(head, x + w / 2, y, "middle");
        self.close();
    }

    fn card(&mut self, node: &Node, head: &Head, x: i32, y: i32, radius: i32) {
        let dashed = if node.kind == Kind::Undo || node.kind == Kind::Exit { " dashed" } else { "" };
        self.open(node, style::class(node.kind));
        let _ = write!(
            self.svg,
            "<rect class=\"card{dashed}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"{radius}\"/>",
            head.w, head.h,
        );
        self.text(head, x + head.w / 2, y, "middle");
        self.badge(node, x + head.w, y);
        self.close();
    }

    fn pill(&mut self, node: &Node, head: &Head, x: i32, y: i32) {
        self.card(node, head, x, y, (head.h / 2).min(24));
    }

    /// A box with its head at the top left.
    fn framed(&mut self, node: &Node, head: &Head, (x, y, w, h): (i32, i32, i32, i32)) {
        self.open(node, style::class(node.kind));
        let _ = write!(self.svg, "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"8\"/>");
        self.text(head, x + 14, y, "start");
        self.badge(node, x + w, y);
        self.close();
    }

    fn text(&mut self, head: &Head, x: i32, y: i32, side: &str) {
        let mut base = y + 6;
        let what = std::slice::from_ref(&head.what);
        let what = if head.what.is_empty() { &[] } else { what };
        for (class, lines, height) in [("what", what, 15), ("label", &head.label, 18), ("detail", &head.detail, 16)] {
            for line in lines {
                base += height;
                let text = escaped(line);
                let _ = write!(
                    self.svg,
                    "<text class=\"{class}\" x=\"{x}\" y=\"{}\" text-anchor=\"{side}\">{text}</text>",
                    base - 3
                );
            }
        }
    }

    /// What a run made of it, at the top right corner.
    fn badge(&mut self, node: &Node, right: i32, y: i32) {
        let Some(mark) = &node.mark else { return };
        let (sign, class) = match mark.state {
            State::Done => ("✓", "go"),
            State::Failed => ("✗", "bad"),
            State::Open => ("…", "wait"),
        };
        let mut text = sign.to_owned();
        if mark.took_ms > 0 {
            text.push_str(&format!(" {}", lasted(mark.took_ms)));
        }
        if mark.attempts > 1 {
            text.push_str(&format!(" · attempt {}", mark.attempts));
        }
        if mark.times > 1 {
            text.push_str(&format!(" · {}×", mark.times));
        }
        let w = style::width(&text, style::Font::Detail) + 14;
        let left = right - 14;
        let _ = write!(
            self.svg,
            "<g class=\"{class}\"><rect class=\"card\" x=\"{left}\" y=\"{}\" width=\"{w}\" height=\"18\" rx=\"9\"/>\
             <text class=\"detail\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{text}</text></g>",
            y - 13,
            left + w / 2,
            y,
        );
    }

    /// A node begins: a link to its line, with all that it says.
    fn open(&mut self, node: &Node, class: &str) {
        let tellable = matches!(
            node.kind,
            Kind::Step | Kind::Call | Kind::Wait | Kind::Task | Kind::Emit | Kind::Child | Kind::State | Kind::Undo
        );
        let state = match (&node.mark, self.run && tellable) {
            (Some(_), _) => " reached",
            (None, true) => " off",
            (None, false) => "",
        };
        let parts = [&node.what, &node.label, &node.detail].into_iter().filter(|part| !part.is_empty());
        let said = parts.map(String::as_str).collect::<Vec<_>>().join(" · ");
        let place = if node.line == 0 { String::new() } else { format!(" ({}:{})", node.file, node.line) };
        let _ = write!(
            self.svg,
            "<a href=\"#L{0}\" data-line=\"{0}\" data-id=\"{1}\" class=\"{class}{state}\"><title>{2}</title>",
            node.line,
            node.id,
            escaped(&format!("{said}{place}")),
        );
    }

    fn close(&mut self) {
        self.svg.push_str("</a>\n");
    }

    fn arrow(&mut self, x: i32, from: i32, to: i32) {
        self.path(&format!("M{x} {from}V{to}"), "line", true);
    }

    fn line(&mut self, x: i32, from: i32, to: i32) {
        self.path(&format!("M{x} {from}V{to}"), "line", false);
    }

    fn elbow(&mut self, (x, y): (i32, i32), turn: i32, (to, end): (i32, i32), tip: bool) {
        self.path(&format!("M{x} {y}V{turn}H{to}V{end}"), "line", tip);
    }

    fn path(&mut self, d: &str, class: &str, tip: bool) {
        let tip = if tip { " marker-end=\"url(#tip)\"" } else { "" };
        let _ = writeln!(self.svg, "<path class=\"{class}\" d=\"{d}\"{tip}/>");
    }
}

/// `350 ms`, `1.2 s`, `3 min`, `2 h`, `4 d`.
fn lasted(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        3_600_000..86_400_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}
