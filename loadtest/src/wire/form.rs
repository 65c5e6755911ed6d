//! What people send: a form, as fast as it goes or as slowly as their line takes it.
//!
//! **Invariants**: exactly as long as the scenario says, in pieces of at most [`PIECE`].
//! **Cost**: nothing is allocated for a body; all people share its bytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// Pieces of a large body, and the largest form that is JSON: what an upstream reads before it works on a request.
pub const PIECE: usize = 16 * 1024;

/// Pieces a second of somebody who sends slowly; more if they would be larger than [`PIECE`].
const STEPS: u64 = 10;

/// A photo is as good as zeros.
static ZEROS: [u8; PIECE] = [0; PIECE];

/// NIK and e-mail of nobody: the shape of a sign-up.
const FIELDS: &[u8] = br#"{"nik":"0000000000000000","email":"nobody@example.org","batch":1}"#;

/// The body of a stage, made once.
#[derive(Clone, Debug)]
pub struct Blank {
    bytes: Bytes,
    length: u64,
    /// Its media type.
    pub kind: &'static str,
}

/// A body on its way.
#[derive(Debug)]
pub struct Form {
    bytes: Bytes,
    left: u64,
    slow: Option<Slow>,
}

#[derive(Debug)]
struct Slow {
    piece: usize,
    pause: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Blank {
    /// A body of `length` bytes: JSON up to [`PIECE`], zeros beyond.
    #[must_use]
    pub fn new(length: u64) -> Self {
        let short = usize::try_from(length).ok().filter(|length| *length <= PIECE);
        let Some(short) = short else {
            return Self { bytes: Bytes::from_static(&ZEROS), length, kind: "application/octet-stream" };
        };
        let fields: &[u8] = match short {
            0 | 1 => b"",
            _ if short < FIELDS.len() => b"{}",
            _ => FIELDS,
        };
        // Spaces behind a document are part of none (RFC 8259 §2).
        let mut bytes = fields.to_vec();
        bytes.resize(short, b' ');
        Self { bytes: bytes.into(), length, kind: "application/json" }
    }

    /// Sent, at `rate` bytes a second if there is one.
    #[must_use]
    pub fn form(&self, rate: Option<u64>) -> Form {
        let slow = rate.map(|rate| {
            let piece = usize::try_from(rate / STEPS).unwrap_or(PIECE).clamp(1, PIECE);
            let pause = Duration::from_secs(piece as u64).div_f64(rate.max(1) as f64);
            Slow { piece, pause, timer: Box::pin(sleep(Duration::ZERO)) }
        });
        Form { bytes: self.bytes.clone(), left: self.length, slow }
    }

    /// All of a short one.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Form {
    /// No body.
    #[must_use]
    pub const fn none() -> Self {
        Self { bytes: Bytes::new(), left: 0, slow: None }
    }
}

impl Body for Form {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let most = match &mut self.slow {
            None => PIECE,
            Some(slow) => {
                ready!(slow.timer.as_mut().poll(cx));
                slow.timer.set(sleep(slow.pause));
                slow.piece
            }
        };
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let begins = if self.bytes.len() < PIECE { self.bytes.len().saturating_sub(left) } else { 0 };
        let ends = begins + most.min(left).min(self.bytes.len() - begins);
        let piece = self.bytes.slice(begins..ends);
        self.left = self.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::clock::Clock;

    async fn sent(mut form: Form) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(Ok(frame)) = form.frame().await {
            let piece = frame.into_data().expect("no trailers");
            assert!(!piece.is_empty() && piece.len() <= PIECE);
            all.extend_from_slice(&piece);
        }
        all
    }

    #[tokio::test]
    async fn a_body_is_as_long_as_the_scenario_says() {
        for length in [0, 1, 2, 64, 65, 66, 1_000, 16_383, 16_384, 16_385, 2_000_000] {
            let blank = Blank::new(length);
            let form = blank.form(None);
            assert_eq!(form.size_hint().exact(), Some(length));
            let all = sent(form).await;
            assert_eq!(all.len() as u64, length);
            if (2..=16_384).contains(&length) {
                assert!(serde_json::from_slice::<serde_json::Value>(&all).is_ok(), "{length}");
            }
        }
    }

    #[tokio::test]
    async fn a_slow_line_takes_its_time() {
        for (length, rate) in [(50_000, 100_000), (200_000, 400_000), (10, 20)] {
            let clock = Clock::start();
            assert_eq!(sent(Blank::new(length).form(Some(rate))).await.len() as u64, length);
            let took = clock.now().as_secs_f64();
            assert!((0.3..1.5).contains(&took), "{length} bytes took {took} s");
        }
    }
}
