//! Bodies on their way through, frame by frame.

use super::backend::InFlight;
use super::metrics::Observation;
use super::pool::Connection;
use super::silence::Silence;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: u64 },
    #[error("nothing came for {} ms", .0.as_millis())]
    Silent(Duration),
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// How the client's part of a failed request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum ClientFault {
    None = 0,
    TooLarge = 1,
    Silent = 2,
    Broken = 3,
}

/// What the waiting side sees of a request body that hyper has taken over.
#[derive(Debug, Default)]
pub(super) struct BodyProgress {
    frames: AtomicU64,
    fault: AtomicU8,
}

impl BodyProgress {
    /// Frames sent so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    pub(super) fn fault(&self) -> ClientFault {
        match self.fault.load(Ordering::Acquire) {
            0 => ClientFault::None,
            1 => ClientFault::TooLarge,
            2 => ClientFault::Silent,
            _ => ClientFault::Broken,
        }
    }
}

/// A client's body, bounded in size and in silence.
pub(super) struct RequestBody {
    /// `None`: the request has no body.
    incoming: Option<Incoming>,
    limit_bytes: u64,
    left_bytes: u64,
    silence: Silence,
    progress: Arc<BodyProgress>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, limit_bytes: u64, silence: Duration) -> Self {
        Self {
            incoming: Some(incoming).filter(|body| !body.is_end_stream()),
            limit_bytes,
            left_bytes: limit_bytes,
            silence: Silence::new(silence),
            progress: Arc::default(),
        }
    }

    /// The body of a request that has none, for sending it again.
    pub(super) fn empty() -> Self {
        Self {
            incoming: None,
            limit_bytes: 0,
            left_bytes: 0,
            silence: Silence::new(Duration::ZERO),
            progress: Arc::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.incoming.is_none()
    }

    pub(super) fn progress(&self) -> Arc<BodyProgress> {
        Arc::clone(&self.progress)
    }

    /// Reads the rest and throws it away, up to twice the limit; returns whether it was read whole. A
    /// client that is still sending when its connection closes sees a reset and not the answer.
    pub(super) async fn discard(mut self) -> bool {
        self.left_bytes = self.limit_bytes.saturating_mul(2);
        loop {
            match std::future::poll_fn(|cx| self.next(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(_)) => return false,
                None => return true,
            }
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) else {
            ready!(self.silence.poll_exceeded(cx));
            return Poll::Ready(Some(Err(BodyError::Silent(self.silence.limit()))));
        };
        self.silence.broken();
        let Some(frame) = frame.transpose()? else {
            return Poll::Ready(None);
        };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(left) = self.left_bytes.checked_sub(length) else {
            return Poll::Ready(Some(Err(BodyError::TooLarge { limit_bytes: self.limit_bytes })));
        };
        self.left_bytes = left;
        self.progress.frames.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(frame)))
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.next(cx));
        if let Some(Err(error)) = &frame {
            let fault = match error {
                BodyError::TooLarge { .. } => ClientFault::TooLarge,
                BodyError::Silent(_) => ClientFault::Silent,
                BodyError::Broken(_) => ClientFault::Broken,
            };
            self.progress.fault.store(fault as u8, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.incoming {
            Some(incoming) => incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// What a request holds until its answer has ended or its client has gone.
pub(super) struct Lease {
    pub connection: Connection,
    pub in_flight: InFlight,
    pub observation: Option<Observation>,
}

impl Lease {
    /// The answer has ended well: the connection can carry another request.
    fn end(self) {
        self.in_flight.backend().pool.put(self.connection);
    }
}

/// Body of an answer: the gateway's own, or a container's.
pub(super) enum Body {
    Own(Option<Bytes>),
    Upstream {
        incoming: Incoming,
        silence: Silence,
        /// Dropped unended when the client goes: hyper then closes the container's connection.
        lease: Option<Lease>,
    },
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Own(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl Body {
    pub(super) fn upstream(incoming: Incoming, silence: Duration, lease: Lease) -> Self {
        let lease = if incoming.is_end_stream() {
            lease.end();
            None
        } else {
            Some(lease)
        };
        Self::Upstream { incoming, silence: Silence::new(silence), lease }
    }

    /// Lets `observation` end with the body.
    pub(super) fn observe(&mut self, observation: Observation) {
        if let Self::Upstream { lease: Some(lease), .. } = self {
            lease.observation = Some(observation);
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (incoming, silence, lease) = match self.get_mut() {
            Self::Own(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream { incoming, silence, lease } => (incoming, silence, lease),
        };
        let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
            ready!(silence.poll_exceeded(cx));
            *lease = None;
            return Poll::Ready(Some(Err(BodyError::Silent(silence.limit()))));
        };
        silence.broken();
        match &frame {
            Some(Err(_)) => *lease = None,
            Some(Ok(_)) if !incoming.is_end_stream() => {}
            Some(Ok(_)) | None => {
                if let Some(lease) = lease.take() {
                    lease.end();
                }
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Upstream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Upstream { incoming, .. } => incoming.size_hint(),
        }
    }
}
