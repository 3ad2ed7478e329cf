//! Connections: accepting them, bounding them, and ending them.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use axum::response::Response;
use axum::{BoxError, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service;

use super::connections::{self, Connections, Kind, Limits, Place, Seat};
use super::failures::Peer;
use super::patience::Patient;
use super::{App, Shared, heads, routes};
use crate::time::elapsed;

/// Headers that take longer come from somebody who wants to hold the connection; also the longest pause between requests.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Bytes of a head that are read at all: what is beyond is answered 431 without a word. See [`heads`] for what is taken.
const HEADER_MAX: usize = 4 * heads::BYTES_MAX;
/// Headers that are read at all.
const HEADERS_MAX: usize = 2 * heads::COUNT_MAX;
/// The same time of a connection in reserve, which asks for one thing.
const BRIEF_TIME: Duration = Duration::from_secs(5);
/// How often a connection that finds no place looks for one.
const LOOK: Duration = Duration::from_millis(10);
/// How long requests that are being answered have, once the server is to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// A client that takes nothing of its answer for so long has gone, or never reads.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// After an error of accepting, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers requests until `stop` is ready; then takes no more, ends streams and waits, lets what is being answered finish
/// for up to 10 s, and returns.
pub async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()>) -> io::Result<()> {
    serve_within(Limits::USUAL, listener, app, stop).await
}

/// The same, with so many connections.
pub(super) async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (close, closing) = watch::channel(false);
    super::upkeep::sweep(&app.handle);
    let door = Door::new(routes::router(Shared::new(app, closing)), limits);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    {
        // Kept over what else happens: it may hold a connection that waits for a place.
        let mut next = pin!(door.next(&listener));
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                (stream, peer, seat) = &mut next => {
                    connections.spawn(door.answer(stream, peer, seat));
                    next.set(door.next(&listener));
                }
            }
        }
    }
    drop(listener);
    close.send_replace(true);
    if tokio::time::timeout(DRAIN, door.graceful.shutdown()).await.is_err() {
        tracing::warn!("{} connections were cut off after {} s", connections.len(), DRAIN.as_secs());
    }
    Ok(())
}

/// How connections are answered.
struct Door {
    routes: Router,
    ordinary: Builder<TokioExecutor>,
    reserve: Builder<TokioExecutor>,
    connections: Arc<Connections>,
    graceful: GracefulShutdown,
}

impl Door {
    fn new(routes: Router, limits: Limits) -> Self {
        let (ordinary, mut reserve) = (builder(HEADER_TIME), builder(BRIEF_TIME));
        reserve.http1().keep_alive(false);
        let connections = Connections::new(limits);
        Self { routes, ordinary, reserve, connections, graceful: GracefulShutdown::new() }
    }

    /// The next connection. One that is not taken yet waits for a place.
    async fn next(&self, listener: &TcpListener) -> (TcpStream, IpAddr, Seat) {
        let (stream, peer) = accept(listener).await;
        loop {
            if let Some(seat) = self.connections.seat(peer, elapsed()) {
                return (stream, peer, seat);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Answers what is asked for on a connection, until either side ends it.
    fn answer(&self, stream: TcpStream, peer: IpAddr, seat: Seat) -> impl Future<Output = ()> + use<> {
        let line = Line { routes: self.routes.clone(), place: seat.place(), peer: Peer(peer) };
        let stream = TokioIo::new(Patient::new(stream, WRITE_TIME).at(seat.place()));
        let builder = if seat.kind() == Kind::Reserve { &self.reserve } else { &self.ordinary };
        let connection = builder.serve_connection(stream, TowerToHyperService::new(line)).into_owned();
        let connection = self.graceful.watch(connection);
        async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!("a connection ended early: {error}");
                },
                () = seat.gone() => tracing::debug!("a connection of {peer} that did nothing made room for another"),
            }
        }
    }
}

/// What answers the requests of one connection.
#[derive(Clone)]
struct Line {
    routes: Router,
    place: Arc<Place>,
    peer: Peer,
}

impl<B> Service<Request<B>> for Line
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { mut routes, place, peer } = self.clone();
        let mut request = request.map(Body::new);
        // Who asks is for the guard to know.
        request.extensions_mut().insert(peer);
        Box::pin(async move {
            let answer = async |request: Request<Body>| {
                let Ok(response) = routes.call(request).await;
                response
            };
            Ok(connections::in_use(place, request, answer).await)
        })
    }
}

fn builder(header_time: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_time)
        .max_buf_size(HEADER_MAX)
        .max_headers(HEADERS_MAX);
    builder
}

async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are small and go out whole; waiting to fill a packet only delays them.
                let _ = stream.set_nodelay(true);
                return (stream, peer.ip());
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
