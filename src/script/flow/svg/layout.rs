//! How large everything is. Lengths are pixels; a block's `anchor` is where the line through it runs, from its left edge.

use super::super::{Block, Graph, Kind, Lane, Node, Shape};
use super::style::{self, Font};

/// Between blocks of a sequence: room for an arrow.
pub(super) const GAP: i32 = 30;
/// Between lanes.
pub(super) const BESIDE: i32 = 20;
/// Around what is in a box.
pub(super) const PAD: i32 = 18;
/// From a condition to its lanes: room for the label of a lane.
pub(super) const FORK: i32 = 42;
/// From the end of lanes to where they join.
pub(super) const JOIN: i32 = 18;
/// The strip beside a loop's body where its arrow goes back.
pub(super) const BACK: i32 = 26;
/// From a box to what undoes it.
pub(super) const ASIDE: i32 = 44;
/// Room at the right for what a run says of the outermost node.
const BADGE: i32 = 110;
/// What an empty lane takes.
const EMPTY: i32 = 28;
/// The widest line of text: longer ones are broken.
const WIDEST: i32 = 300;

/// Text lines of a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) what: String,
    pub(super) label: Vec<String>,
    pub(super) detail: Vec<String>,
    pub(super) w: i32,
    pub(super) h: i32,
}

impl Head {
    fn new(node: &Node) -> Self {
        let what = node.what.to_uppercase();
        let (label, detail) =
            (style::wrap(&node.label, Font::Label, WIDEST), style::wrap(&node.detail, Font::Detail, WIDEST));
        let widths = label.iter().map(|line| style::width(line, Font::Label));
        let widths = widths.chain(detail.iter().map(|line| style::width(line, Font::Detail)));
        let w = widths.chain([style::width(&what, Font::What)]).max().unwrap_or(0) + 28;
        let h = i32::from(!what.is_empty()) * 15 + 18 * label.len() as i32 + 16 * detail.len() as i32 + 18;
        Self { what, label, detail, w: w.max(64), h }
    }
}

/// A block with its measures.
pub(super) struct Laid<'g> {
    pub(super) block: &'g Block,
    pub(super) head: Head,
    pub(super) w: i32,
    pub(super) h: i32,
    pub(super) anchor: i32,
    /// The width of the box or card itself, without what stands aside.
    pub(super) own: i32,
    pub(super) lanes: Vec<LaidLane<'g>>,
    pub(super) undo: Option<(&'g Node, Head)>,
}

/// A sequence with its measures; `x` is where it lies in its block.
pub(super) struct LaidLane<'g> {
    pub(super) lane: &'g Lane,
    pub(super) label: String,
    pub(super) blocks: Vec<Laid<'g>>,
    pub(super) x: i32,
    pub(super) w: i32,
    pub(super) h: i32,
    pub(super) anchor: i32,
}

/// The whole picture.
pub(super) struct Page<'g> {
    pub(super) triggers: Vec<(&'g Node, Head)>,
    pub(super) start: Head,
    pub(super) body: LaidLane<'g>,
    pub(super) end: Option<(&'g Node, Head)>,
    pub(super) w: i32,
    pub(super) h: i32,
    /// Where the main line runs.
    pub(super) anchor: i32,
}

pub(super) fn page(graph: &Graph) -> Page<'_> {
    let triggers: Vec<_> = graph.triggers.iter().map(|node| (node, Head::new(node))).collect();
    let start = Head::new(&graph.start);
    let body = lane(&graph.body);
    let end = graph.end.as_ref().map(|node| (node, Head::new(node)));
    let row = triggers.iter().map(|(_, head)| head.w + BESIDE).sum::<i32>() - BESIDE;
    let centred = [row, start.w, end.as_ref().map_or(0, |(_, head)| head.w)].into_iter().max().unwrap_or(0);
    let left = body.anchor.max((centred + 1) / 2);
    let right = (body.w - body.anchor).max((centred + 1) / 2);
    let top = triggers.iter().map(|(_, head)| head.h + GAP).max().unwrap_or(0);
    let tail = end.as_ref().map_or(0, |(_, head)| head.h + GAP);
    let middle = if body.blocks.is_empty() { 0 } else { body.h + GAP };
    let h = PAD + top + start.h + middle + tail + PAD;
    let badges = if graph.start.mark.is_some() { BADGE } else { 0 };
    Page { triggers, start, body, end, w: left + right + 2 * PAD + badges, h, anchor: left + PAD }
}

