//! Reading and checking a definition. Every problem is found in one go, and each names the place, the rule and the line.

use super::definition::{Definition, Header, Step, USUAL_PRIORITY, is_name};
use super::snippets::{self, Snippets};
use super::steps::StepKind;
use super::tree::Tree;
use crate::codes;
use crate::email_template::library::Library;
use crate::expression::{self, Broken};
use serde::Serialize;
use std::collections::BTreeSet;

mod check;
mod decoding;
mod problems;
mod triggers;
mod ways;

pub use check::Check;
pub(crate) use decoding::part;
use decoding::{decode, yaml_problem};
pub(crate) use problems::Problems;
use triggers::{check_stops, check_triggers};
use ways::check_ways;

/// The largest source, in bytes.
pub const MAX_SOURCE: usize = 256 * 1024;
/// The most steps.
pub const MAX_STEPS: usize = 200;

codes! {
    /// The rules of a definition.
    pub enum Rule("sequence rule") {
        /// The source is not YAML.
        Yaml = "SEQUENCE_YAML",
        /// A value is missing, unknown or of the wrong kind.
        Shape = "SEQUENCE_SHAPE",
        /// Something is larger than allowed.
        TooLarge = "SEQUENCE_TOO_LARGE",
        /// A key or step id is not of the form.
        NameInvalid = "SEQUENCE_NAME_INVALID",
        /// Two steps have the same id.
        StepDuplicate = "SEQUENCE_STEP_DUPLICATE",
        /// A step goes to one that does not exist.
        StepUnknown = "SEQUENCE_STEP_UNKNOWN",
        /// No way leads to the step.
        StepUnreachable = "SEQUENCE_STEP_UNREACHABLE",
        /// A loop would run without ever waiting.
        LoopWithoutWait = "SEQUENCE_LOOP_WITHOUT_WAIT",
        /// The way does not come to an end.
        NoEnd = "SEQUENCE_NO_END",
        /// A template is not valid.
        TemplateSyntax = "TEMPLATE_SYNTAX",
        /// A template reads a variable that does not exist.
        TemplateUndefined = "TEMPLATE_UNDEFINED",
        /// A condition is not valid.
        ExpressionSyntax = "EXPRESSION_SYNTAX",
        /// A condition reads a variable, a field or a function that does not exist.
        ExpressionUndefined = "EXPRESSION_UNDEFINED",
        /// The values of a condition do not go together.
        ExpressionMismatch = "EXPRESSION_MISMATCH",
        /// Two triggers say the same.
        TriggerDuplicate = "SEQUENCE_TRIGGER_DUPLICATE",
        /// The definition names something that does not exist outside of it.
        ReferenceUnknown = "SEQUENCE_REFERENCE_UNKNOWN",
        /// The definition takes the text of a template that is archived.
        TemplateArchived = "SEQUENCE_TEMPLATE_ARCHIVED",
        /// Advice: a template reads what not everybody has, without a word for the others.
        TemplateNoFallback = "TEMPLATE_NO_FALLBACK",
        /// Advice: a link leads nowhere.
        TemplateLinkBroken = "TEMPLATE_LINK_BROKEN",
        /// Advice: mail programs cut an e-mail of this size off.
        TemplateClipped = "TEMPLATE_CLIPPED",
        /// Advice: nobody can unsubscribe in the e-mail itself.
        TemplateNoUnsubscribe = "TEMPLATE_NO_UNSUBSCRIBE",
        /// A step sends to a channel that does not exist.
        ChannelUnknown = "CHANNEL_UNKNOWN",
        /// A step sends to a channel that is for steps of another kind.
        ChannelOtherKind = "CHANNEL_OTHER_KIND",
        /// The definition names a working calendar that does not exist.
        CalendarUnknown = "SEQUENCE_CALENDAR_UNKNOWN",
        /// The definition names a pool that no mailbox is in.
        PoolUnknown = "SEQUENCE_POOL_UNKNOWN",
        /// A template changes the link to unsubscribe, or shows it to others.
        TemplateLinkSpoilt = "TEMPLATE_LINK_SPOILT",
        /// A template prints a whole record, map or list.
        TemplateWholeRecord = "TEMPLATE_WHOLE_RECORD",
        /// Advice: an expression reads what not everybody has, without a guard.
        ExpressionNoGuard = "EXPRESSION_NO_GUARD",
        /// Advice: a value of the run is read without a guard, and a trigger does not give it.
        VarNotGiven = "SEQUENCE_VAR_NOT_GIVEN",
        /// A part of a condition that reads nothing never has a value.
        ExpressionFailed = "EXPRESSION_FAILED",
    }
}

