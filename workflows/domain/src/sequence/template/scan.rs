//! What a template may be made of, looked at before the engine reads it.
//!
//! The engine counts the instructions of a template and not what they make: one multiplication makes a hundred megabytes of two
//! bytes, and a list that holds another twice, which holds another twice, is written out as long as nobody would believe. So
//! nothing is let through that makes much of little: no product, no map, no list but of texts and numbers, no call, few sums.
//! And the names of filters and tests are looked at here, because the engine looks them up only when it comes to them, which may
//! be months after the definition was published.
//!
//! This takes a template apart exactly as the engine does, and refuses what it does not know: a tag ends where the engine thinks
//! that it ends, since what stands behind its end is not looked at.

use super::{MAX_SOURCE, Refusal};

/// The most sums of one tag.
const MAX_SUMS: usize = 16;
/// The most words, values and signs of one tag.
const MAX_TOKENS: usize = 400;
/// The longest text in a tag, in characters.
const MAX_TEXT: usize = 2_000;
/// The most loops inside one another.
const MAX_LOOPS: usize = 4;
/// The most `elif`s of a template: the engine holds each of them inside the one before.
const MAX_ELIFS: usize = 200;

/// The statements that are allowed.
const STATEMENTS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];
/// The filters that are allowed.
const FILTERS: [&str; 11] =
    ["upper", "lower", "title", "capitalize", "trim", "default", "length", "first", "last", "round", "join"];
/// The tests that are allowed, after `is` or `is not`.
const TESTS: [&str; 2] = ["defined", "undefined"];
/// The values that have names.
const CONSTANTS: [&str; 6] = ["true", "True", "false", "False", "none", "None"];

/// Bounds the size, and lets only conditions, loops and values through that cannot grow without bound.
pub(super) fn scan(source: &str) -> Result<(), Refusal> {
    if source.len() > MAX_SOURCE {
        return Err(Refusal::Syntax { line: 1, message: format!("it is larger than {MAX_SOURCE} bytes") });
    }
    let (mut rest, mut loops, mut elifs) = (source, 0_usize, 0_usize);
    while let Some(at) = rest.find('{') {
        let open = &rest[at..];
        let line = || source[..source.len() - open.len()].matches('\n').count() + 1;
        let refused = |message| Refusal::Syntax { line: line(), message };
        rest = if let Some(inside) = open.strip_prefix("{#") {
            inside.find("#}").map_or("", |end| &inside[end + 2..])
        } else if let Some(inside) = open.strip_prefix("{{") {
            Tag::new(inside, "}}").read().map_err(refused)?
        } else if let Some(inside) = open.strip_prefix("{%") {
            let mut tag = Tag::new(inside, "%}");
            match tag.statement().map_err(refused)? {
                "for" => loops += 1,
                "endfor" => loops = loops.saturating_sub(1),
                "elif" => elifs += 1,
                _ => {}
            }
            if loops > MAX_LOOPS {
                return Err(refused(format!("more than {MAX_LOOPS} loops inside one another are not allowed")));
            }
            if elifs > MAX_ELIFS {
                return Err(refused(format!("more than {MAX_ELIFS} `elif`s are not allowed")));
            }
            tag.read().map_err(refused)?
        } else {
            &open[1..]
        };
    }
    Ok(())
}

/// A tag that has a value: what is inside, from which byte on, and whether the value is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inside<'a> {
    pub(super) at: usize,
    pub(super) text: &'a str,
    pub(super) prints: bool,
}

/// The tags of a template that [`scan`] lets through. Of any other, those before what it refuses.
pub(super) fn tags(source: &str) -> Vec<Inside<'_>> {
    let (mut rest, mut found) = (source, Vec::new());
    while let Some(at) = rest.find('{') {
        let open = &rest[at..];
        if let Some(inside) = open.strip_prefix("{#") {
            rest = inside.find("#}").map_or("", |end| &inside[end + 2..]);
            continue;
        }
        let prints = open.starts_with("{{");
        if !prints && !open.starts_with("{%") {
            rest = &open[1..];
            continue;
        }
        let inside = &open[2..];
        let mut tag = Tag::new(inside, if prints { "}}" } else { "%}" });
        if !prints && tag.statement().is_err() {
            break;
        }
        let Ok(behind) = tag.read() else { break };
        let text = &inside[..inside.len() - behind.len() - 2];
        found.push(Inside { at: source.len() - inside.len(), text, prints });
        rest = behind;
    }
    found
}

/// What an open bracket is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    /// `(` around an expression.
    Group,
    /// `(` around the arguments of a filter.
    Arguments,
    /// `[` behind a value: one of its parts.
    Part,
    /// `[` at the place of a value: a list.
    List,
}

