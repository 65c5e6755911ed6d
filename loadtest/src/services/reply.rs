//! Answers on the wire, the broken ones too.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::fleet::Answer;

/// An answer is cut so long after its first half, which is on its way by then.
const CUT_AFTER: Duration = Duration::from_millis(20);

/// The connection breaks without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is lost")]
pub struct Lost;

/// A body that is whole, or breaks off in the middle.
#[derive(Debug)]
pub struct Reply {
    data: Bytes,
    missing: usize,
    cut: Option<Pin<Box<Sleep>>>,
}

impl Reply {
    fn whole(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), missing: 0, cut: None }
    }

    fn cut(data: impl Into<Bytes>) -> Self {
        let mut data = data.into();
        let missing = data.split_off(data.len() / 2).len();
        Self { data, missing, cut: Some(Box::pin(sleep(CUT_AFTER))) }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let data = std::mem::take(&mut self.data);
        if !data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(cut) = self.cut.as_mut() else { return Poll::Ready(None) };
        ready!(cut.as_mut().poll(context));
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.data.len() + self.missing) as u64)
    }
}

/// The answer as HTTP.
///
/// # Errors
/// There is none: the connection breaks.
pub fn respond(answer: Answer) -> Result<Response<Reply>, Lost> {
    let registration = |number: u32| format!("{{\"registration\":{number}}}\n");
    let body = match answer {
        Answer::Registered(number) | Answer::Known(number) => Reply::whole(registration(number)),
        Answer::Cut(number) => Reply::cut(registration(number)),
        Answer::Failed(_) => Reply::whole("{\"error\":\"failed\"}\n"),
        Answer::Later(_) => Reply::whole("{\"error\":\"busy\"}\n"),
        Answer::Lost => return Err(Lost),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Answer::Later(Some(pause)) = answer {
        headers.insert(RETRY_AFTER, whole_seconds(pause).into());
    }
    Ok(response)
}

/// A probe of health, or anybody who looks.
#[must_use]
pub fn page() -> Response<Reply> {
    let mut response = Response::new(Reply::whole("registration service of a load test\n"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Rounded up: Retry-After knows no fractions, and earlier than asked is wrong.
fn whole_seconds(pause: Duration) -> u64 {
    pause.as_secs() + u64::from(pause.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn answers_are_what_they_say() {
        let status = |answer| respond(answer).map(|response| response.status().as_u16());
        assert_eq!(status(Answer::Registered(1)), Ok(201));
        assert_eq!(status(Answer::Known(1)), Ok(200));
        assert_eq!(status(Answer::Failed(502)), Ok(502));
        assert_eq!(status(Answer::Lost), Err(Lost));
        let later = respond(Answer::Later(Some(Duration::from_millis(1_500)))).expect("an answer");
        assert_eq!((later.status().as_u16(), &later.headers()[RETRY_AFTER]), (503, &HeaderValue::from(2)));
        assert!(!respond(Answer::Later(None)).expect("an answer").headers().contains_key(RETRY_AFTER));
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_promises_more_than_it_gives() {
        let mut body = respond(Answer::Cut(123_456)).expect("an answer").into_body();
        let promised = body.size_hint().exact().expect("a length");
        let first = body.frame().await.expect("a frame").expect("data").into_data().expect("data");
        assert_eq!(promised, 2 * first.len() as u64);
        assert!(body.frame().await.expect("an end").is_err());
    }
}
