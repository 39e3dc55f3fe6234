//! Server-sent events, out of the bytes of a stream.
//!
//! Source: the HTML standard, "Parsing an event stream". Nothing that a server sends makes this keep
//! more than [`LONGEST`] bytes.

use std::{mem, time::Duration};

/// The most bytes of an event, and of a line.
const LONGEST: usize = 256 * 1024;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    /// Its name; empty where it has none.
    pub(crate) event: String,
    /// What it says.
    pub(crate) data: String,
    /// The `id` that was told last.
    pub(crate) id: Option<String>,
}

/// An event, or a line, is too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Reads them.
#[derive(Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    message: Message,
    /// Whether the byte before ended a line that may end with two.
    after_return: bool,
    /// When a client whose stream broke is to ask for it anew.
    pub(crate) retry: Option<Duration>,
}

impl Parser {
    /// Takes the next bytes of the stream and gives the events that end in them.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut messages = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' if self.after_return => {}
                b'\r' | b'\n' => messages.extend(self.end_line()),
                _ if self.line.len() + self.message.data.len() >= LONGEST => return Err(TooLong),
                other => self.line.push(*other),
            }
            self.after_return = *byte == b'\r';
        }
        Ok(messages)
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_message();
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_prefix('\u{feff}').unwrap_or(&line);
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.message.event),
            "data" => {
                self.message.data.push_str(value);
                self.message.data.push('\n');
            }
            "id" if !value.contains('\0') => self.message.id = Some(value.to_owned()),
            "retry" => self.retry = value.parse().map(Duration::from_millis).ok().or(self.retry),
            // Also comments, whose name is empty.
            _ => {}
        }
        None
    }

    /// The event, unless it says nothing. The next one has its `id` unless it has its own.
    fn end_message(&mut self) -> Option<Message> {
        let id = self.message.id.clone();
        let next = Message {
            id,
            ..Message::default()
        };
        let mut message = mem::replace(&mut self.message, next);
        message.data.pop()?;
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: &str, data: &str, id: Option<&str>) -> Message {
        Message {
            event: event.to_owned(),
            data: data.to_owned(),
            id: id.map(str::to_owned),
        }
    }

    #[test]
    fn events_are_read_as_the_standard_says_wherever_the_stream_is_cut() {
        let stream = "\u{feff}event: status\nid: 1\nretry: 2000\ndata: {\"a\": 1}\n\n: alive\n\n\
                      data:two\r\ndata: lines\r\rid\ndata\n\nnonsense\nretry: soon\n\ndata: torn";
        let expected = [
            message("status", "{\"a\": 1}", Some("1")),
            message("", "two\nlines", Some("1")),
            message("", "", Some("")),
        ];
        let stream = stream.as_bytes();
        for cut in 0..stream.len() {
            let mut parser = Parser::default();
            let (head, tail) = stream.split_at(cut);
            let read = [parser.feed(head).unwrap(), parser.feed(tail).unwrap()].concat();
            assert_eq!(read, expected, "cut at {cut}");
            assert_eq!(parser.retry, Some(Duration::from_secs(2)));
        }
    }

    #[test]
    fn an_endless_line_or_event_ends_it() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(&vec![b'a'; LONGEST]), Ok(vec![]));
        assert_eq!(parser.feed(b"a"), Err(TooLong));

        let mut parser = Parser::default();
        let lines = "data: and so on\n".repeat(LONGEST);
        assert_eq!(parser.feed(lines.as_bytes()), Err(TooLong));
    }
}
