//! The rules, in the order of the RFCs.

use super::{Must, Rule};
use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PUSH_PROMISE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame,
};

const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const COMPRESSION: u32 = 9;
const CALM: u32 = 11;

/// What cannot be decoded, or has a length that its kind cannot have: the connection ends as the RFC asks, but h2 names the general error
/// where a special one exists (RFC 9113 §7).
const BLOCK: [u32; 2] = [COMPRESSION, PROTOCOL];
const LENGTH: [u32; 2] = [FRAME_SIZE, PROTOCOL];

/// A request's fields, ready to be sent.
fn get() -> Vec<u8> {
    block(&[(":method", b"GET"), (":scheme", b"http"), (":authority", b"localhost"), (":path", b"/rule")])
}

fn post() -> Vec<u8> {
    block(&[(":method", b"POST"), (":scheme", b"http"), (":authority", b"localhost"), (":path", b"/rule")])
}

/// Sends one frame.
fn one(frames: &mut Frames, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
    frames.try_send(&frame(kind, flags, stream, payload))
}

/// A request on stream 1, open or closed on our side.
fn open(frames: &mut Frames) -> std::io::Result<()> {
    one(frames, HEADERS, END_HEADERS, 1, &post())
}

fn ended(frames: &mut Frames) -> std::io::Result<()> {
    one(frames, HEADERS, END_HEADERS | END_STREAM, 1, &post())
}

macro_rules! rules {
    ($($section:literal $name:literal $must:expr => |$frames:ident| $act:expr;)*) => {
        vec![$(Rule { section: $section, name: $name, must: $must, act: |$frames| $act }),*]
    };
}

/// All of them.
pub(super) fn rules() -> Vec<Rule> {
    [framing(), streams(), data_and_headers(), settings_and_others(), compression()].into_iter().flatten().collect()
}

fn framing() -> Vec<Rule> {
    rules! {
        "4.1" "a frame of an unknown kind is ignored" Must::Serve => |f| one(f, 0x16, 0, 0, &[0; 8]);
        "4.1" "flags that mean nothing are ignored" Must::Serve => |f| one(f, PING, 0x16, 0, &[0; 8]);
        "4.1" "the reserved bit is ignored" Must::Serve => |f| one(f, PING, 0, 0x8000_0000, &[0; 8]);
        "4.2" "a DATA frame of the largest size" Must::Serve => |f| {
            open(f)?;
            one(f, DATA, END_STREAM, 1, &[0; 16_384])
        };
        "4.2" "a DATA frame beyond it" Must::Reset(&[FRAME_SIZE]) => |f| {
            open(f)?;
            one(f, DATA, END_STREAM, 1, &[0; 16_385])
        };
        "4.2" "a HEADERS frame beyond it" Must::Close(&LENGTH) => |f| one(f, HEADERS, END_HEADERS | END_STREAM, 1, &[0; 16_385]);
        "4.3" "a field block that cannot be decoded" Must::Close(&BLOCK) => |f| one(f, HEADERS, END_HEADERS | END_STREAM, 1, &[0x40]);
        "4.3" "another frame within a field block" Must::Close(&[PROTOCOL]) => |f| {
            one(f, HEADERS, END_STREAM, 1, &get())?;
            one(f, PRIORITY, 0, 1, &[0, 0, 0, 0, 16])
        };
        "4.3" "another stream within a field block" Must::Close(&[PROTOCOL]) => |f| {
            one(f, HEADERS, END_STREAM, 1, &get())?;
            one(f, HEADERS, END_STREAM | END_HEADERS, 3, &get())
        };
        "5.5" "an unknown frame within a field block" Must::Close(&[PROTOCOL]) => |f| {
            one(f, HEADERS, END_STREAM, 1, &get())?;
            one(f, 0x16, 0, 1, &[0; 8])
        };
        "5.5" "an unknown setting" Must::Serve => |f| one(f, SETTINGS, 0, 0, &[0, 0xff, 0, 0, 0, 1]);
    }
}

