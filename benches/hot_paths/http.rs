//! The smallest HTTP/1.1 client that keeps its connection: bytes out, status and body back.

use crate::Failure;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection, kept alive.
pub struct Connection {
    stream: TcpStream,
    /// What was read: the last answer, then nothing, since there is one request at a time.
    buffer: Vec<u8>,
}

/// An answer: where its body stands in the connection's buffer.
pub struct Answer {
    pub status: u16,
    body: std::ops::Range<usize>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            buffer: Vec::with_capacity(64 * 1024),
        })
    }

    /// Sends one request and reads its whole answer.
    pub async fn call(&mut self, request: &[u8]) -> Result<Answer, Failure> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = end_of_head(&self.buffer) {
                break end;
            }
            self.read_more().await?;
        };
        let (status, length) = read_head(&self.buffer[..head])?;
        while self.buffer.len() < head + length {
            self.read_more().await?;
        }
        Ok(Answer {
            status,
            body: head..head + length,
        })
    }

    async fn read_more(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server closed the connection in the middle of an answer".into()),
            _ => Ok(()),
        }
    }

    pub fn body(&self, answer: &Answer) -> &[u8] {
        &self.buffer[answer.body.clone()]
    }

    /// A call that must be answered with that status; the body as JSON.
    pub async fn ask(&mut self, request: &[u8], status: u16) -> Result<Value, Failure> {
        let answer = self.call(request).await?;
        let body = self.body(&answer);
        if answer.status != status {
            return Err(wrong_status(request, &answer, body));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(body)?)
    }
}

/// Says which request was answered how, when it should have been otherwise.
pub fn wrong_status(request: &[u8], answer: &Answer, body: &[u8]) -> Failure {
    let request = String::from_utf8_lossy(request);
    let line = request.lines().next().unwrap_or_default().to_owned();
    let body = String::from_utf8_lossy(body).into_owned();
    format!("{line} was answered with {}: {body}", answer.status).into()
}

fn end_of_head(buffer: &[u8]) -> Option<usize> {
    let at = buffer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(at + 4)
}

/// Status and length of the body.
fn read_head(head: &[u8]) -> Result<(u16, usize), Failure> {
    let head = std::str::from_utf8(head)?;
    let status = head.get(9..12).ok_or("no status line")?.parse()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match length {
        Some((_, length)) => Ok((status, length.trim().parse()?)),
        None if status == 204 || status == 304 => Ok((status, 0)),
        None => Err("an answer without a length".into()),
    }
}

/// The bytes of a request. `headers` are whole lines, each with its line end.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    typed(method, path, headers, "application/json", body)
}

/// The bytes of a request whose body is of another type.
pub fn typed(method: &str, path: &str, headers: &str, media_type: &str, body: &str) -> Vec<u8> {
    let body_headers = if body.is_empty() {
        String::new()
    } else {
        format!("content-type: {media_type}\r\ncontent-length: {}\r\n", body.len())
    };
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{body_headers}\r\n{body}").into_bytes()
}

/// The header line of a signed-in person.
pub fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// A text as it stands in a query.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
