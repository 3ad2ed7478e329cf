//! W3C trace context: which trace a run belongs to, and what it tells those that it calls.
//!
//! A run that was started with a `traceparent` belongs to that trace; its trigger keeps the header, once. Any other run is the
//! root of a trace whose id is the run's own. The ids of spans are derived from run, place and attempt, so that a replay
//! gives the same ones. Pure: no clock, no chance.

use std::fmt;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::id::RunId;
use crate::payload::Payload;

/// The header, and the field of a trigger that keeps it.
pub const PARENT: &str = "traceparent";
/// The header of vendors' own data, and the field of a trigger that keeps it.
pub const STATE: &str = "tracestate";
/// Bytes of a `tracestate` that are kept: what the standard asks to be handed on at least.
const STATE_MOST: usize = 512;
/// What runs of their own traces say: they are recorded.
const SAMPLED: u8 = 1;

/// The id of a trace: 32 digits in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceId(pub [u8; 16]);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The id of a span: 16 digits in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanId(pub [u8; 8]);

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl SpanId {
    /// The span of a whole run.
    pub fn of_run(run: RunId) -> Self {
        Self::derived(&run.to_string())
    }

    /// The span of one attempt at what stands at a position of a run.
    pub fn of_attempt(run: RunId, position: &str, attempt: u32) -> Self {
        Self::derived(&format!("{run}/{position}/{attempt}"))
    }

    fn derived(text: &str) -> Self {
        let digest = Sha256::digest(format!("span/{text}"));
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        // All zeros is no span.
        id[7] |= u8::from(id == [0; 8]);
        Self(id)
    }
}

/// The trace to which something belongs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// The span outside that led here; none where the trace begins here.
    pub parent: Option<SpanId>,
    /// The flags of `traceparent`; the lowest bit: somebody records it.
    pub flags: u8,
    /// What vendors hand on, as it came.
    pub state: Option<String>,
}

impl Trace {
    /// What such headers say; `None` where `traceparent` is not one. Then `tracestate` means nothing, too.
    pub fn from_headers(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut fields = parent.trim().splitn(5, '-');
        let (version, id, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let [version] = digits::<1>(version)?;
        // Version 00 has nothing behind its flags; later ones may.
        if version == 0xff || (version == 0 && fields.next().is_some()) {
            return None;
        }
        let (id, span, [flags]) = (digits::<16>(id)?, digits::<8>(span)?, digits::<1>(flags)?);
        if id == [0; 16] || span == [0; 8] {
            return None;
        }
        // Of the flags only those are handed on that are known: sampled, and that the id is random.
        let flags = flags & 0b11;
        Some(Self { id: TraceId(id), parent: Some(SpanId(span)), flags, state: state.and_then(kept) })
    }

    /// The trace of a run that was started by this trigger.
    pub fn of(run: RunId, trigger: &Payload) -> Self {
        // Most have none: then the text is not read.
        let given = trigger.text().contains(PARENT).then(|| Self::of_trigger(&trigger.to_json())).flatten();
        given.unwrap_or_else(|| Self { id: TraceId(*run.0.as_bytes()), parent: None, flags: SAMPLED, state: None })
    }

    /// What a trigger keeps: its own fields, or the headers of the request.
    pub fn of_trigger(trigger: &Value) -> Option<Self> {
        let field = |of: &Value, name: &str| of[name].as_str().map(str::to_owned);
        let from = |of: &Value| Self::from_headers(&field(of, PARENT)?, field(of, STATE).as_deref());
        from(trigger).or_else(|| from(&trigger["headers"]))
    }

    /// The same trace as seen by what a span leads to.
    #[must_use]
    pub fn under(&self, span: SpanId) -> Self {
        Self { parent: Some(span), ..self.clone() }
    }

    /// The header `traceparent` for what a span leads to.
    pub fn header(&self, span: SpanId) -> String {
        format!("00-{}-{span}-{:02x}", self.id, self.flags)
    }

    /// Keeps it in a trigger, which is an object.
    pub fn keep_in(&self, trigger: &mut Value) {
        if let Some(parent) = self.parent {
            trigger[PARENT] = json!(self.header(parent));
            if let Some(state) = &self.state {
                trigger[STATE] = json!(state);
            }
        }
    }
}

/// So many bytes in lower-case hex, and no more.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let mut bytes = [0; N];
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

/// As many members of the list as fit, none cut.
fn kept(state: &str) -> Option<String> {
    let state = state.trim();
    if !state.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return None;
    }
    let end = if state.len() <= STATE_MOST { state.len() } else { state[..=STATE_MOST].rfind(',').unwrap_or(0) };
    Some(state[..end].to_owned()).filter(|state| !state.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_comes_back_as_it_was() {
        let trace = Trace::from_headers(GOOD, Some("a=1,b=2")).unwrap();
        assert_eq!((trace.header(trace.parent.unwrap()), trace.state.as_deref()), (GOOD.to_owned(), Some("a=1,b=2")));
        let later = format!("cc{}-what-comes", &GOOD[2..]);
        assert_eq!(Trace::from_headers(&later, None).unwrap().id, trace.id);
    }

    #[test]
    fn what_is_no_header_is_ignored() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let (upper, later, ff) = (GOOD.to_uppercase(), format!("{GOOD}-x"), format!("ff{}", &GOOD[2..]));
        for bad in ["", "00", &GOOD[..54], &format!("{GOOD}0"), &zero_trace, &zero_span, &upper, &later, &ff] {
            assert_eq!(Trace::from_headers(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn a_state_that_is_too_long_loses_whole_members() {
        let long = format!("a={},b={}", "x".repeat(300), "y".repeat(300));
        let trace = Trace::from_headers(GOOD, Some(&long)).unwrap();
        assert_eq!(trace.state, Some(format!("a={}", "x".repeat(300))));
        assert_eq!(Trace::from_headers(GOOD, Some("a=\u{1b}")).unwrap().state, None);
    }

    #[test]
    fn a_run_without_one_is_its_own_trace_and_what_it_starts_inherits_it() {
        let run = RunId::new();
        let root = Trace::of(run, &Payload::from_json(&json!({ "kind": "hand" })));
        assert_eq!((root.id.to_string(), root.parent), (run.0.simple().to_string(), None));
        let mut trigger = json!({ "kind": "workflow" });
        root.under(SpanId::of_run(run)).keep_in(&mut trigger);
        let child = Trace::of(RunId::new(), &Payload::from_json(&trigger));
        assert_eq!((child.id, child.parent), (root.id, Some(SpanId::of_run(run))));
        let request = Payload::from_json(&json!({ "kind": "webhook", "headers": { "traceparent": GOOD } }));
        assert_eq!(
            Trace::of(run, &request).header(SpanId([1; 8])),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0101010101010101-01"
        );
    }
}