fn streams() -> Vec<Rule> {
    rules! {
        "5.1" "idle: DATA" Must::Close(&[PROTOCOL]) => |f| one(f, DATA, END_STREAM, 1, b"x");
        "5.1" "idle: RST_STREAM" Must::Close(&[PROTOCOL]) => |f| one(f, RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        "5.1" "idle: WINDOW_UPDATE" Must::Close(&[PROTOCOL]) => |f| one(f, WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100]);
        "5.1" "idle: CONTINUATION" Must::Close(&[PROTOCOL]) => |f| one(f, CONTINUATION, END_HEADERS, 1, &get());
        "5.1" "half-closed: DATA" Must::Reset(&[STREAM_CLOSED, PROTOCOL]) => |f| {
            ended(f)?;
            one(f, DATA, END_STREAM, 1, b"x")
        };
        "5.1" "half-closed: HEADERS" Must::Reset(&[STREAM_CLOSED, PROTOCOL]) => |f| {
            ended(f)?;
            one(f, HEADERS, END_STREAM | END_HEADERS, 1, &get())
        };
        "5.1" "half-closed: CONTINUATION" Must::Close(&[STREAM_CLOSED, PROTOCOL]) => |f| {
            ended(f)?;
            one(f, CONTINUATION, END_HEADERS, 1, &get())
        };
        "5.1" "reset by us: DATA" Must::Reset(&[STREAM_CLOSED]) => |f| {
            open(f)?;
            one(f, RST_STREAM, 0, 1, &[0, 0, 0, 8])?;
            one(f, DATA, END_STREAM, 1, b"x")
        };
        "5.1" "reset by us: HEADERS" Must::Reset(&[STREAM_CLOSED, PROTOCOL]) => |f| {
            open(f)?;
            one(f, RST_STREAM, 0, 1, &[0, 0, 0, 8])?;
            one(f, HEADERS, END_STREAM | END_HEADERS, 1, &get())
        };
        "5.1" "reset by us: CONTINUATION" Must::Close(&[STREAM_CLOSED, PROTOCOL]) => |f| {
            open(f)?;
            one(f, RST_STREAM, 0, 1, &[0, 0, 0, 8])?;
            one(f, CONTINUATION, END_HEADERS, 1, &get())
        };
        "5.1" "closed: WINDOW_UPDATE and RST_STREAM" Must::Serve => |f| {
            open(f)?;
            one(f, RST_STREAM, 0, 1, &[0, 0, 0, 8])?;
            one(f, WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100])?;
            one(f, RST_STREAM, 0, 1, &[0, 0, 0, 8])
        };
        "5.1" "closed: PRIORITY" Must::Serve => |f| {
            ended(f)?;
            one(f, PRIORITY, 0, 1, &[0, 0, 0, 0, 16])
        };
        "5.1.1" "an even stream" Must::Close(&[PROTOCOL]) => |f| one(f, HEADERS, END_STREAM | END_HEADERS, 2, &get());
        "5.1.1" "a stream below the last" Must::Close(&[PROTOCOL, STREAM_CLOSED]) => |f| {
            one(f, HEADERS, END_STREAM | END_HEADERS, 5, &get())?;
            one(f, HEADERS, END_STREAM | END_HEADERS, 3, &get())
        };
        "5.1.2" "more streams than allowed" Must::Reset(&[PROTOCOL, 7, CALM]) => |f| {
            let open = |number: u32| frame(HEADERS, END_HEADERS, 2 * number + 1, &post());
            f.try_send(&(0..1_200).flat_map(open).collect::<Vec<_>>())
        };
    }
}

