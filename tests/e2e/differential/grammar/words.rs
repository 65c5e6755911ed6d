//! The words of the grammar: each a spelling that some reader takes for another.

/// Spellings of `Content-Length`.
pub(super) const LENGTH_NAMES: [&str; 9] = [
    "Content-Length",
    "content-length",
    "Content-Length ",
    " Content-Length",
    "Content_Length",
    "Content-Length\t",
    "Content-Length\0",
    "Content Length",
    "\u{b}Content-Length",
];

/// Spellings of a length, `{}`.
pub(super) const LENGTH_VALUES: [&str; 24] = [
    "{}",
    "+{}",
    "-{}",
    "0{}",
    "00000000000000000000{}",
    "{},{}",
    "{}, {}",
    "{},",
    ",{}",
    "{} {}",
    "{}\t",
    "0x{}",
    "{}.0",
    "{}e0",
    "'{}'",
    "\"{}\"",
    "{};",
    "\u{b}{}",
    "{}\0",
    "1{}_",
    "18446744073709551616",
    "18446744073709551{}",
    "9223372036854775808",
    "",
];

/// Spellings of `Transfer-Encoding`.
pub(super) const CODING_NAMES: [&str; 16] = [
    "Transfer-Encoding",
    "transfer-encoding",
    "TRANSFER-ENCODING",
    "Transfer-Encoding ",
    "Transfer-Encoding\t",
    " Transfer-Encoding",
    "Transfer_Encoding",
    "Transfer Encoding",
    "Transfer-Encoding\0",
    "\u{b}Transfer-Encoding",
    "X: y\nTransfer-Encoding",
    "X: y\rTransfer-Encoding",
    "X: y\r\n Transfer-Encoding",
    "(Transfer-Encoding)",
    "Transfer-Encoding\u{b}",
    "Transfer\u{ad}-Encoding",
];

/// Spellings of `chunked`.
pub(super) const CODING_VALUES: [&str; 28] = [
    "chunked",
    "CHUNKED",
    "chunked ",
    "chunked\t",
    "xchunked",
    "chunkedx",
    "chunked,",
    ",chunked",
    "chunked, identity",
    "identity, chunked",
    "gzip, chunked",
    "chunked, chunked",
    "chunked;q=1",
    "\"chunked\"",
    "'chunked'",
    "chunked\0",
    "\0chunked",
    "chu\rnked",
    "\u{b}chunked",
    "\u{c}chunked",
    "\u{85}chunked",
    "\u{a0}chunked",
    "identity",
    "",
    "deflate",
    "chunked\r\n\tx",
    "\r\n chunked",
    "c\u{200b}hunked",
];

/// What stands between the two.
pub(super) const CODING_SEPARATORS: [&str; 6] = [": ", ":", ":  ", ":\t", " : ", ":\n "];

/// Spellings of a chunk's size, `{}`.
pub(super) const CHUNK_SIZES: [&str; 14] = [
    "{}",
    "0{}",
    "000000000000000000{}",
    "+{}",
    "-{}",
    "0x{}",
    "{} ",
    " {}",
    "{}\t",
    "1000000000000000{}",
    "{}h",
    "{}_0",
    "",
    "\0{}",
];

/// What follows a size.
pub(super) const CHUNK_EXTENSIONS: [&str; 13] =
    ["", ";", ";a", ";a=b", "; a = b", ";a=\"\r\n\"", ";\nx", ";\rx", ";\0", ";a\u{b}", ";\"", ";;;;", ";\u{ff}"];

/// What ends a size or a chunk.
pub(super) const CHUNK_ENDS: [&str; 7] = ["\r\n", "\n", "\r", "\r\r\n", "", "\n\r\n", "XX"];

/// Methods.
pub(super) const LINE_METHODS: [&str; 12] =
    ["GET", "get", "GE T", "G\0ET", "", "GET\t", "TRACE", "CONNECT", "PRI", "M-SEARCH", "GET:", "\u{ff}GET"];

