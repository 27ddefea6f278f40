//! What a kind of step checks its own settings with.

use super::problems::Written;
use super::{Problems, Rule, join, not_a_name};
use crate::calendar::is_key;
use crate::expression::typing::{self, Purpose, Shape};
use crate::expression::{self, Expression, constants};
use crate::sequence::definition::is_name;
use crate::sequence::environment::{environment, with_answer, with_texts};
use crate::sequence::snippets::{self, Snippets};
use crate::sequence::steps::send_email::{EmailParts, UNSUBSCRIBE_URL};
use crate::sequence::template::{self, Form};

/// The field that snippets are written in.
const SNIPPETS: &str = "snippets";

/// What a kind of step checks its own settings with.
pub struct Check<'a, 'b> {
    path: String,
    problems: &'a mut Problems<'b>,
    /// The snippets that e-mails may include; none where the header could not be read.
    snippets: Option<&'a Snippets>,
    /// Whether something is wrong with the snippets themselves, which is told where they stand.
    broken_snippets: bool,
}

impl<'a, 'b> Check<'a, 'b> {
    /// Checks what is at `path`; without `snippets`, whatever an e-mail includes is let through.
    pub(crate) fn new(path: String, problems: &'a mut Problems<'b>, snippets: Option<&'a Snippets>) -> Self {
        let broken_snippets = problems.are_in(SNIPPETS);
        Self { path, problems, snippets, broken_snippets }
    }

    /// Checks texts that e-mails share.
    pub(crate) fn snippets(&mut self, snippets: &Snippets) {
        if snippets.len() > snippets::MOST {
            let message = format!("at most {} snippets can be here; put some of them together", snippets::MOST);
            self.problem(SNIPPETS, Rule::TooLarge, message);
        }
        let found = self.problems.count();
        for (name, text) in snippets {
            let field = format!("{SNIPPETS}.{name}");
            if !is_name(name) {
                self.problem(&field, Rule::NameInvalid, not_a_name("the name of a snippet", name));
            }
            self.template(&field, text, Form::Text, &[UNSUBSCRIBE_URL], snippets::LONGEST);
        }
        self.broken_snippets |= self.problems.count() > found;
    }