fn data_and_headers() -> Vec<Rule> {
    rules! {
        "6.1" "DATA on stream 0" Must::Close(&[PROTOCOL]) => |f| one(f, DATA, 0, 0, b"x");
        "6.1" "padding longer than the frame" Must::Close(&[PROTOCOL]) => |f| {
            open(f)?;
            one(f, DATA, PADDED | END_STREAM, 1, &[9, 1, 2])
        };
        "6.1" "padded DATA" Must::Serve => |f| {
            open(f)?;
            one(f, DATA, PADDED | END_STREAM, 1, &[2, b'x', 0, 0])
        };
        "6.2" "HEADERS on stream 0" Must::Close(&[PROTOCOL]) => |f| one(f, HEADERS, END_HEADERS | END_STREAM, 0, &get());
        "6.2" "padding longer than HEADERS" Must::Close(&[PROTOCOL]) => |f| {
            one(f, HEADERS, PADDED | END_HEADERS | END_STREAM, 1, &[&[255][..], &get()].concat())
        };
        "6.2" "HEADERS with priority and padding" Must::Serve => |f| {
            let payload = [&[2, 0, 0, 0, 0, 16][..], &get(), &[0, 0]].concat();
            one(f, HEADERS, PADDED | 0x20 | END_HEADERS | END_STREAM, 1, &payload)
        };
        "6.3" "PRIORITY on stream 0" Must::Close(&[PROTOCOL]) => |f| one(f, PRIORITY, 0, 0, &[0, 0, 0, 0, 16]);
        "6.3" "PRIORITY of another length" Must::Reset(&LENGTH) => |f| one(f, PRIORITY, 0, 1, &[0, 0, 0, 0]);
        "6.3" "PRIORITY of an idle stream" Must::Serve => |f| one(f, PRIORITY, 0, 7, &[0, 0, 0, 0, 16]);
        "6.4" "RST_STREAM on stream 0" Must::Close(&[PROTOCOL]) => |f| one(f, RST_STREAM, 0, 0, &[0, 0, 0, 8]);
        "6.4" "RST_STREAM of another length" Must::Close(&LENGTH) => |f| {
            open(f)?;
            one(f, RST_STREAM, 0, 1, &[0, 0, 8])
        };
        "8.1" "a second HEADERS without END_STREAM" Must::Reset(&[PROTOCOL]) => |f| {
            open(f)?;
            one(f, HEADERS, END_HEADERS, 1, &block(&[("x-t", b"1")]))
        };
        // h2 does not look; nothing of request trailers is forwarded.
        "8.1" "trailers with a pseudo-field" Must::Serve => |f| {
            open(f)?;
            one(f, HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(":method", b"GET")]))
        };
        "8.1" "trailers" Must::Serve => |f| {
            open(f)?;
            one(f, DATA, 0, 1, b"x")?;
            one(f, HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-t", b"1")]))
        };
        "6.10" "a field block in many frames" Must::Serve => |f| {
            one(f, HEADERS, END_STREAM, 1, &get()[..5])?;
            one(f, CONTINUATION, 0, 1, &get()[5..9])?;
            one(f, CONTINUATION, END_HEADERS, 1, &get()[9..])
        };
        "6.10" "CONTINUATION after the end" Must::Close(&[PROTOCOL, STREAM_CLOSED]) => |f| {
            one(f, HEADERS, END_STREAM | END_HEADERS, 1, &get())?;
            one(f, CONTINUATION, END_HEADERS, 1, &get())
        };
        "6.10" "CONTINUATION on stream 0" Must::Close(&[PROTOCOL]) => |f| {
            one(f, HEADERS, END_STREAM, 1, &get())?;
            one(f, CONTINUATION, END_HEADERS, 0, &get())
        };
        "6.10" "CONTINUATION after DATA" Must::Close(&[PROTOCOL]) => |f| {
            open(f)?;
            one(f, DATA, 0, 1, b"x")?;
            one(f, CONTINUATION, END_HEADERS, 1, &get())
        };
        "8.4" "PUSH_PROMISE from a client" Must::Close(&[PROTOCOL]) => |f| {
            open(f)?;
            one(f, PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &get()].concat())
        };
    }
}