/// What stands before the next word or sign of a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing, an operator or a bracket that opens: a value is to come.
    Operator,
    /// The dot before the name of a field.
    Dot,
    /// The end of a value.
    Value,
    /// The name of a filter, which may have arguments.
    Filter,
    /// The name of a test, which has none.
    Test,
}

/// A tag from behind its first two signs on.
struct Tag<'a> {
    rest: &'a str,
    closing: &'static str,
    open: Vec<Bracket>,
    before: Before,
    tokens: usize,
    sums: usize,
}

impl<'a> Tag<'a> {
    fn new(inside: &'a str, closing: &'static str) -> Self {
        // The sign that says what becomes of the blanks before.
        let rest = inside.strip_prefix(['-', '+']).unwrap_or(inside);
        Self { rest, closing, open: Vec::new(), before: Before::Operator, tokens: 0, sums: 0 }
    }

    /// Takes the word that a statement begins with.
    fn statement(&mut self) -> Result<&'a str, String> {
        self.skip_blanks();
        let word = name(self.rest);
        self.rest = &self.rest[word.len()..];
        if STATEMENTS.contains(&word) {
            return Ok(word);
        }
        let word: String = word.chars().take(40).collect();
        Err(format!("`{{% {word} %}}` is not allowed; only if and for are"))
    }

    /// Takes the tag up to its end, and gives what comes behind it.
    fn read(mut self) -> Result<&'a str, String> {
        loop {
            self.skip_blanks();
            if self.open.is_empty() {
                let end = self.rest.strip_prefix(['-', '+']).filter(|end| end.starts_with(self.closing));
                if let Some(behind) = end.unwrap_or(self.rest).strip_prefix(self.closing) {
                    return Ok(behind);
                }
            }
            let Some(c) = self.rest.chars().next() else {
                return Err(format!("the tag is not closed with `{}`", self.closing));
            };
            self.tokens += 1;
            if self.tokens > MAX_TOKENS {
                return Err(format!("more than {MAX_TOKENS} words and signs in one tag are not allowed"));
            }
            self.before = match c {
                '"' | '\'' => self.text(c)?,
                '0'..='9' => self.number()?,
                'a'..='z' | 'A'..='Z' | '_' => self.word()?,
                c => self.sign(c)?,
            };
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
    }

    fn in_list(&self) -> bool {
        self.open.contains(&Bracket::List)
    }

    fn text(&mut self, quote: char) -> Result<Before, String> {
        self.no_argument_of_a_test()?;
        if self.before == Before::Value {
            return Err("a text right behind another value is not allowed; join the two with `~`".to_owned());
        }
        let inside = &self.rest[1..];
        let mut escaped = false;
        let end = inside.find(|c: char| {
            let closes = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let end = end.ok_or_else(|| format!("a text is not closed with `{quote}`"))?;
        if inside[..end].chars().count() > MAX_TEXT {
            return Err(format!("a text of more than {MAX_TEXT} characters in a tag is not allowed; write it outside"));
        }
        self.rest = &inside[end + 1..];
        Ok(Before::Value)
    }

    /// A number is digits, with a point and digits behind it at most: what else the engine takes for one would end elsewhere.
    fn number(&mut self) -> Result<Before, String> {
        self.no_argument_of_a_test()?;
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let whole = digits(self.rest);
        let part = self.rest[whole..].strip_prefix('.').map_or(0, digits);
        let length = if part > 0 { whole + 1 + part } else { whole };
        let behind = &self.rest[length..];
        let goes_on = match behind.strip_prefix('.') {
            // In `list.0.name` the number is the name of a part, and another name follows.
            Some(field) if part == 0 && self.before == Before::Dot => {
                let exponent = field.starts_with(['e', 'E'])
                    && field[1..].starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
                name(field).is_empty() || exponent
            }
            Some(_) => true,
            None => behind.starts_with(|c: char| c.is_alphanumeric() || c == '_'),
        };
        if goes_on {
            let written: String = self.rest.chars().take(length + 2).collect();
            return Err(format!("`{written}` is not a number; numbers like it are not allowed"));
        }
        self.rest = behind;
        Ok(Before::Value)
    }

    fn word(&mut self) -> Result<Before, String> {
        let word = name(self.rest);
        let is_field = self.before == Before::Dot;
        let binary = ["and", "or", "in", "if", "else", "is", "not"].contains(&word);
        let follows_value = !matches!(self.before, Before::Operator | Before::Dot);
        if self.in_list() && !CONSTANTS.contains(&word) {
            return Err(only_constants());
        }
        // The engine takes every other word behind a test for its argument.
        if !["and", "or", "else", "is"].contains(&word) {
            self.no_argument_of_a_test()?;
        }
        self.rest = &self.rest[word.len()..];
        if is_field {
            return Ok(Before::Value);
        }
        match word {
            "is" if follows_value => self.test(),
            "not" if follows_value => {
                // `not in`; nothing else can come here.
                self.skip_blanks();
                let next = name(self.rest);
                if next != "in" {
                    return Err(format!("`in` is expected after `not`, and not `{next}`"));
                }
                self.rest = &self.rest[next.len()..];
                Ok(Before::Operator)
            }
            "not" => Ok(Before::Operator),
            _ if binary && follows_value => Ok(Before::Operator),
            _ => Ok(Before::Value),
        }
    }

    fn test(&mut self) -> Result<Before, String> {
        self.skip_blanks();
        let mut test = name(self.rest);
        if test == "not" {
            self.rest = &self.rest[test.len()..];
            self.skip_blanks();
            test = name(self.rest);
        }
        self.rest = &self.rest[test.len()..];
        if TESTS.contains(&test) && !self.is_dotted() {
            return Ok(Before::Test);
        }
        Err(format!("there is no test `{}`; there are {}", short(test), TESTS.join(", ")))
    }

    fn filter(&mut self) -> Result<Before, String> {
        self.skip_blanks();
        let filter = name(self.rest);
        self.rest = &self.rest[filter.len()..];
        if FILTERS.contains(&filter) && !self.is_dotted() {
            return Ok(Before::Filter);
        }
        Err(format!("there is no filter `{}`; there are {}", short(filter), FILTERS.join(", ")))
    }

    /// Whether the name that was just taken goes on behind a dot: names of filters and tests may, to the engine.
    fn is_dotted(&mut self) -> bool {
        self.skip_blanks();
        self.rest.starts_with('.')
    }

    /// A value behind a test would be its argument, and the tests that there are have none.
    fn no_argument_of_a_test(&self) -> Result<(), String> {
        if self.before == Before::Test {
            return Err(format!("`{}` takes nothing; take out what stands behind it", TESTS.join("` and `")));
        }
        Ok(())
    }

    fn sign(&mut self, c: char) -> Result<Before, String> {
        if self.in_list() && !matches!(c, ',' | '-' | '[' | ']') {
            return Err(only_constants());
        }
        if matches!(c, '+' | '-') {
            self.no_argument_of_a_test()?;
        }
        self.rest = &self.rest[c.len_utf8()..];
        match c {
            '(' | '[' => self.opened(c),
            ')' | ']' => self.closed(c),
            '|' => self.filter(),
            '.' => Ok(Before::Dot),
            '~' | '+' => {
                self.sums += 1;
                if self.sums > MAX_SUMS {
                    return Err(format!("more than {MAX_SUMS} of `~` and `+` in one tag are not allowed"));
                }
                Ok(Before::Operator)
            }
            ',' if self.open.last() == Some(&Bracket::Group) => {
                Err("several values in `( )` are not allowed; a list of texts and numbers is written in `[ ]`"
                    .to_owned())
            }
            ',' | '-' | '/' | '%' | ':' | '=' | '<' | '>' | '!' => Ok(Before::Operator),
            c => Err(format!("`{c}` is not allowed in a tag")),
        }
    }

    fn opened(&mut self, c: char) -> Result<Before, String> {
        self.no_argument_of_a_test()?;
        let bracket = match (c, self.before) {
            ('(', Before::Filter) => Bracket::Arguments,
            ('(', Before::Operator) => Bracket::Group,
            ('(', _) => return Err("calling something is not allowed".to_owned()),
            (_, Before::Operator) => Bracket::List,
            _ if self.in_list() => return Err(only_constants()),
            _ => Bracket::Part,
        };
        self.open.push(bracket);
        Ok(Before::Operator)
    }

    fn closed(&mut self, c: char) -> Result<Before, String> {
        let opened = self.open.pop();
        let fits = match opened {
            Some(Bracket::Group | Bracket::Arguments) => c == ')',
            Some(Bracket::Part | Bracket::List) => c == ']',
            None => false,
        };
        if fits { Ok(Before::Value) } else { Err(format!("`{c}` closes nothing")) }
    }
}

fn only_constants() -> String {
    "a list that is written in a template holds texts and numbers; anything else in it is not allowed".to_owned()
}

/// The name that a text begins with: empty where it begins with none.
fn name(text: &str) -> &str {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = text.find(|c: char| !inner(c)).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &text[..length] }
}

fn short(name: &str) -> String {
    name.chars().take(40).collect()
}