impl Rule {
    /// Whether it is advice: a definition that does not follow it can be published all the same.
    pub const fn is_advice(self) -> bool {
        matches!(
            self,
            Self::TemplateNoFallback
                | Self::TemplateLinkBroken
                | Self::TemplateClipped
                | Self::TemplateNoUnsubscribe
                | Self::ExpressionNoGuard
                | Self::VarNotGiven
        )
    }
}

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, e.g. `steps[3].template.subject`; empty for the document as a whole.
    pub path: String,
    /// Which rule.
    pub rule: Rule,
    /// What is wrong and what to do.
    pub message: String,
    /// The line of the source, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The column in that line, counted from 1 in characters, where it is known.
    pub column: Option<usize>,
    /// The stored template in whose document all of this is, e.g. `welcome_mail@3`; none where it is in the document itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(template) = &self.template {
            write!(f, "{template}, ")?;
        }
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "line {line}, column {column}: ")?,
            (Some(line), None) => write!(f, "line {line}: ")?,
            (None, _) => {}
        }
        let path = if self.path.is_empty() { "the document" } else { &self.path };
        write!(f, "{path}: {} [{}]", self.message, self.rule)
    }
}

/// Reads a definition from YAML (or JSON) and checks every rule. Gives all problems, in the order of the document. Of stored
/// templates none is known here: whoever can look for them reads with [`read_with`].
pub fn read(source: &str) -> Result<Definition, Vec<Problem>> {
    read_with(source, &Library::closed())
}

/// Reads a definition as [`read`] does; e-mails whose template is the key of a stored one get their text from `library`.
pub fn read_with(source: &str, library: &Library) -> Result<Definition, Vec<Problem>> {
    Ok(snippets::put_in(look(source, library, |_, _| {})?))
}

/// The document as it was written, or why it cannot be read.
pub(crate) fn parse(source: &str) -> Result<Tree, Vec<Problem>> {
    let whole = |rule, message: String, place: Option<(usize, usize)>| {
        let (line, column) = (place.map(|(line, _)| line), place.map(|(_, column)| column));
        vec![Problem { path: String::new(), rule, message, line, column, template: None }]
    };
    if source.len() > MAX_SOURCE {
        let message = format!("it is larger than {MAX_SOURCE} bytes; split it into several documents");
        return Err(whole(Rule::TooLarge, message, None));
    }
    // Neither the document nor what is read of it could be stored. YAML and JSON have an escape for it beside the character.
    const NUL: &str = "it holds the character NUL (U+0000), which cannot be stored; take it out";
    if let Some(before) = source.split_once('\0').map(|(before, _)| before) {
        let line = before.split('\n').count();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        return Err(whole(Rule::Shape, NUL.to_owned(), Some((line, column))));
    }
    // On a stack of its own: nested collections recurse, here and in the YAML reader.
    let parsed = expression::with_stack(|| {
        let tree = serde_saphyr::from_str::<Tree>(source).map_err(|error| yaml_problem(&error))?;
        let nul = tree.nul();
        Ok::<_, (String, Option<(usize, usize)>)>((tree, nul))
    });
    match parsed {
        Ok(Ok((_, Some(place)))) => Err(whole(Rule::Shape, NUL.to_owned(), Some(place))),
        Ok(Ok((tree, None))) => Ok(tree),
        Ok(Err((message, place))) => Err(whole(Rule::Yaml, message, place)),
        Err(Broken::NoThread) => {
            let message = "there was no thread left to read it; try again";
            Err(whole(Rule::Yaml, message.to_owned(), None))
        }
        Err(Broken::Panicked) => Err(whole(Rule::Yaml, "it cannot be read".to_owned(), None)),
    }
}

