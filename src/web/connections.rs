//! Who holds connections: how many at once, how many of them one address, and which goes when there are too many.
//!
//! A connection is in use from the moment that the head of a request is there until its answer is sent, and is never cut then.
//! One that is idle, or still in a head, keeps its place only as long as nobody else needs it: the one that is so the longest
//! goes. Where no place can be made, somebody new gets one of a few in reserve: there `/healthz` is answered, and everything else
//! is told to come again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Notify;
use tokio_stream::Stream;

use super::failures::group;
use super::{Problem, guard};
use crate::time::elapsed;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// In all, without the reserve.
    pub(super) all: usize,
    /// Of one address: a proxy has many, and nobody has all.
    pub(super) each: usize,
    /// For those who find no other place.
    pub(super) reserve: usize,
    /// So long a connection may be idle, or in a head, whoever else comes: who is at work is faster.
    pub(super) idle: Duration,
    /// The same in the reserve: the one line of a prober is there at once, and others must get through, too.
    pub(super) brief: Duration,
}

impl Limits {
    /// 800 with the reserve: below the usual limit of 1,024 open files, of which the store and scripts need some.
    pub(super) const USUAL: Self =
        Self { all: 736, each: 400, reserve: 64, idle: Duration::from_secs(1), brief: Duration::from_millis(100) };
}

/// What a connection may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Everything.
    Ordinary,
    /// Whether the daemon works.
    Reserve,
}

/// All connections that are open.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    open: Mutex<Open>,
}

/// By their numbers.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    places: BTreeMap<u64, Arc<Place>>,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection of that address, if need be that of another; `None`: none can be had at the moment.
    pub(super) fn seat(self: &Arc<Self>, peer: IpAddr, now: Duration) -> Option<Seat> {
        let (peer, limits, mut open) = (group(peer), self.limits, self.open());
        let count = |open: &Open, fits: &dyn Fn(&Place) -> bool| open.places.values().filter(|p| fits(p)).count();
        let is_ordinary = |place: &Place| place.kind == Kind::Ordinary;
        let is_own = |place: &Place| is_ordinary(place) && place.peer == peer;
        let is_reserve = |place: &Place| place.kind == Kind::Reserve;
        let has_place = if count(&open, &is_own) >= limits.each {
            open.make_room(is_own, now, limits.idle)
        } else {
            count(&open, &is_ordinary) < limits.all || open.make_room(is_ordinary, now, limits.idle)
        };
        let kind = if has_place { Kind::Ordinary } else { Kind::Reserve };
        if kind == Kind::Reserve
            && count(&open, &is_reserve) >= limits.reserve
            && !open.make_room(is_reserve, now, limits.brief)
        {
            return None;
        }
        let number = open.next;
        let place = Arc::new(Place { peer, kind, state: AtomicU64::new(millis(now)), gone: Notify::new() });
        open.next += 1;
        open.places.insert(number, place.clone());
        Some(Seat { number, place, connections: self.clone() })
    }
}

impl Open {
    /// Ends the connection that does nothing the longest, if that is long enough.
    fn make_room(&mut self, fits: impl Fn(&Place) -> bool, now: Duration, least: Duration) -> bool {
        let until = millis(now.saturating_sub(least));
        loop {
            let resting = self.places.iter().filter(|(_, place)| fits(place));
            let resting = resting.map(|(number, place)| (place.state.load(Ordering::Acquire), *number));
            let Some((since, number)) = resting.filter(|(since, _)| *since <= until).min() else { return false };
            let place = &self.places[&number];
            // Unless a request has come just now.
            if place.state.compare_exchange(since, GONE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                place.gone.notify_one();
                self.places.remove(&number);
                return true;
            }
        }
    }
}

/// In use.
const BUSY: u64 = u64::MAX;
/// To be ended: nothing is begun any more.
const GONE: u64 = u64::MAX - 1;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(GONE - 1)
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Place {
    peer: IpAddr,
    kind: Kind,
    /// [`BUSY`], [`GONE`], or since when nothing is asked for, in milliseconds.
    state: AtomicU64,
    gone: Notify,
}

impl Place {
    /// Changes the state unless it is that one, or the connection is to end; whether it did.
    fn turn(&self, unless: u64, next: u64) -> bool {
        let changed = |state| (state != GONE && state != unless).then_some(next);
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, changed).is_ok()
    }

    /// A request is there, until what this gives is dropped; `None`: the connection is to end, and nothing is begun.
    fn begin(self: &Arc<Self>) -> Option<InUse> {
        self.turn(GONE, BUSY).then(|| InUse(self.clone()))
    }

    /// Some of an answer has gone out.
    pub(super) fn touch(&self) {
        self.turn(BUSY, millis(elapsed()));
    }
}

/// As long as a request is being answered.
struct InUse(Arc<Place>);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.turn(GONE, millis(elapsed()));
    }
}

