//! A look over the text before the parser sees it.
//!
//! The parser recurses on brackets and on `?:` and would overflow the stack on hostile text, so
//! both are bounded here. That holds only if this scan and the parser's lexer agree on what is
//! inside a string; whatever they could read differently (raw strings, triple quotes, unknown
//! escapes, stray characters, brackets that do not match) is refused.
use crate::kernel::text::{Say, say};

use super::fault::{Fault, Position};

/// Characters in the text of an expression.
pub(super) const MAX_CHARS: usize = 2_000;
/// Brackets, and branches of `?:`, open at one place.
pub(super) const MAX_NESTING: usize = 12;
/// Operators, `.` included; each becomes at least one node, so that the parser meets no more than
/// the check would let pass.
const MAX_OPERATORS: usize = super::check::MAX_NODES;

/// Refuses what must not reach the parser.
pub(super) fn scan(source: &str) -> Result<(), Vec<Fault>> {
    let length = source.chars().count();
    if length > MAX_CHARS {
        return Err(vec![Fault {
            code: "expression_too_long",
            message: say(
                format!("the expression has {length} characters; at most {MAX_CHARS} are allowed"),
                format!("表达式有 {length} 个字符，最多允许 {MAX_CHARS} 个"),
            ),
            position: None,
        }]);
    }
    let mut scan = Scan {
        source,
        at: 0,
        open: Vec::new(),
        nesting: 0,
        operators: 0,
        faults: Vec::new(),
    };
    scan.run();
    if scan.faults.is_empty() {
        Ok(())
    } else {
        Err(scan.faults)
    }
}

/// A bracket that is open, and the branches of `?:` begun inside it.
struct Open {
    closer: u8,
    at: usize,
    branches: usize,
}

struct Scan<'a> {
    source: &'a str,
    at: usize,
    open: Vec<Open>,
    nesting: usize,
    operators: usize,
    faults: Vec<Fault>,
}