    /// Checks how large e-mails are together with their snippets. It comes before they are looked at one by one, which takes the
    /// longer the larger they are.
    pub(crate) fn together<'e>(&mut self, templates: impl Iterator<Item = &'e EmailParts>, snippets: &Snippets) {
        if snippets.is_empty() {
            return;
        }
        let size = templates.map(|template| snippets::size(template, snippets)).fold(0, usize::saturating_add);
        if size > snippets::MOST_TOGETHER {
            let (size, most) = (size / 1024, snippets::MOST_TOGETHER / 1024);
            let message = format!("the e-mails have {size} kB with them, and {most} kB is the most; include less");
            self.problem(SNIPPETS, Rule::TooLarge, message);
            self.broken_snippets = true;
        }
    }

    /// Reports a problem at `field` of this step.
    pub fn problem(&mut self, field: &str, rule: Rule, message: impl Into<String>) {
        self.problems.add(join(&self.path, field), rule, message);
    }

    /// Checks a short text that is shown as it is: nothing in it breaks the line, or turns around what stands beside it.
    pub fn plain(&mut self, field: &str, text: &str) {
        let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if let Some(odd) = text.chars().find(|c| c.is_control() || turns(*c)) {
            let code = u32::from(odd);
            let message = format!("it has a sign that is not seen (U+{code:04X}); take it out");
            self.problem(field, Rule::Shape, message);
        }
    }

    /// Checks the key of a working calendar. Whether there is such a calendar is asked when the definition is published.
    pub fn calendar(&mut self, field: &str, given: &str) {
        self.key(field, given, "a working calendar");
    }

    /// Checks the key of a definition that is saved on its own; `what` names it.
    pub fn key(&mut self, field: &str, given: &str, what: &str) {
        if !is_key(given) {
            let message = format!("this is not the key of {what}; use 1 to 60 of a-z, 0-9, _ and -");
            self.problem(field, Rule::NameInvalid, message);
        }
    }

    /// Checks a CEL expression that gives true or false.
    pub fn condition(&mut self, field: &str, source: &str) {
        self.check_expression(field, source, environment(), Purpose::Condition);
    }

    /// Checks a CEL expression that gives any value.
    pub fn expression(&mut self, field: &str, source: &str) {
        self.check_expression(field, source, environment(), Purpose::Value);
    }

    /// Checks a CEL expression that gives a text.
    pub fn text(&mut self, field: &str, source: &str) {
        self.check_expression(field, source, environment(), Purpose::Text);
    }

    /// Checks a CEL expression that gives a text, a number, true or false, or null.
    pub fn scalar(&mut self, field: &str, source: &str) {
        self.check_expression(field, source, environment(), Purpose::Scalar);
    }

    /// Checks a CEL expression that gives true or false and reads these variables.
    pub fn condition_in(&mut self, field: &str, source: &str, variables: &Shape) {
        self.check_expression(field, source, variables, Purpose::Condition);
    }

    /// Checks a CEL expression that gives any value and reads these variables.
    pub fn expression_in(&mut self, field: &str, source: &str, variables: &Shape) {
        self.check_expression(field, source, variables, Purpose::Value);
    }

    /// Checks a CEL expression that gives any value and may read `answer` and `status` beside the usual variables.
    pub fn answer(&mut self, field: &str, source: &str) {
        self.check_expression(field, source, with_answer(), Purpose::Value);
    }

    fn check_expression(&mut self, field: &str, source: &str, variables: &Shape, purpose: Purpose) {
        let path = join(&self.path, field);
        if let Err(refusal) = Expression::parse(source) {
            let at = refusal.place().map_or(0, |(line, column)| byte_at(source, line, column));
            let said = match &refusal {
                expression::Refusal::Syntax { message, .. } => format!("the expression is not valid: {message}"),
                other => other.to_string(),
            };
            let hint = likely_fix(source, at);
            let message = format!("{said}; {hint}");
            self.problems.add_inside(path, source, at, Rule::ExpressionSyntax, message);
            return;
        }
        let before = self.problems.count();
        for (at, message) in constants::broken(source) {
            self.problems.add_inside(path.clone(), source, at, Rule::ExpressionFailed, message);
        }
        for fault in typing::faults(source, variables, purpose) {
            let rule = if fault.unknown { Rule::ExpressionUndefined } else { Rule::ExpressionMismatch };
            self.problems.add_inside(path.clone(), source, fault.at, rule, fault.message);
        }
        if self.problems.count() == before {
            self.problems.note(Written { path, source: source.to_owned(), purpose });
        }
    }

    /// Checks a part of an e-mail: a template that may include snippets and read the link to unsubscribe by.
    pub fn letter(&mut self, field: &str, source: &str, form: Form, chars: usize) {
        let (blanked, unknown) = snippets::blanked(source, self.snippets);
        let path = join(&self.path, field);
        for (at, message) in unknown {
            self.problems.add_inside(path.clone(), source, at, Rule::TemplateUndefined, message);
        }
        let found = self.problems.count();
        if snippets::length(source, self.snippets) > chars {
            self.problem(
                field,
                Rule::TooLarge,
                format!("with its snippets it is longer than {chars} characters; shorten it"),
            );
        }
        let has_the_link = |snippets: &Snippets| snippets::filled(source, snippets).contains(UNSUBSCRIBE_URL);
        if form == Form::Line && (source.contains(UNSUBSCRIBE_URL) || self.snippets.is_some_and(has_the_link)) {
            let message = "the link to unsubscribe is the person's own, and a subject is shown to others and quoted in answers; \
                           write it into the text";
            let at = source.find(UNSUBSCRIBE_URL).unwrap_or(0);
            self.problems.add_inside(path, source, at, Rule::TemplateLinkSpoilt, message.to_owned());
        }
        // Nothing but snippets are looked at where they stand.
        if source.trim().is_empty() || !blanked.trim().is_empty() {
            self.template(field, &blanked, form, &[UNSUBSCRIBE_URL], usize::MAX);
        }
        if self.problems.count() == found && !self.broken_snippets {
            self.filled(field, source, form);
        }
    }

    /// Checks a part of an e-mail as it is published and filled: with its snippets in their places.
    fn filled(&mut self, field: &str, source: &str, form: Form) {
        let Some(snippets) = self.snippets.filter(|snippets| !snippets.is_empty()) else { return };
        let filled = snippets::filled(source, snippets);
        if filled.len() > template::MAX_SOURCE {
            let message = format!("with its snippets it is larger than {} bytes; shorten it", template::MAX_SOURCE);
            self.problem(field, Rule::TooLarge, message);
        } else if let Err(refusal) = template::check(&filled, form) {
            let message = format!("with its snippets {}; look at how they go together", broken_template(&refusal));
            self.problem(field, Rule::TemplateSyntax, message);
        }
    }

    /// Checks a template that may read `extra` variables, which are texts, beside the usual ones, and is at most `chars` long.
    pub fn template(&mut self, field: &str, source: &str, form: Form, extra: &[&'static str], chars: usize) {
        if source.trim().is_empty() {
            self.problem(field, Rule::Shape, "it is empty; write something");
        } else if source.chars().count() > chars {
            self.problem(field, Rule::TooLarge, format!("it is longer than {chars} characters; shorten it"));
        }
        if source.len() > template::MAX_SOURCE {
            let message = format!("it is larger than {} bytes; shorten it", template::MAX_SOURCE);
            self.problem(field, Rule::TooLarge, message);
            return;
        }
        let path = join(&self.path, field);
        if let Err(refusal) = template::check(source, form) {
            let at = byte_at(source, refusal.line(), 1);
            let said = broken_template(&refusal);
            let hint = match said.contains("not allowed") {
                true => "take it out",
                false => "every `{{` needs its `}}`, every `{% if %}` its `{% endif %}`",
            };
            let message = format!("{said}; {hint}");
            self.problems.add_inside(path, source, at, Rule::TemplateSyntax, message);
            return;
        }
        let known = with_texts(extra);
        for (at, message) in template::unknown(source, form, &known) {
            self.problems.add_inside(path.clone(), source, at, Rule::TemplateUndefined, message);
        }
        for (at, message) in template::spoilt_link(source, UNSUBSCRIBE_URL) {
            self.problems.add_inside(path.clone(), source, at, Rule::TemplateLinkSpoilt, message);
        }
        for (at, message) in template::whole_records(source, &known) {
            self.problems.add_inside(path.clone(), source, at, Rule::TemplateWholeRecord, message);
        }
    }
}

