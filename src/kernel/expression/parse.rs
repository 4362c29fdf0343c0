//! The parser of the `cel` crate, held within bounds.
use std::thread;

use cel::Env;
use cel::parser::ParseErrors;

use crate::kernel::text::{Say, say};

use super::check::{Check, Sound};
use super::fault::{Fault, Position};
use super::scan::MAX_NESTING;
use super::vocabulary::Vocabulary;

/// In an unoptimised build one nested call takes some 250 KiB of stack, more than the usual two
/// megabytes for what the scan lets pass; measured by
/// `the_deepest_text_that_passes_the_scan_fits_the_stack`.
const STACK_BYTES: usize = 16 << 20;
/// The parser's own limit: its error recovery may discard a closing bracket and so nest deeper than
/// the scan has counted.
const MAX_RECURSION: u16 = MAX_NESTING as u16 + 2;
/// Mistakes the parser skips over to find further ones.
const MAX_RECOVERIES: u32 = 2;

/// Runs the work with a stack large enough, whatever the caller has left of its own.
pub(super) fn with_room<T: Send>(
    work: impl FnOnce() -> Result<T, Vec<Fault>> + Send,
) -> Result<T, Vec<Fault>> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work);
        match worker.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            // The parser gave up on a text it should have refused.
            Ok(Err(_)) => Err(vec![fault(
                "expression_syntax",
                say("this is not an expression", "这不是表达式"),
            )]),
            Err(_) => Err(vec![fault(
                "expression_not_checked",
                say(
                    "the server cannot check expressions just now",
                    "服务器暂时无法检查表达式",
                ),
            )]),
        }
    })
}

/// Parses and checks a text that passed the scan.
pub(super) fn check(source: &str, vocabulary: &Vocabulary) -> Result<Sound, Vec<Fault>> {
    // Without macros, so that `exists` and its like stay the calls they were written as.
    let parser = Env::default()
        .parser()
        .enable_optional_syntax(false)
        .max_recursion_depth(MAX_RECURSION)
        .error_recovery_limit(MAX_RECOVERIES);
    let (tree, places) = parser.parse_with_source_info(source).map_err(syntax_faults)?;
    Check::condition(source, &places, vocabulary, &tree)
}

fn syntax_faults(errors: ParseErrors) -> Vec<Fault> {
    let faults: Vec<Fault> = errors
        .errors
        .into_iter()
        .filter(|error| error.msg.starts_with("Syntax error: ") || error.pos.0 > 0)
        .filter(|error| !error.msg.contains("recovery attempt limit"))
        .map(|error| Fault {
            code: "expression_syntax",
            message: plain(&error.msg),
            position: place(error.pos),
        })
        .collect();
    if faults.is_empty() {
        return vec![fault(
            "expression_syntax",
            say("this is not an expression", "这不是表达式"),
        )];
    }
    faults
}

/// The parser's message without the list of everything it would have taken instead.
fn plain(message: &str) -> Say {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let brief = message.split(" expecting ").next().unwrap_or(message);
    let unwanted = brief
        .strip_prefix("mismatched input ")
        .or_else(|| brief.strip_prefix("extraneous input "));
    match unwanted {
        Some("'<EOF>'") => say("something is missing at the end", "表达式不完整，结尾缺少内容"),
        Some(text) => say(
            format!("{text} cannot stand here"),
            format!("此处不能出现 {text}"),
        ),
        None => say(format!("syntax: {brief}"), format!("语法错误：{brief}")),
    }
}

fn place((line, column): (isize, isize)) -> Option<Position> {
    let (line, column) = (usize::try_from(line).ok()?, usize::try_from(column).ok()?);
    (line > 0 && column > 0).then_some(Position { line, column })
}

fn fault(code: &'static str, message: Say) -> Fault {
    Fault {
        code,
        message,
        position: None,
    }
}