impl Scan<'_> {
    fn run(&mut self) {
        // The whole text is the outermost bracket; nothing closes it.
        self.open.push(Open {
            closer: 0,
            at: 0,
            branches: 0,
        });
        while let Some(byte) = self.peek(0) {
            self.step(byte);
        }
        let unclosed: Vec<usize> = self.open.iter().skip(1).map(|open| open.at).collect();
        for at in unclosed {
            self.fault(
                "expression_syntax",
                at,
                say("this bracket is never closed", "此括号没有闭合"),
            );
        }
        if self.operators > MAX_OPERATORS {
            let message = say(
                format!("the expression has more than {MAX_OPERATORS} operators"),
                format!("表达式的运算符超过 {MAX_OPERATORS} 个"),
            );
            self.faults.push(Fault {
                code: "expression_too_large",
                message,
                position: None,
            });
        }
    }

    fn step(&mut self, byte: u8) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b'\x0C' | b',' | b':' => self.at += 1,
            b'/' if self.peek(1) == Some(b'/') => self.comment(),
            b'"' | b'\'' => self.text(byte),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
            b'0'..=b'9' => self.number(),
            b'(' => self.opens(b')'),
            b'[' => self.opens(b']'),
            b'{' => self.opens(b'}'),
            b')' | b']' | b'}' => self.closes(byte),
            b'?' => self.branch(),
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' => self.operator(1),
            b'<' | b'>' | b'!' => self.operator(if self.peek(1) == Some(b'=') { 2 } else { 1 }),
            b'=' | b'&' | b'|' => self.doubled(byte),
            _ => self.stray(),
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }

    fn fault(&mut self, code: &'static str, at: usize, message: Say) {
        let position = Some(Position::of(self.source, at));
        self.faults.push(Fault {
            code,
            message,
            position,
        });
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&keep) {
            self.at += 1;
        }
    }

    fn comment(&mut self) {
        self.skip_while(|byte| byte != b'\n');
    }

    fn word(&mut self) {
        let start = self.at;
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let word = &self.source[start..self.at];
        self.operators += usize::from(word == "in");
        let is_prefix = matches!(word.to_ascii_lowercase().as_str(), "r" | "b" | "br" | "rb");
        if is_prefix && matches!(self.peek(0), Some(b'"' | b'\'')) {
            self.fault(
                "unsupported_syntax",
                start,
                say(
                    "raw and byte strings are not supported; write plain text in quotes",
                    "不支持原始串和字节串；请写普通的引号文本",
                ),
            );
        }
    }

    fn number(&mut self) {
        self.skip_while(|byte| byte.is_ascii_alphanumeric());
        if self.peek(0) == Some(b'.') && self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            self.skip_while(|byte| byte.is_ascii_alphanumeric());
        }
    }

    fn opens(&mut self, closer: u8) {
        self.open.push(Open {
            closer,
            at: self.at,
            branches: 0,
        });
        self.deeper();
        self.at += 1;
    }

    fn branch(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.branches += 1;
        }
        self.operators += 1;
        self.deeper();
        self.at += 1;
    }

    fn deeper(&mut self) {
        self.nesting += 1;
        if self.nesting == MAX_NESTING + 1 {
            let message = say(
                format!("brackets and `?:` are nested more than {MAX_NESTING} deep"),
                format!("括号和 `?:` 的嵌套超过 {MAX_NESTING} 层"),
            );
            self.fault("expression_too_deep", self.at, message);
        }
    }

    fn closes(&mut self, byte: u8) {
        if self.open.last().is_some_and(|open| open.closer == byte) {
            let branches = self.open.pop().map_or(0, |open| open.branches);
            self.nesting -= branches + 1;
        } else {
            self.fault(
                "expression_syntax",
                self.at,
                say(
                    format!("`{0}` closes nothing", char::from(byte)),
                    format!("`{0}` 没有对应的左括号", char::from(byte)),
                ),
            );
        }
        self.at += 1;
    }

    fn operator(&mut self, width: usize) {
        self.operators += 1;
        self.at += width;
    }

    fn doubled(&mut self, byte: u8) {
        if self.peek(1) == Some(byte) {
            return self.operator(2);
        }
        let single = char::from(byte);
        self.fault(
            "expression_syntax",
            self.at,
            say(
                format!("write `{single}{single}`, not `{single}`"),
                format!("请写 `{single}{single}`，而不是 `{single}`"),
            ),
        );
        self.at += 1;
    }

    fn stray(&mut self) {
        let stray = self.source[self.at..].chars().next().unwrap_or_default();
        let shown = if stray.is_control() {
            stray.escape_unicode().to_string()
        } else {
            stray.to_string()
        };
        self.fault(
            "expression_syntax",
            self.at,
            say(
                format!("`{shown}` can stand only inside quotes"),
                format!("`{shown}` 只能出现在引号内"),
            ),
        );
        self.at += stray.len_utf8();
    }

    /// Text in quotes, on one line.
    fn text(&mut self, quote: u8) {
        let start = self.at;
        if self.peek(1) == Some(quote) && self.peek(2) == Some(quote) {
            self.fault(
                "unsupported_syntax",
                start,
                say(
                    "text in triple quotes is not supported; use single ones",
                    "不支持三引号文本；请使用单个引号",
                ),
            );
            self.at = self.source.len();
            return;
        }
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\n' | b'\r' => break,
                b'\\' => self.escape(),
                _ if byte == quote => {
                    self.at += 1;
                    return;
                }
                _ => self.at += 1,
            }
        }
        self.fault(
            "expression_syntax",
            start,
            say("this text is never closed", "此文本没有闭合引号"),
        );
    }

    fn escape(&mut self) {
        let is_hex = |at| self.peek(at).is_some_and(|byte| byte.is_ascii_hexdigit());
        match self.peek(1) {
            Some(b'n' | b'r' | b't' | b'"' | b'\'' | b'\\') => self.at += 2,
            Some(b'u') if (2..6).all(is_hex) => self.at += 6,
            _ => {
                let message = say(
                    r#"a backslash begins only \n, \r, \t, \", \', \\ or \uHHHH"#,
                    r#"反斜杠只能用于 \n、\r、\t、\"、\'、\\ 或 \uHHHH"#,
                );
                self.fault("expression_syntax", self.at, message);
                self.at += 1;
            }
        }
    }
}
