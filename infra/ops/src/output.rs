//! Output: what people and programs read. Answers go to standard output, as aligned text or, with `--json`, as one JSON
//! object per line, a sentence as its `message`; questions and progress go to standard error. Colour appears on a
//! terminal only.
//!
//! Whatever comes from a provider or a customer is shown without control characters.

use std::cell::RefCell;
use std::io::{self, BufRead, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::severity::Severity;

/// Where a command writes its answers, and how.
pub struct Output {
    pub json: bool,
    colour: bool,
    out: RefCell<Box<dyn Write>>,
}

/// A cell of a table, or a piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: shown(text.as_ref()), style: Style::new() }
    }
}

impl Cell {
    pub fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self { style, ..text.into() }
    }

    pub fn dim(text: impl AsRef<str>) -> Self {
        Self::styled(text, Style::new().dimmed())
    }

    pub fn good(text: impl AsRef<str>) -> Self {
        Self::styled(text, AnsiColor::Green.on_default())
    }

    pub fn of(severity: Severity, text: impl AsRef<str>) -> Self {
        let colour = match severity {
            Severity::Warning => AnsiColor::Yellow,
            Severity::Broken => AnsiColor::Red,
        };
        Self::styled(text, colour.on_default().bold())
    }
}

/// Text of somebody else's, made harmless for a terminal.
pub fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_turning(c) { '\u{b7}' } else { c }).collect()
}

/// Invisible, and able to turn or hide what follows: marks of direction, and line ends that only some programs know.
fn is_turning(c: char) -> bool {
    let single = matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}');
    single || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}')
}

/// JSON of the same value whose strings spell out what a terminal may obey; JSON itself asks for that below U+0020
/// only.
fn escaped(json: &str) -> String {
    let spelt = |c: char| {
        if c.is_control() || is_turning(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }
    };
    json.chars().map(spelt).collect()
}

/// A time as people read it; a dash for none.
pub fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"))
}

/// A name of an enum as it is spelled in JSON.
pub fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Output {
    /// Standard output, in colour where people look at it and do not mind.
    pub fn standard(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colour = wanted && io::stdout().is_terminal();
        Self { json, colour, out: RefCell::new(Box::new(io::stdout())) }
    }

    /// Anything else, without colour.
    pub fn to(out: impl Write + 'static, json: bool) -> Self {
        Self { json, colour: false, out: RefCell::new(Box::new(out)) }
    }

    /// Bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.out.borrow_mut().write_all(bytes)?)
    }

    /// One object, one line. Programs read the same; a terminal is not driven by it either.
    pub fn object(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.bytes(format!("{}\n", escaped(&text)).as_bytes())
    }

    pub fn line(&self, text: impl Into<Cell>) -> Result<(), Failure> {
        self.cells(&[text.into()])
    }

    /// Cells with a space between them.
    pub fn cells(&self, cells: &[Cell]) -> Result<(), Failure> {
        if self.json {
            let texts: Vec<_> = cells.iter().map(|cell| cell.text.as_str()).collect();
            return self.object(&json!({"message": texts.join(" ")}));
        }
        let line: Vec<_> = cells.iter().map(|cell| self.painted(&cell.text, cell.style)).collect();
        self.bytes(format!("{}\n", line.join(" ")).as_bytes())
    }

    /// Rows in columns, below their heads.
    pub fn table<const N: usize>(&self, heads: [&str; N], rows: &[[Cell; N]]) -> Result<(), Failure> {
        let heads = heads.map(|head| Cell::styled(head, Style::new().bold()));
        let width = |column: usize| {
            let cells = rows.iter().chain([&heads]).map(|row| row[column].text.chars().count());
            cells.max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..N).map(width).collect();
        for row in [&heads].into_iter().chain(rows) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| {
                let space = " ".repeat(width - cell.text.chars().count());
                format!("{}{space}", self.painted(&cell.text, cell.style))
            });
            let line: Vec<_> = cells.collect();
            self.bytes(format!("{}\n", line.join("  ").trim_end()).as_bytes())?;
        }
        Ok(())
    }

    fn painted(&self, text: &str, style: Style) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Asks for a yes, unless it was given on the command line.
    pub fn confirm(&self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(Failure::NobodyToAsk);
        }
        eprint!("{} Type yes to go on: ", shown(question));
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer)?;
        if answer.trim().eq_ignore_ascii_case("yes") { Ok(()) } else { Err(Failure::Declined) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_drive_a_terminal() {
        assert_eq!(shown("a\u{1b}[31m\nb\u{9b}"), "a·[31m·b·");
        assert_eq!(Cell::from("x\r"), Cell::from("x·"));
        assert_eq!(shown("Pay\u{202e}LLOR\u{2066}\u{2028}"), "Pay·LLOR··");
        assert_eq!(
            shown("Zo\u{eb} \u{5e9}\u{5db}\u{5e8} \u{1f468}\u{200d}\u{1f33e}"),
            "Zoë שכר 👨\u{200d}🌾",
            "words stay"
        );
    }

    #[test]
    fn json_says_the_same_and_cannot_drive_a_terminal() {
        let value = serde_json::json!({"name": "a\u{1b}[31m\u{9b}2J\u{202e}\u{7f}é\"\\"});
        let json = escaped(&value.to_string());
        assert!(json.chars().all(|c| !c.is_control() && !is_turning(c)), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("JSON"), value);
    }

    #[test]
    fn programs_read_objects_only() {
        let written = std::rc::Rc::new(RefCell::new(Vec::new()));
        struct To(std::rc::Rc<RefCell<Vec<u8>>>);
        impl Write for To {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.borrow_mut().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        Output::to(To(written.clone()), true).cells(&[Cell::good("all"), "is \"well\"".into()]).unwrap();
        assert_eq!(*written.borrow(), *b"{\"message\":\"all is \\\"well\\\"\"}\n");
    }

    #[test]
    fn words_are_those_of_the_api() {
        assert_eq!(word(shared::domain::health::Actor::EndUser), "end_user");
        assert_eq!(time(Timestamp::from_second(0).ok()), "1970-01-01T00:00:00Z");
        assert_eq!(time(None), "-");
    }
}
