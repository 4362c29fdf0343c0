//! How text is written, found out while it streams past.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How much of a file is looked at for its delimiter.
const HEAD: usize = 65_536;
/// How many letters beyond ASCII must be right for each that is wrong, so that a file with a slip stays UTF-8. Text in
/// another encoding comes nowhere near.
const RIGHT_FOR_ONE_WRONG: u64 = 10;

/// Finds out how text is written. UTF-16 is recognised by its byte order mark and turned into UTF-8 at once; everything
/// else is kept as it came.
pub struct Sniffer {
    detector: EncodingDetector,
    utf8: Decoder,
    /// Letters beyond ASCII that are UTF-8, and places that are not.
    right: u64,
    wrong: u64,
    is_marked: bool,
    /// What whoever sent it says that it is, if they do.
    named: Option<&'static Encoding>,
    wide: Option<Decoder>,
    /// The first bytes, until there are enough to know a mark.
    begun: Option<Vec<u8>>,
    head: Vec<u8>,
}

impl Default for Sniffer {
    fn default() -> Sniffer {
        Sniffer {
            detector: EncodingDetector::new(Iso2022JpDetection::Deny),
            utf8: UTF_8.new_decoder_without_bom_handling(),
            right: 0,
            wrong: 0,
            is_marked: false,
            named: None,
            wide: None,
            begun: Some(Vec::new()),
            head: Vec::new(),
        }
    }
}

impl Sniffer {
    /// Of text whose encoding was named. A byte order mark knows better.
    pub fn named(encoding: Option<&'static Encoding>) -> Sniffer {
        let is_wide = encoding.is_some_and(|encoding| encoding == UTF_16LE || encoding == UTF_16BE);
        let wide = encoding.filter(|_| is_wide);
        Sniffer {
            is_marked: is_wide,
            named: encoding,
            wide: wide.map(Encoding::new_decoder_without_bom_handling),
            ..Sniffer::default()
        }
    }

    /// Takes in the next bytes and adds to `kept` what is to be kept of them.
    pub fn take(&mut self, bytes: &[u8], is_last: bool, kept: &mut Vec<u8>) {
        let Some(mut begun) = self.begun.take() else {
            return self.go_on(bytes, is_last, kept);
        };
        begun.extend_from_slice(bytes);
        if begun.len() < 3 && !is_last {
            self.begun = Some(begun);
            return;
        }
        let mark = self.read_mark(&begun);
        self.go_on(begun.get(mark..).unwrap_or_default(), is_last, kept);
    }

    /// Reads a byte order mark; answers its length.
    fn read_mark(&mut self, bytes: &[u8]) -> usize {
        let Some((encoding, length)) = Encoding::for_bom(bytes) else {
            return 0;
        };
        if encoding == UTF_16LE || encoding == UTF_16BE {
            self.wide = Some(encoding.new_decoder_without_bom_handling());
        } else {
            self.wide = None;
        }
        self.is_marked = true;
        length
    }

    fn go_on(&mut self, bytes: &[u8], is_last: bool, kept: &mut Vec<u8>) {
        let before = kept.len();
        if let Some(decoder) = &mut self.wide {
            kept.extend(decoded(decoder, bytes, is_last).into_bytes());
        } else {
            if !self.is_marked {
                self.weigh(bytes, is_last);
            }
            kept.extend_from_slice(bytes);
        }
        let room = HEAD.saturating_sub(self.head.len());
        let added = kept.get(before..).unwrap_or_default();
        self.head.extend(added.iter().take(room));
    }

    fn weigh(&mut self, bytes: &[u8], is_last: bool) {
        self.detector.feed(bytes, is_last);
        for letter in decoded(&mut self.utf8, bytes, is_last).chars() {
            match letter {
                char::REPLACEMENT_CHARACTER => self.wrong += 1,
                letter if !letter.is_ascii() => self.right += 1,
                _ => {}
            }
        }
    }

    /// In which encoding it came.
    pub fn came_in(&self) -> &'static Encoding {
        self.wide
            .as_ref()
            .map_or_else(|| self.encoding(), Decoder::encoding)
    }

    /// In which encoding it is kept.
    pub fn encoding(&self) -> &'static Encoding {
        if let Some(named) = self.named.filter(|_| !self.is_marked) {
            return named;
        }
        if self.is_marked || self.right >= self.wrong * RIGHT_FOR_ONE_WRONG {
            return UTF_8;
        }
        let guess = self.detector.guess(Some(b"cn"), Utf8Detection::Deny);
        // GB 18030 contains GBK.
        if guess == encoding_rs::GBK {
            encoding_rs::GB18030
        } else {
            guess
        }
    }

    /// The most frequent of comma, semicolon and tab in the first line that has anything, outside quotes.
    pub fn delimiter(&self) -> u8 {
        let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
        let mut is_quoted = false;
        let is_end = |byte: &&u8| matches!(byte, b'\n' | b'\r');
        for byte in self.head.iter().skip_while(is_end) {
            match byte {
                b'"' => is_quoted = !is_quoted,
                b'\n' | b'\r' if !is_quoted => break,
                _ if is_quoted => {}
                other => {
                    if let Some((_, count)) = counts.iter_mut().find(|(known, _)| known == other) {
                        *count += 1;
                    }
                }
            }
        }
        let best = counts.iter().rev().max_by_key(|(_, count)| *count);
        best.filter(|(_, count)| *count > 0)
            .map_or(b',', |(byte, _)| *byte)
    }
}

fn decoded(decoder: &mut Decoder, bytes: &[u8], is_last: bool) -> String {
    let room = decoder
        .max_utf8_buffer_length(bytes.len())
        .unwrap_or(bytes.len() * 4);
    let mut text = String::with_capacity(room);
    let _ = decoder.decode_to_string(bytes, &mut text, is_last);
    text
}