/// Reads a definition as [`read_with`] does, and gives it as it is written, with its snippets outside. `more` may find further
/// problems of one that has none.
pub(super) fn look(
    source: &str,
    library: &Library,
    more: impl FnOnce(&Definition, &mut Problems<'_>),
) -> Result<Definition, Vec<Problem>> {
    let tree = parse(source)?;
    let mut problems = Problems::new(source, &tree);
    let definition = decode(&tree, library, &mut problems);
    if let Some(definition) = &definition {
        check_header(&definition.header, &mut problems);
        check_steps(&definition.steps, Some(&definition.header.snippets), &mut problems);
        check_stops(definition, &mut problems);
        check_calendars(definition, &mut problems);
        // The ways between steps say something only once all steps could be read.
        if !problems.has(Rule::Shape) {
            check_ways(definition, &mut problems);
        }
        library.look_again(definition, &mut problems);
        if problems.is_empty() {
            more(definition, &mut problems);
        }
    }
    let found = problems.in_order();
    match definition {
        Some(definition) if found.is_empty() => Ok(definition),
        _ => Err(found),
    }
}

/// The path of a field in what is at `path`.
pub(crate) fn join(path: &str, field: &str) -> String {
    match (path.is_empty(), field) {
        (_, "" | ".") => path.to_owned(),
        (true, _) => field.to_owned(),
        (false, _) if field.starts_with('[') => format!("{path}{field}"),
        (false, _) => format!("{path}.{field}"),
    }
}

/// Why a text is no name, and the name that is nearest to it.
pub(crate) fn not_a_name(what: &str, text: &str) -> String {
    let rule = format!("{what} is 1 to 60 lower-case letters, digits and `_`, a letter first");
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let tried: String = text.trim().chars().map(fit).take(60).collect();
    if is_name(&tried) {
        format!("{rule}; for example `{tried}`")
    } else {
        format!("{rule}; for example `welcome_mail`")
    }
}

fn check_header(header: &Header, problems: &mut Problems<'_>) {
    if !is_name(&header.key) {
        problems.add("key".to_owned(), Rule::NameInvalid, not_a_name("a key", &header.key));
    }
    if header.name.trim().is_empty() || header.name.chars().count() > 200 {
        problems.add("name".to_owned(), Rule::NameInvalid, "a name has 1 to 200 characters");
    }
    let mut check = Check::new(String::new(), problems, None);
    check.plain("name", &header.name);
    for (field, condition) in [("entry", &header.entry), ("goal", &header.goal), ("exit", &header.exit)] {
        if let Some(condition) = condition {
            check.condition(field, condition);
        }
    }
    if let Some(key) = &header.reentry.key {
        check.text("reentry.key", key);
    }
    check.snippets(&header.snippets);
    for (field, calendar) in [
        ("calendar", header.calendar.as_ref()),
        ("send_window.calendar", header.send_window.as_ref().and_then(|window| window.calendar.as_ref())),
    ] {
        if let Some(calendar) = calendar {
            check.calendar(field, calendar);
        }
    }
    if let Some(group) = header.exclusive.as_ref().filter(|group| !is_name(group)) {
        check.problem("exclusive", Rule::NameInvalid, not_a_name("the name of a group", group));
    }
    if header.priority > 100 {
        check.problem("priority", Rule::Shape, "a priority is a whole number from 0 to 100");
    }
    if header.exclusive.is_none() && header.priority != USUAL_PRIORITY {
        let message =
            "a priority counts among the sequences of a group; name the group with `exclusive`, or take it away";
        check.problem("priority", Rule::Shape, message);
    }
    if header.send_window.as_ref().is_some_and(|window| window.weekdays.is_empty()) {
        check.problem(
            "send_window.weekdays",
            Rule::Shape,
            "a window without a weekday never opens; name one, or leave it out",
        );
    }
    if header
        .send_window
        .as_ref()
        .is_some_and(|window| window.from == window.to && window.from.0 != chrono::NaiveTime::MIN)
    {
        let message = "it ends when it begins; write another time, or from \"00:00\" to \"00:00\" for whole days";
        check.problem("send_window.to", Rule::Shape, message);
    }
    check_triggers(&header.triggers, problems);
}

/// Business time needs a calendar to be counted on.
fn check_calendars(definition: &Definition, problems: &mut Problems<'_>) {
    if definition.header.calendar.is_some() {
        return;
    }
    let without = |step: &&(usize, &Step)| step.1.kind.needs_calendar() && step.1.kind.calendar().is_none();
    for (at, _) in definition.steps.iter().enumerate().filter(|step| without(&step)) {
        let message =
            "business time is counted on a working calendar; name one with `calendar`, here or for the sequence";
        problems.add(format!("steps[{at}]"), Rule::Shape, message);
    }
}

fn check_steps(steps: &[Step], snippets: Option<&Snippets>, problems: &mut Problems<'_>) {
    if let Some(snippets) = snippets {
        let emails = steps.iter().filter_map(|step| match &step.kind {
            // What stored templates have is bounded apart.
            StepKind::SendEmail(email) if email.uses.is_none() => Some(email.templates().map(|(_, template)| template)),
            _ => None,
        });
        Check::new(String::new(), problems, None).together(emails.flatten(), snippets);
    }
    let mut seen = BTreeSet::new();
    for (at, step) in steps.iter().enumerate() {
        let path = format!("steps[{at}]");
        if !is_name(&step.id) {
            problems.add(join(&path, "id"), Rule::NameInvalid, not_a_name("an id", &step.id));
        } else if !seen.insert(step.id.as_str()) {
            problems.add(
                join(&path, "id"),
                Rule::StepDuplicate,
                format!("another step has the id `{}`; give this one another", step.id),
            );
        }
        step.kind.check(&mut Check::new(path, problems, snippets));
    }
}