/// What is likely meant by an expression that is not valid at a byte.
fn likely_fix(source: &str, at: usize) -> &'static str {
    let is_word = |word: &str| source.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word);
    match source[at..].trim_start().chars().next().or_else(|| source[..at].chars().last()) {
        _ if source.contains("{{") => "an expression stands without `{{ }}`; take them out",
        _ if source.contains(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{201e}']) => {
            "a text stands in straight quotes; write 'text'"
        }
        _ if source.contains(['\u{ff1a}', '\u{ff0c}', '\u{ff08}', '\u{ff09}', '\u{ff1d}']) => {
            "a sign is of full width; write it in the usual width"
        }
        _ if source.contains('\u{a0}') => "a blank is one that does not break; write it anew with the space bar",
        Some('=') => "a comparison is written `==`",
        _ if is_word("and") => "`and` is written `&&`",
        _ if is_word("or") => "`or` is written `||`",
        _ if is_word("not") => "`not` is written `!`",
        _ => "look at what is left open, and at the operators",
    }
}

/// What is wrong with a template, without the place, which is told beside it.
fn broken_template(refusal: &template::Refusal) -> String {
    let said = match refusal {
        template::Refusal::Syntax { message, .. } => message.clone(),
        other => other.to_string(),
    };
    format!("the template is not valid: {said}")
}

/// The byte at a line and column, both from 1.
fn byte_at(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.trim_end().len(), |(at, _)| at)
}
