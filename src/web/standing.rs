//! By what somebody was let in, and for how long that counts: an answer that goes on (a stream) ends when it counts no more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use tokio_stream::Stream;

use super::guard::{self, Caller};
use super::{Problem, Shared};
use crate::engine::tokens::Role;

/// Between two looks: a token that is taken back opens nothing, and shows nothing for longer than that.
const LOOK: Duration = Duration::from_secs(1);

/// By what somebody was let in.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// Nothing is needed.
    Free,
    /// A token, by its hash.
    Token(Arc<str>),
    /// A session, by the secret of its cookie.
    Session(Arc<str>),
}

impl Standing {
    /// Whether it still opens what takes this role.
    fn counts(&self, shared: &Shared, role: Role) -> bool {
        let now = match self {
            Self::Free => return true,
            Self::Token(hash) => guard::with_hash(shared, hash),
            Self::Session(cookie) => guard::of_session(shared, cookie),
        };
        // A store that does not answer lets nobody in, either.
        now.is_ok_and(|caller: Option<Caller>| caller.is_some_and(|caller| caller.allows(role)))
    }

    /// The answer, which ends with what its asker was let in by.
    pub(super) fn bind(self, shared: &Shared, role: Role, response: Response) -> Response {
        let kind = response.headers().get(CONTENT_TYPE);
        let goes_on = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if !goes_on || matches!(self, Self::Free) {
            return response;
        }
        let shared = shared.clone();
        let gone = async move {
            let mut look = tokio::time::interval(LOOK);
            while self.counts(&shared, role) {
                look.tick().await;
            }
        };
        response.map(|body| Body::from_stream(Bound { chunks: body.into_data_stream(), gone: Box::pin(gone) }))
    }
}

/// A body that ends early when this happens.
struct Bound {
    chunks: BodyDataStream,
    gone: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Stream for Bound {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.gone.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.chunks).poll_next(context)
    }
}

/// A cookie comes with whatever request a browser sends here: one that acts has to come from a page of this server.
pub(super) fn not_from_a_page() -> Problem {
    let detail = "with a session, what acts must come from a page of this server; hint: browsers say so with `Origin`, other programs \
                  send `Authorization: Bearer TOKEN`";
    Problem::new(axum::http::StatusCode::FORBIDDEN, detail)
}