fn settings_and_others() -> Vec<Rule> {
    rules! {
        "6.5" "an acknowledgement with a payload" Must::Close(&LENGTH) => |f| one(f, SETTINGS, ACK, 0, &[0; 6]);
        "6.5" "SETTINGS on a stream" Must::Close(&[PROTOCOL]) => |f| one(f, SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 10]);
        "6.5" "SETTINGS of another length" Must::Close(&LENGTH) => |f| one(f, SETTINGS, 0, 0, &[0, 3, 0]);
        "6.5.2" "ENABLE_PUSH 2" Must::Close(&[PROTOCOL]) => |f| one(f, SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]);
        "6.5.2" "a window beyond 2^31-1" Must::Close(&[FLOW_CONTROL, PROTOCOL]) => |f| one(f, SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]);
        "6.5.2" "frames smaller than 2^14" Must::Close(&[PROTOCOL]) => |f| one(f, SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff]);
        "6.5.2" "frames larger than 2^24-1" Must::Close(&[PROTOCOL]) => |f| one(f, SETTINGS, 0, 0, &[0, 5, 1, 0, 0, 0]);
        "6.5.3" "the last of two values counts" Must::Serve => |f| one(f, SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1, 0, 4, 0, 0, 0xff, 0xff]);
        "6.7" "PING on a stream" Must::Close(&[PROTOCOL]) => |f| one(f, PING, 0, 1, &[0; 8]);
        "6.7" "PING of another length" Must::Close(&LENGTH) => |f| one(f, PING, 0, 0, &[0; 6]);
        "6.7" "an answer to no PING" Must::Serve => |f| one(f, PING, ACK, 0, b"invalid!");
        "6.8" "GOAWAY on a stream" Must::Close(&[PROTOCOL]) => |f| one(f, GOAWAY, 0, 1, &[0; 8]);
        "6.9" "WINDOW_UPDATE of 0 for the connection" Must::Close(&[PROTOCOL]) => |f| one(f, WINDOW_UPDATE, 0, 0, &[0; 4]);
        "6.9" "WINDOW_UPDATE of 0 for a stream" Must::Reset(&[PROTOCOL]) => |f| {
            open(f)?;
            one(f, WINDOW_UPDATE, 0, 1, &[0; 4])
        };
        "6.9" "WINDOW_UPDATE of another length" Must::Close(&LENGTH) => |f| one(f, WINDOW_UPDATE, 0, 0, &[0, 0, 1]);
        "6.9.1" "a connection window beyond 2^31-1" Must::Close(&[FLOW_CONTROL]) => |f| {
            one(f, WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])?;
            one(f, WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])
        };
        "6.9.1" "a stream window beyond 2^31-1" Must::Reset(&[FLOW_CONTROL]) => |f| {
            open(f)?;
            one(f, WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])?;
            one(f, WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])
        };
        "6.9.1" "more than the window" Must::Reset(&[FLOW_CONTROL]) => |f| {
            open(f)?;
            f.try_send(&frame(DATA, 0, 1, &[0; 16_384]).repeat(40))
        };
    }
}

fn compression() -> Vec<Rule> {
    rules! {
        "7541 2.3.3" "an index beyond the tables" Must::Close(&BLOCK) => |f| one(f, HEADERS, END_STREAM | END_HEADERS, 1, &[0xff, 0x00]);
        "7541 4.2" "a table larger than allowed" Must::Close(&BLOCK) => |f| {
            one(f, HEADERS, END_STREAM | END_HEADERS, 1, &[&[0x3f, 0xe2, 0x1f][..], &get()].concat())
        };
        "7541 4.2" "a change of the table behind fields" Must::Close(&BLOCK) => |f| {
            one(f, HEADERS, END_STREAM | END_HEADERS, 1, &[&get()[..], &[0x20]].concat())
        };
        "7541 5.2" "a string longer than the block" Must::Close(&BLOCK) => |f| {
            one(f, HEADERS, END_STREAM | END_HEADERS, 1, &[&get()[..], &[0, 5, b'x']].concat())
        };
        "7541 5.2" "padding of more than seven bits" Must::Close(&BLOCK) => |f| {
            one(f, HEADERS, END_STREAM | END_HEADERS, 1, &[&get()[..], b"\0\x84\x7f\xff\xff\xff\x83\x7f\xff\xff"].concat())
        };
        "7541 5.2" "the end-of-string symbol" Must::Close(&BLOCK) => |f| {
            one(f, HEADERS, END_STREAM | END_HEADERS, 1, &[&get()[..], b"\0\x85\x3f\xff\xff\xff\xff\x81\x1f"].concat())
        };
        "7541 6.1" "index 0" Must::Close(&BLOCK) => |f| one(f, HEADERS, END_STREAM | END_HEADERS, 1, &[0x80]);
    }
}