fn lane(lane: &Lane) -> LaidLane<'_> {
    let blocks: Vec<_> = lane.blocks.iter().map(block).collect();
    let left = blocks.iter().map(|block| block.anchor).max().unwrap_or(EMPTY / 2);
    let right = blocks.iter().map(|block| block.w - block.anchor).max().unwrap_or(EMPTY / 2);
    let h = blocks.iter().map(|block| block.h + GAP).sum::<i32>() - if blocks.is_empty() { 0 } else { GAP };
    let mut lines = style::wrap(&lane.label, Font::Detail, WIDEST / 2).into_iter();
    let mut label = lines.next().unwrap_or_default();
    if lines.next().is_some() {
        label.push('…');
    }
    LaidLane { lane, label, blocks, x: 0, w: left + right, h, anchor: left }
}

fn block(block: &Block) -> Laid<'_> {
    let head = Head::new(&block.node);
    let lanes: Vec<_> = block.lanes.iter().map(lane).collect();
    let undo = block.undo.as_ref().map(|node| (node, Head::new(node)));
    let (w, h) = (head.w, head.h);
    let mut laid = Laid { block, head, w, h, anchor: w / 2, own: w, lanes, undo };
    match block.shape {
        Shape::Leaf => {}
        Shape::Inside => inside(&mut laid),
        Shape::Beside => beside(&mut laid),
        Shape::Choice => choice(&mut laid),
    }
    if let Some((_, head)) = &laid.undo {
        laid.w = laid.own + ASIDE + head.w;
        laid.h = laid.h.max(head.h);
    }
    laid
}

fn inside(laid: &mut Laid) {
    let back = if laid.block.node.kind == Kind::Loop { BACK } else { 0 };
    let lane = &mut laid.lanes[0];
    laid.w = laid.head.w.max(lane.w + 2 * PAD + back);
    lane.x = (laid.w - lane.w - back) / 2;
    laid.anchor = lane.x + lane.anchor;
    laid.own = laid.w;
    laid.h = laid.head.h + lane.h + PAD + if back > 0 { 2 * JOIN } else { 0 };
}

/// Height of the title of a lane.
pub(super) const TITLE: i32 = 30;

fn beside(laid: &mut Laid) {
    let mut x = PAD;
    for lane in &mut laid.lanes {
        let title = lane.lane.node.as_ref().map_or(0, |node| style::width(&node.label, Font::Detail));
        let w = (lane.w + 2 * PAD).max(title + 2 * PAD);
        lane.anchor += (w - lane.w) / 2;
        (lane.x, lane.w) = (x, w);
        x += w + BESIDE;
    }
    let total = x - BESIDE + PAD;
    laid.w = laid.head.w.max(total);
    let shift = (laid.w - total) / 2;
    laid.lanes.iter_mut().for_each(|lane| lane.x += shift);
    let tallest = laid.lanes.iter().map(|lane| lane.h).max().unwrap_or(0);
    laid.h = laid.head.h + TITLE + tallest + 2 * PAD;
    (laid.own, laid.anchor) = (laid.w, laid.w / 2);
}

/// The lane that goes straight on, when all others leave.
pub(super) fn straight(block: &Block) -> Option<usize> {
    let mut going = block.lanes.iter().enumerate().filter(|(_, lane)| !lane.leaves()).map(|(index, _)| index);
    let first = going.next()?;
    (going.next().is_none() && block.lanes.len() > 1).then_some(first)
}

fn choice(laid: &mut Laid) {
    // The sides of a hexagon slant.
    let half = laid.head.w / 2 + 16;
    let straight = straight(laid.block);
    let mut order: Vec<usize> = (0..laid.lanes.len()).collect();
    if let Some(first) = straight {
        order.retain(|index| *index != first);
        order.insert(0, first);
    }
    let apart = if straight.is_some() { half + BESIDE } else { 2 * half + BESIDE };
    let few = order.len() == 2 || straight.is_some();
    let (mut x, mut first) = (0, None);
    for (nth, index) in order.iter().enumerate() {
        let lane = &mut laid.lanes[*index];
        if let (Some(first), 1, true) = (first, nth, few) {
            x = x.max(first + apart - lane.anchor);
        }
        let room = (style::width(&lane.label, Font::Detail) + 16 - (lane.w - lane.anchor)).max(0);
        lane.x = x;
        first = first.or(Some(x + lane.anchor));
        x += lane.w + room + BESIDE + 8;
    }
    let at = |lane: &LaidLane| lane.x + lane.anchor;
    let line = match straight {
        Some(index) => at(&laid.lanes[index]),
        None => i32::midpoint(at(&laid.lanes[order[0]]), at(&laid.lanes[order[order.len() - 1]])),
    };
    let shift = (half - line).max(0);
    laid.lanes.iter_mut().for_each(|lane| lane.x += shift);
    laid.anchor = line + shift;
    laid.own = 2 * half;
    laid.w = (x - BESIDE - 8 + shift).max(laid.anchor + half);
    let tallest = laid.lanes.iter().map(|lane| lane.h).max().unwrap_or(0);
    laid.h = laid.head.h + FORK + tallest + if laid.block.leaves { 0 } else { JOIN };
}
