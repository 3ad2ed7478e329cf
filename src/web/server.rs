//! Connections: accepting them, bounding them, and ending them.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::failures::Peer;
use super::patience::Patient;
use super::{App, Shared, heads, routes};

/// Headers that take longer come from somebody who wants to hold the connection; also the longest pause between requests.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Bytes of a head that are read at all: what is beyond is answered 431 without a word. See [`heads`] for what is taken.
const HEADER_MAX: usize = 4 * heads::BYTES_MAX;
/// Headers that are read at all.
const HEADERS_MAX: usize = 2 * heads::COUNT_MAX;
/// Connections at once: below the usual limit of 1,024 open files, of which the store and scripts need some.
const CONNECTIONS_MAX: usize = 800;
/// How long requests that are being answered have, once the server is to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// A client that takes nothing of its answer for so long has gone, or never reads.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// After an error of accepting, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers requests until `stop` is ready; then takes no more, ends streams and waits, lets what is being answered finish
/// for up to 10 s, and returns.
pub async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()>) -> io::Result<()> {
    let (close, closing) = watch::channel(false);
    let routes = routes::router(Shared::new(app, closing));
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_MAX)
        .max_headers(HEADERS_MAX);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener), if connections.len() < CONNECTIONS_MAX => accepted,
        };
        // Who asks is one layer around all routes.
        let service = Router::new().fallback_service(routes.clone()).layer(Extension(Peer(peer)));
        let service = TowerToHyperService::new(service);
        let connection = builder.serve_connection(TokioIo::new(Patient::new(stream, WRITE_TIME)), service).into_owned();
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended early: {error}");
            }
        });
    }
    drop(listener);
    close.send_replace(true);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("{} connections were cut off after {} s", connections.len(), DRAIN.as_secs());
    }
    Ok(())
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
