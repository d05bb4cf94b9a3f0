//! What is on its way to those who read and watch maps: bounded in total, however slowly they take it.
//!
//! A text is there once, for all who read it, and goes out piece by piece. When there is too much, the oldest goes: those who still
//! read it are the slowest, and are cut off.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// How many bytes may be on their way.
const MOST: usize = 48 << 20;

/// How many of them go out at a time. What a connection has of them is its own.
const PIECE: usize = 16 << 10;

/// Cloning it is cheap: it is the same.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    next: u64,
    bytes: usize,
    /// The oldest first.
    parcels: BTreeMap<u64, Parcel>,
}

/// Something on its way.
struct Parcel {
    text: Bytes,
    /// How many have a hand on it.
    hands: usize,
}

/// A hand on something that is on its way. It is gone with the last hand.
pub(crate) struct Hand {
    outbox: Outbox,
    number: u64,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a text. What is too much then, goes.
    pub(crate) fn text(&self, text: Bytes) -> Hand {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.bytes += text.len();
        inner.parcels.insert(number, Parcel { text, hands: 1 });
        while inner.bytes > MOST && inner.parcels.len() > 1 {
            if let Some((_, oldest)) = inner.parcels.pop_first() {
                inner.bytes -= oldest.text.len();
            }
        }
        Hand { outbox: self.clone(), number }
    }

    /// How many bytes are on their way.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl Hand {
    /// Another hand on the same, if it is still there.
    pub(crate) fn another(&self) -> Option<Self> {
        self.outbox.lock().parcels.get_mut(&self.number)?.hands += 1;
        Some(Self { outbox: self.outbox.clone(), number: self.number })
    }

    /// Sends the text; `None` where it is gone already.
    pub(crate) fn send(self) -> Option<Sending> {
        let length = self.outbox.lock().parcels.get(&self.number)?.text.len();
        Some(Sending { hand: self, sent: 0, length })
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let mut inner = self.outbox.lock();
        let Some(parcel) = inner.parcels.get_mut(&self.number) else { return };
        parcel.hands -= 1;
        if parcel.hands == 0
            && let Some(parcel) = inner.parcels.remove(&self.number)
        {
            inner.bytes -= parcel.text.len();
        }
    }
}

/// A text that goes out as its reader takes it.
pub(crate) struct Sending {
    hand: Hand,
    sent: usize,
    length: usize,
}

/// There was too much on its way, and this reader was the slowest.
#[derive(Debug)]
pub(crate) struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too slow")
    }
}

impl std::error::Error for TooSlow {}

/// A piece of a text, and whether it is the last.
pub(crate) type Piece = Result<(Bytes, bool), TooSlow>;

/// A text that is one reader's alone, piece by piece.
pub(crate) fn pieces(mut text: Bytes) -> impl Iterator<Item = Piece> {
    std::iter::from_fn(move || {
        let piece = text.split_to(text.len().min(PIECE));
        (!piece.is_empty()).then(|| Ok((piece, text.is_empty())))
    })
}

impl Iterator for Sending {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.sent == self.length {
            return None;
        }
        let end = self.length.min(self.sent + PIECE);
        let inner = self.hand.outbox.lock();
        // A copy: a slice would keep all of it for as long as the connection has it.
        let piece =
            inner.parcels.get(&self.hand.number).map(|parcel| Bytes::copy_from_slice(&parcel.text[self.sent..end]));
        drop(inner);
        self.sent = end;
        Some(piece.map(|piece| (piece, end == self.length)).ok_or(TooSlow))
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = TooSlow;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TooSlow>>> {
        Poll::Ready(self.next().map(|piece| piece.map(|(piece, _)| Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.length - self.sent) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_there_is_too_much_and_its_readers_are_cut_off() {
        let outbox = Outbox::default();
        let old = outbox.text(Bytes::from(vec![0; MOST / 2]));
        let mut slow = old.another().unwrap().send().unwrap();
        let snapshot = outbox.text(Bytes::from(vec![0; 1_000]));
        let next =
            |sending: &mut Sending| Pin::new(sending).poll_frame(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(next(&mut slow), Poll::Ready(Some(Ok(_)))));
        let new = outbox.text(Bytes::from(vec![0; MOST / 2]));
        assert!(matches!(next(&mut slow), Poll::Ready(Some(Err(TooSlow)))), "too much by a thousand bytes");
        assert!(old.another().is_none(), "the oldest is gone");
        assert_eq!(outbox.bytes(), MOST / 2 + 1_000);
        let _newer = outbox.text(Bytes::from(vec![0; MOST / 2]));
        assert!(snapshot.another().is_none() && new.another().is_some());
        drop((new, slow));
        assert_eq!(outbox.bytes(), MOST / 2);
    }

    #[tokio::test]
    async fn a_text_goes_out_whole() {
        use http_body_util::BodyExt;
        let outbox = Outbox::default();
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let sent = outbox.text(Bytes::from(text.clone())).send().unwrap();
        assert_eq!(Body::size_hint(&sent).exact(), Some(400_000));
        assert_eq!(BodyExt::collect(sent).await.unwrap().to_bytes(), text);
        assert_eq!(outbox.bytes(), 0);
    }
}
