//! Large answers: they go out piece by piece, and all that go out at once take no more memory than there is for them, however
//! slowly their clients read.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_LENGTH;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::Stream;

use super::Shared;

/// Bytes that are handed on at once. Answers of no more are not counted: the system takes them.
const PIECE: usize = 64 << 10;
/// How long a large answer waits for others that go out.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answer; a large one when there is room for it.
pub(super) async fn bounded(shared: &Shared, response: Response) -> Response {
    let length = response.body().size_hint().exact().filter(|length| *length > PIECE as u64);
    let Some(length) = length else { return response };
    let room = match shared.flood.answer(length, PATIENCE).await {
        Ok(room) => room,
        Err(problem) => return problem.into_response(),
    };
    let (mut parts, body) = response.into_parts();
    parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    let pieces = Pieces { body: body.into_data_stream(), rest: Bytes::new(), _room: room };
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// A body in pieces, and the room that it takes.
struct Pieces {
    body: BodyDataStream,
    rest: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Stream for Pieces {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_next(context) {
                Poll::Ready(Some(Ok(chunk))) => self.rest = chunk,
                other => return other,
            }
        }
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}
