//! An HTTP client that sends requests unchanged, and returns responses unchanged.

use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use super::world::PATIENCE;

/// The parts of a URL.
#[derive(Clone, Debug)]
pub(crate) struct Url {
    /// `HOST:PORT`.
    pub(crate) host: String,
    /// The path and query, which start with a slash.
    pub(crate) path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.path)
    }
}

impl Url {
    pub(crate) fn new(url: &str) -> Self {
        let rest = url.trim().strip_prefix("http://").unwrap();
        let slash = rest.find('/').unwrap();
        Self {
            host: rest[..slash].to_owned(),
            path: rest[slash..].to_owned(),
        }
    }

    /// This URL with `rest` appended.
    pub(crate) fn below(&self, rest: &str) -> Self {
        Self {
            host: self.host.clone(),
            path: format!("{}{rest}", self.path),
        }
    }

    pub(crate) fn get(&self, headers: &[&str]) -> Answer {
        self.begin("GET", headers).whole()
    }

    pub(crate) fn head(&self, headers: &[&str]) -> Answer {
        self.begin("HEAD", headers).whole()
    }

    /// Sends a request, and reads the head of the response.
    pub(crate) fn begin(&self, method: &str, headers: &[&str]) -> Answering {
        let mut all = vec![format!("Host: {}", self.host)];
        all.extend(headers.iter().map(|header| (*header).to_owned()));
        self.send(method, &all)
    }

    /// Sends a request with exactly these headers.
    pub(crate) fn send(&self, method: &str, headers: &[String]) -> Answering {
        self.send_with(method, headers, "")
    }

    /// Sends a request with exactly these headers and a body.
    pub(crate) fn send_with(&self, method: &str, headers: &[String], body: &str) -> Answering {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("{method} {} HTTP/1.1\r\nConnection: close\r\n", self.path);
        headers
            .iter()
            .for_each(|header| request.push_str(&format!("{header}\r\n")));
        request.push_str("\r\n");
        request.push_str(body);
        stream.write_all(request.as_bytes()).unwrap();
        Answering::read(BufReader::new(stream), method == "HEAD")
    }
}

/// A response whose body has not been read yet.
pub(crate) struct Answering {
    pub(crate) answer: Answer,
    stream: BufReader<TcpStream>,
    is_head: bool,
}

/// A complete response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// The part of the body that was read.
    pub(crate) body: Vec<u8>,
}

impl Answering {
    fn read(mut stream: BufReader<TcpStream>, is_head: bool) -> Self {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &String| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let headers = lines[1..].iter().map(header).collect();
        Self {
            answer: Answer {
                status,
                headers,
                body: Vec::new(),
            },
            stream,
            is_head,
        }
    }

    /// Reads `count` further bytes of the body.
    pub(crate) fn more(&mut self, count: usize) -> &[u8] {
        let before = self.answer.body.len();
        self.answer.body.resize(before + count, 0);
        let more = &mut self.answer.body[before..];
        self.stream.read_exact(more).unwrap();
        more
    }

    /// Reads the rest of the response, which may be cut off.
    pub(crate) fn whole(mut self) -> Answer {
        let length = self
            .answer
            .header("content-length")
            .map(|length| length.parse::<u64>());
        let left = match length {
            Some(length) => length.unwrap() - self.answer.body.len() as u64,
            None => u64::MAX,
        };
        // A connection that the node cuts may end with an error.
        let left = if self.is_head { 0 } else { left };
        let _ = self.stream.take(left).read_to_end(&mut self.answer.body);
        if self.answer.header("transfer-encoding").is_some() {
            self.answer.body = unchunked(&self.answer.body);
        }
        assert!(!self.is_head || self.answer.body.is_empty());
        self.answer
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(known, _)| known == name);
        let found = named.next().map(|(_, value)| value.as_str());
        assert!(named.next().is_none(), "{name} twice");
        found
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Asserts that the body is complete, and equal to `content`.
    #[track_caller]
    pub(crate) fn is(&self, content: &[u8]) -> &Self {
        assert_eq!(
            self.header("content-length"),
            Some(content.len().to_string().as_str())
        );
        assert!(
            self.body == content,
            "other content: {} bytes, not {}",
            self.body.len(),
            content.len()
        );
        self
    }

    #[track_caller]
    pub(crate) fn code(&self, status: u16) -> &Self {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(1000)]);
        assert_eq!(self.status, status, "{:?} {text}", self.headers);
        self
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let mut size = String::new();
        body.read_line(&mut size).unwrap();
        match usize::from_str_radix(size.trim(), 16).unwrap() {
            0 => return whole,
            size => {
                whole.extend(&body[..size]);
                body = &body[size + 2..];
            }
        }
    }
}
