//! Reading bodies, of requests and of answers: no further than wanted, and in one go where their length is promised.

use futures_util::StreamExt as _;
use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Uint8Array};
use wasm_bindgen::prelude::{JsCast as _, JsValue, wasm_bindgen};
use worker::ByteStream;
use worker::web_sys::{Headers, ReadableStream};

#[wasm_bindgen]
extern "C" {
    /// A request or an answer: both have a body in the same way.
    #[wasm_bindgen(extends = Object)]
    type Message;

    #[wasm_bindgen(method, getter)]
    fn headers(this: &Message) -> Headers;

    #[wasm_bindgen(method, getter)]
    fn body(this: &Message) -> Option<ReadableStream>;

    #[wasm_bindgen(method, catch, js_name = arrayBuffer)]
    fn array_buffer(this: &Message) -> Result<Promise, JsValue>;
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than wanted.
    TooLong,
    /// It ended early.
    Broken,
}

/// Reads a body of at most `longest` bytes. If it is longer by `read_on` bytes at most, this reads the rest too, and throws it
/// away: a client that is still sending when the answer comes may never see the answer.
///
/// # Errors
/// [`Unread`].
pub async fn read(message: &JsValue, longest: usize, read_on: usize) -> Result<Vec<u8>, Unread> {
    let message: &Message = message.unchecked_ref();
    let header = |name: &str| message.headers().get(name).ok().flatten();
    // What is packed is longer when it is unpacked.
    let is_packed = header("Content-Encoding").is_some();
    let promised = header("Content-Length").filter(|_| !is_packed).and_then(|length| length.parse::<usize>().ok());
    match promised {
        Some(length) if length <= longest => {
            let whole = JsFuture::from(message.array_buffer().map_err(|_| Unread::Broken)?).await;
            Ok(Uint8Array::new(&whole.map_err(|_| Unread::Broken)?).to_vec())
        }
        Some(length) if length > longest + read_on => Err(Unread::TooLong),
        Some(_) | None => match message.body() {
            Some(pieces) => in_pieces(pieces, longest, read_on).await,
            None => Ok(Vec::new()),
        },
    }
}

async fn in_pieces(pieces: ReadableStream, longest: usize, read_on: usize) -> Result<Vec<u8>, Unread> {
    let mut pieces = ByteStream::from(pieces);
    let (mut whole, mut length) = (Vec::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Unread::Broken)?;
        length += piece.len();
        if length > longest + read_on {
            break;
        }
        if length <= longest {
            whole.extend(piece);
        }
    }
    if length <= longest { Ok(whole) } else { Err(Unread::TooLong) }
}
