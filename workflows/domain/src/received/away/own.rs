//! What the person wrote: without what is quoted below it.

/// How a copied head of an e-mail begins.
const HEADS: [&str; 8] = ["-----original", "from:", "von:", "de :", "de:", "da:", "发件人", "________________"];
/// What somebody did who is quoted.
const WROTE: [&str; 8] = ["wrote", "schrieb", "écrit", "escribió", "ha scritto", "escreveu", "schreef", "写道"];
/// How a line begins that says when.
const WHEN: [&str; 9] = ["on ", "am ", "le ", "el ", "il giorno ", "il ", "em ", "op ", "在"];
/// Over how many lines mail programs break what introduces a quotation.
const INTRODUCTION: usize = 3;

/// What stands in front of a quotation, in a text of small letters.
pub(super) fn own_words(text: &str) -> &str {
    let mut starts = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if trimmed.starts_with('>') || HEADS.iter().any(|head| trimmed.starts_with(head)) {
            return &text[..start];
        }
        starts.push(start);
        lines.push(trimmed);
        if let Some(first) = introduces(&lines) {
            return &text[..starts.get(first).copied().unwrap_or(start)];
        }
        start += line.len();
    }
    text
}

/// The first line of an introduction that ends with the last of these lines, where one does.
fn introduces(lines: &[&str]) -> Option<usize> {
    let last = lines.len().checked_sub(1)?;
    let end = lines[last].strip_suffix([':', '：'])?.trim_end();
    // Mail programs break it anywhere: before "wrote", or before the address.
    let first = (last.saturating_sub(INTRODUCTION - 1)..last)
        .rev()
        .take_while(|at| !lines[*at].is_empty())
        .find(|at| says_when(lines[*at]));
    let whole = || lines[first.unwrap_or(last)..last].iter().any(|line| wrote(line));
    if WROTE.iter().any(|verb| ends_with_word(end, verb)) {
        return Some(if says_when(end) { last } else { first.unwrap_or(last) });
    }
    if wrote(end) && says_when(end) {
        return Some(last);
    }
    first.filter(|_| wrote(end) || whole())
}

fn says_when(line: &str) -> bool {
    WHEN.iter().any(|word| line.starts_with(word)) && line.contains(|c: char| c.is_ascii_digit())
}

/// Whether a line has one of the verbs as a word of its own; Chinese has no blanks between words.
fn wrote(line: &str) -> bool {
    WROTE.iter().any(|verb| {
        line.match_indices(verb).any(|(at, _)| {
            let around = (line[..at].chars().next_back(), line[at + verb.len()..].chars().next());
            *verb == "写道" || !(is_letter(around.0) || is_letter(around.1))
        })
    })
}

fn ends_with_word(line: &str, verb: &str) -> bool {
    line.strip_suffix(verb).is_some_and(|before| verb == "写道" || !is_letter(before.chars().next_back()))
}

fn is_letter(c: Option<char>) -> bool {
    c.is_some_and(char::is_alphabetic)
}