/// The place of a connection, as long as that is open.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    place: Arc<Place>,
    connections: Arc<Connections>,
}

impl Seat {
    pub(super) fn kind(&self) -> Kind {
        self.place.kind
    }

    pub(super) fn place(&self) -> Arc<Place> {
        self.place.clone()
    }

    /// Ready when the connection is to end.
    pub(super) async fn gone(&self) {
        self.place.gone.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.open().places.remove(&self.number);
    }
}

/// Bytes of an answer that need no watching: the system takes them at once.
const SMALL: u64 = 64 << 10;
/// Bytes of a request that is turned away, and how long they have: an answer is lost where what was sent is not read.
const UNREAD: usize = 16 << 10;
const UNREAD_TIME: Duration = Duration::from_millis(200);

/// Answers a request that has come on a connection, which is in use until the answer has been sent.
pub(super) async fn in_use<F>(place: Arc<Place>, request: Request, answer: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let Some(turn) = place.begin() else { return full() };
    let response = match place.kind {
        Kind::Reserve if request.uri().path() != "/healthz" => {
            let read = axum::body::to_bytes(request.into_body(), UNREAD);
            // Whatever comes of it: the answer is the same.
            drop(tokio::time::timeout(UNREAD_TIME, read).await);
            guard::headers(full())
        }
        _ => answer(request).await,
    };
    watched(response, turn)
}

fn full() -> Response {
    let detail = "too many connections are open; nothing was started; hint: send it again in a moment";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
    problem.header(RETRY_AFTER, "1").header(CONNECTION, "close").into_response()
}

/// The answer, which keeps the connection in use until it is at its end.
fn watched(response: Response, turn: InUse) -> Response {
    let (mut parts, body) = response.into_parts();
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length <= SMALL) {
        return Response::from_parts(parts, body);
    }
    if let Some(length) = length {
        parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    let body = Watched { body: body.into_data_stream(), _turn: turn };
    Response::from_parts(parts, Body::from_stream(body))
}

struct Watched {
    body: BodyDataStream,
    _turn: InUse,
}

impl Stream for Watched {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { all: 6, each: 4, reserve: 2, ..Limits::USUAL };

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn seats(open: &Arc<Connections>, peer: &str, count: usize, now: Duration) -> Vec<Seat> {
        (0..count).filter_map(|_| open.seat(peer.parse().expect("an address"), now)).collect()
    }

    fn kinds(seats: &[Seat]) -> (usize, usize) {
        let ordinary = seats.iter().filter(|seat| seat.kind() == Kind::Ordinary).count();
        (ordinary, seats.len() - ordinary)
    }

    fn is_gone(seat: &Seat) -> bool {
        seat.place.state.load(Ordering::Acquire) == GONE
    }

    #[test]
    fn an_address_has_its_share_and_others_have_theirs() {
        let open = Connections::new(LIMITS);
        let many = seats(&open, "2001:db8::1", 9, second(1));
        assert_eq!(kinds(&many), (4, 2), "the rest has to wait");
        let others = seats(&open, "192.0.2.1", 2, second(1));
        assert_eq!(kinds(&others), (2, 0));
        drop(many);
        assert_eq!(kinds(&seats(&open, "2001:db8::2", 5, second(1))), (4, 1));
    }

    #[test]
    fn the_one_that_is_idle_the_longest_goes_and_of_the_own_address_first() {
        let open = Connections::new(LIMITS);
        let first = seats(&open, "192.0.2.1", 2, second(1));
        let many = seats(&open, "192.0.2.2", 4, second(2));
        let next = seats(&open, "192.0.2.2", 1, second(3));
        assert_eq!((kinds(&next), is_gone(&many[0]), is_gone(&first[0])), ((1, 0), true, false));
        let other = seats(&open, "192.0.2.3", 1, second(3));
        assert_eq!((kinds(&other), is_gone(&first[0]), is_gone(&first[1])), ((1, 0), true, false));
        assert!(first[0].place.begin().is_none() && first[1].place.begin().is_some());
    }

    #[test]
    fn what_is_in_use_is_never_cut() {
        let open = Connections::new(LIMITS);
        let many = seats(&open, "192.0.2.1", 4, second(1));
        let turns: Vec<_> = many.iter().map(|seat| seat.place.begin()).collect();
        let reserve = seats(&open, "192.0.2.1", 3, second(90));
        assert_eq!((kinds(&reserve), many.iter().any(is_gone)), ((0, 2), false));
        assert_eq!(kinds(&seats(&open, "192.0.2.1", 2, second(91))), (0, 2), "the reserve is for all");
        assert!(is_gone(&reserve[0]) && turns.iter().all(Option::is_some));
        drop(turns);
        many[0].place.touch();
        let later = elapsed() + second(2);
        assert_eq!(kinds(&seats(&open, "192.0.2.1", 1, later)), (1, 0));
    }
}