/// Versions.
pub(super) const LINE_VERSIONS: [&str; 16] = [
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/1",
    "HTTP/1.10",
    "HTTP/01.1",
    "http/1.1",
    "HTTP/1,1",
    "HTTP/1.1x",
    "HTP/1.1",
    "",
    "HTTP/1.1 HTTP/1.1",
    "HTTP /1.1",
    "HTTP/1.1\0",
];

/// What stands between target and version.
pub(super) const LINE_GAPS: [&str; 8] = [" ", "  ", "\t", " \t", "\u{b}", "\u{c}", "\r", "\u{a0}"];

/// What ends a request line.
pub(super) const LINE_ENDS: [&str; 6] = ["\r\n", "\n", "\r", " \r\n", "\r\r\n", "\r\n "];

/// Targets; `{}` is the name of the case.
pub(super) const TARGETS: [&str; 38] = [
    "/{}",
    "{}",
    "*",
    "//{}",
    "/a//{}",
    "/./{}",
    "/a/../{}",
    "/%2e%2e/{}",
    "/a/%2E/{}",
    "/a%2f{}",
    "/a%5c{}",
    "/a\\{}",
    "/{};x=1",
    "/..;/{}",
    "/{}%00",
    "/{}%0d%0ax",
    "/{}%",
    "/{}%zz",
    "/{}?a=b",
    "/{}?\u{e9}",
    "/\u{e9}{}",
    "/{}#x",
    "/{}?a#b",
    "http://localhost/{}",
    "HTTP://LOCALHOST/{}",
    "https://localhost/{}",
    "http://elsewhere/{}",
    "http://localhost:80/{}",
    "http://user@localhost/{}",
    "ftp://localhost/{}",
    "localhost:80",
    "http:/{}",
    "http:///{}",
    "?{}",
    "/{}\u{7f}",
    "/{}\"<>",
    "/{}|^`",
    "/{}\0",
];

/// Fields.
pub(super) const FIELDS: [&str; 26] = [
    "x: y",
    "x:y",
    "x : y",
    "x\t: y",
    " x: y",
    "\tx: y",
    "x: y\r\n z",
    "x: y\r\n\tz",
    "x",
    ": y",
    "x\0: y",
    "x: \0",
    "x: y\rz: 1",
    "x: y\nz: 1",
    "x: \u{1}",
    "x: \u{7f}",
    "x: \u{ff}",
    "x\u{80}: y",
    "x y: z",
    "x[]: y",
    "x=1: y",
    "x:",
    "\r: y",
    "x: y\r",
    "x;: y",
    "x: y\r\r\nz: 1",
];

/// Fields that name a host, or fail to.
pub(super) const HOSTS: [&str; 22] = [
    "host: localhost",
    "host: localhost\r\nhost: localhost",
    "host: localhost\r\nhost: elsewhere",
    "",
    "host:",
    "host: a b",
    "host: a,b",
    "host: user@a",
    "host: a/b",
    "host: a:99999",
    "host: a:",
    "host: [::1]",
    "host: [::1",
    "host: a_b",
    "host: a.",
    "host: a..",
    "host: \u{e9}",
    "host : a",
    "Host: LOCALHOST",
    "host: a?b",
    "host: a#b",
    "host: a%41",
];

/// Fields of one hop.
pub(super) const HOPS: [&str; 18] = [
    "connection: x-case",
    "connection: host",
    "connection: content-length",
    "connection: close, x-a",
    "connection: keep-alive",
    "connection: close",
    "keep-alive: 5",
    "proxy-connection: close",
    "te: trailers",
    "te: gzip",
    "trailer: x",
    "upgrade: h2c",
    "upgrade: websocket\r\nconnection: upgrade",
    "upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABk",
    "expect: 100-continue",
    "expect: 200-ok",
    "max-forwards: 0",
    "connection: transfer-encoding",
];
