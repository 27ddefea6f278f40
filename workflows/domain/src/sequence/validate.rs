//! Reading and checking a definition. Every problem is found in one go, and each names the place, the rule and the line.

use super::definition::{Definition, Header, Step, USUAL_PRIORITY, is_name};
use super::environment::{environment, with_answer, with_texts};
use super::snippets::{self, Snippets};
use super::steps::send_email::UNSUBSCRIBE_URL;
use super::steps::{self, StepKind};
use super::template::{self, Form};
use super::tree::Tree;
use crate::calendar::is_key;
use crate::codes;
use crate::email_template::library::{self, Library};
use crate::expression::typing::{self, Purpose, Shape};
use crate::expression::{self, Broken, Expression};
use crate::nearest::nearest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

mod triggers;

use triggers::{check_stops, check_triggers, decode_triggers};

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
    }
}

impl Rule {
    /// Whether it is advice: a definition that does not follow it can be published all the same.
    pub const fn is_advice(self) -> bool {
        matches!(
            self,
            Self::TemplateNoFallback | Self::TemplateLinkBroken | Self::TemplateClipped | Self::TemplateNoUnsubscribe
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
    // On a stack of its own: nested collections recurse, here and in the YAML reader.
    let parsed =
        expression::with_stack(|| serde_saphyr::from_str::<Tree>(source).map_err(|error| yaml_problem(&error)));
    match parsed {
        Ok(Ok(tree)) => Ok(tree),
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
    let mut problems = Problems { source, tree: &tree, found: Vec::new() };
    let definition = decode(&tree, library, &mut problems);
    if let Some(definition) = &definition {
        check_header(&definition.header, &mut problems);
        check_steps(&definition.steps, Some(&definition.header.snippets), &mut problems);
        check_stops(definition, &mut problems);
        check_calendars(definition, &mut problems);
        // The ways between steps say something only once all steps could be read.
        if problems.found.iter().all(|problem| !matches!(problem.rule, Rule::Shape)) {
            check_ways(definition, &mut problems);
        }
        library.look_again(definition, &mut problems);
        if problems.found.is_empty() {
            more(definition, &mut problems);
        }
    }
    let found = problems.in_order();
    match definition {
        Some(definition) if found.is_empty() => Ok(definition),
        _ => Err(found),
    }
}

fn yaml_problem(error: &serde_saphyr::Error) -> (String, Option<(usize, usize)>) {
    let place = error.location().and_then(|at| {
        let (line, column) = (usize::try_from(at.line()).ok()?, usize::try_from(at.column()).ok()?);
        (line > 0).then_some((line, column.max(1)))
    });
    // The reader's own message goes on with an excerpt; its first line says what is wrong.
    let message: String = error.to_string().lines().next().unwrap_or_default().chars().take(300).collect();
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    // The place is told beside it, and how to set the reader is nothing for the writer.
    let message =
        message.strip_prefix("line ").and_then(|rest| rest.split_once(": ")).map_or(message, |(_, rest)| rest);
    let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
    (format!("{message}{}", yaml_hint(message)), place)
}

/// What was found so far.
pub(crate) struct Problems<'a> {
    source: &'a str,
    tree: &'a Tree,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    /// None so far, of a document that was parsed from `source`.
    pub(crate) const fn new(source: &'a str, tree: &'a Tree) -> Self {
        Self { source, tree, found: Vec::new() }
    }

    /// Whether none was found.
    pub(crate) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them in the order of the document, and then those of stored templates, each once.
    pub(crate) fn in_order(self) -> Vec<Problem> {
        let mut found = self.found;
        found.sort_by(|a, b| (&a.template, a.line, a.column).cmp(&(&b.template, b.line, b.column)));
        found.dedup();
        found
    }

    /// Problems in the document of a stored template, whose name and version are `template`.
    pub(crate) fn add_of_template(&mut self, template: &str, found: Vec<Problem>) {
        let named = |problem| Problem { template: Some(template.to_owned()), ..problem };
        self.found.extend(found.into_iter().map(named));
    }

    /// A problem of the value at `path`.
    pub(crate) fn add(&mut self, path: String, rule: Rule, message: impl Into<String>) {
        let (line, column) = self.tree.place_of(&path);
        self.push(path, rule, message.into(), (line, column));
    }

    fn push(&mut self, path: String, rule: Rule, message: String, (line, column): (usize, usize)) {
        let (line, column) = (Some(line), Some(column));
        self.found.push(Problem { path, rule, message, line, column, template: None });
    }

    /// A problem that the decoder found: where a field is not known, the key is where it is.
    pub(crate) fn add_shape(&mut self, path: String, rule: Rule, message: String) {
        if !message.starts_with("unknown field") {
            return self.add(path, rule, message);
        }
        let place = self.tree.key_place_of(&path);
        self.push(path, rule, message, place);
    }

    /// A problem at a byte of the text `inside` that is the value at `path`.
    pub(crate) fn add_inside(&mut self, path: String, inside: &str, at: usize, rule: Rule, message: String) {
        let place = self.place_inside(&path, inside, at);
        self.push(path, rule, message, place);
    }

    /// Where a byte of a text stands in the document, which may quote, indent or fold it: as near as can be told.
    fn place_inside(&self, path: &str, inside: &str, at: usize) -> (usize, usize) {
        let (first, column) = self.tree.place_of(path);
        let at = (0..=at.min(inside.len())).rev().find(|at| inside.is_char_boundary(*at)).unwrap_or(0);
        let before = &inside[..at];
        let opening = self.source.lines().nth(first - 1).unwrap_or_default().trim_end();
        // A block text (`text: |`) begins in the line after its sign.
        let sign = opening.trim_end_matches(|c: char| c == '-' || c == '+' || c.is_ascii_digit());
        let block = sign.strip_suffix(['|', '>']).is_some_and(|before| before.trim_end().ends_with(':'));
        let line = first + before.matches('\n').count() + usize::from(block);
        let written = self.source.lines().nth(line - 1).unwrap_or_default();
        let start_of_line = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = inside[start_of_line..].lines().next().unwrap_or_default();
        let indent = text.len() - text.trim_start().len();
        // On the first line another value may stand before this one.
        let skipped = if line == first { byte_of_column(written, column) } else { 0 };
        let found = written[skipped..].find(text.trim()).filter(|_| !text.trim().is_empty());
        match found {
            Some(place) => {
                let place = skipped + place + (at - start_of_line).saturating_sub(indent);
                let place = (0..=place.min(written.len())).rev().find(|at| written.is_char_boundary(*at)).unwrap_or(0);
                (line, written[..place].chars().count() + 1)
            }
            None if line == first => (line, column),
            None => (line, 1),
        }
    }
}

fn byte_of_column(line: &str, column: usize) -> usize {
    line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(at, _)| at)
}

/// What to do about a document that is no YAML, where the reader's own words do not say it.
fn yaml_hint(message: &str) -> &'static str {
    let small = message.to_lowercase();
    if small.contains("duplicate") {
        "; keep one of the two"
    } else if small.contains("tabs") {
        "; indent with spaces"
    } else if small.contains("mapping values") || small.contains("':'") || small.contains("block mapping") {
        "; put a text with a colon in quotes, and line the keys up"
    } else {
        "; look at the indentation and at what is left open: quotes, brackets, braces"
    }
}

/// What the decoder says of a value that does not fit, and what to do about it.
fn shape_message(message: &str) -> String {
    let hint = shape_hint(message);
    // Where it is known what was meant, all that could have been is too much.
    let said = if hint.contains("did you mean") { message.split(", ").next().unwrap_or(message) } else { message };
    format!("{said}{hint}")
}

fn shape_hint(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") || message.starts_with("unknown variant") {
        let name = quoted.next().unwrap_or_default();
        let near = nearest(name, quoted.collect::<Vec<_>>());
        return near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    }
    if message.starts_with("missing field") {
        return "; add it".to_owned();
    }
    if message.contains("expected u8") {
        return "; a whole number from 0 to 100 is meant".to_owned();
    }
    if message.contains("expected u32") {
        return "; a whole number is meant".to_owned();
    }
    if message.contains("expected a string") {
        return "; put the value in quotes".to_owned();
    }
    String::new()
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

/// Decodes one part, so that an error in it does not hide the errors in others.
pub(crate) fn part<T: DeserializeOwned>(value: Value, path: &str, problems: &mut Problems<'_>) -> Option<T> {
    match serde_path_to_error::deserialize::<_, T>(value) {
        Ok(part) => Some(part),
        Err(error) => {
            let inner = error.path().to_string();
            let message = error.inner().to_string();
            problems.add_shape(join(path, &inner), Rule::Shape, shape_message(&message));
            None
        }
    }
}

fn decode(tree: &Tree, library: &Library, problems: &mut Problems<'_>) -> Option<Definition> {
    let Value::Object(mut document) = tree.value() else {
        let message = "a map with key, name, subject and steps is expected; write `key: ...` without a dash before it";
        problems.add(String::new(), Rule::Shape, message);
        return None;
    };
    let listed = document.remove("steps");
    let triggers = decode_triggers(document.remove("triggers"), problems);
    let header: Option<Header> = part(Value::Object(document), "", problems);
    let header = header.map(|header| Header { triggers, ..header });
    let items = match listed {
        Some(Value::Array(items)) if !items.is_empty() => items,
        _ => {
            let message =
                "a list of at least one step is expected; write `steps:` and under it `- {id: done, kind: end}`";
            problems.add("steps".to_owned(), Rule::Shape, message);
            return None;
        }
    };
    if items.len() > MAX_STEPS {
        problems.add("steps".to_owned(), Rule::TooLarge, format!("a sequence has at most {MAX_STEPS} steps"));
        return None;
    }
    let count = items.len();
    let steps: Vec<Step> = items
        .into_iter()
        .enumerate()
        .filter_map(|(at, item)| decode_step(item, &format!("steps[{at}]"), library, problems))
        .collect();
    // A broken header still lets the steps be judged, and the other way round.
    match header {
        Some(header) if steps.len() == count => Some(Definition { header, steps }),
        Some(header) => {
            check_header(&header, problems);
            None
        }
        None => {
            check_steps(&steps, None, problems);
            None
        }
    }
}

fn decode_step(item: Value, path: &str, library: &Library, problems: &mut Problems<'_>) -> Option<Step> {
    let Value::Object(mut item) = item else {
        problems.add(path.to_owned(), Rule::Shape, "a step is a map with id and kind");
        return None;
    };
    let mut text = |item: &mut Map<String, Value>, field: &str, needed: bool| match item.remove(field) {
        Some(Value::String(text)) => Some(text),
        None if !needed => None,
        None => {
            problems.add(path.to_owned(), Rule::Shape, format!("missing field `{field}`; add it"));
            None
        }
        Some(_) => {
            problems.add(join(path, field), Rule::Shape, "a text is expected; put the value in quotes");
            None
        }
    };
    let id = text(&mut item, "id", true);
    let next = text(&mut item, "next", false);
    let kind = text(&mut item, "kind", true)?;
    if kind == library::KIND {
        library.put_in(&mut item, path, problems);
    }
    let decoded = StepKind::decode(&kind, Value::Object(item));
    let kind = match decoded {
        Some(Ok(kind)) => kind,
        Some(Err((inner, message))) => {
            problems.add_shape(join(path, &inner), Rule::Shape, shape_message(&message));
            return None;
        }
        None => {
            let hint = typing::suggestion(&kind, steps::NAMES);
            problems.add(join(path, "kind"), Rule::Shape, format!("`{kind}` is not a kind of step{hint}"));
            return None;
        }
    };
    Some(Step { id: id?, next, kind })
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
    let mut check = Check { path: String::new(), problems, snippets: None };
    for (field, condition) in [("entry", &header.entry), ("goal", &header.goal), ("exit", &header.exit)] {
        if let Some(condition) = condition {
            check.condition(field, condition);
        }
    }
    if let Some(key) = &header.reentry.key {
        check.expression("reentry.key", key);
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
        step.kind.check(&mut Check { path, problems, snippets });
    }
}

/// Where each step may go, as positions; unknown targets and missing ends are reported on the way.
fn check_ways(definition: &Definition, problems: &mut Problems<'_>) {
    let steps = &definition.steps;
    let mut positions: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        positions.entry(&step.id).or_insert(at);
    }
    let mut ways: Vec<Vec<usize>> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let path = format!("steps[{at}]");
        let mut targets: Vec<(&str, &str)> = step.kind.targets();
        if let Some(next) = step.next.as_deref() {
            if step.kind.goes_on() {
                targets.push(("next", next));
            } else {
                let message = format!("a step of kind {} has no next; take it away", step.kind.name());
                problems.add(join(&path, "next"), Rule::Shape, message);
            }
        } else if step.kind.goes_on() && at + 1 == steps.len() {
            problems.add(path.clone(), Rule::NoEnd, "nothing follows this step; add a step of kind end after it");
        }
        let mut to = Vec::new();
        for (field, target) in targets {
            match positions.get(target) {
                Some(position) => to.push(*position),
                None => {
                    let near = nearest(target, positions.keys().copied());
                    let hint = near.map_or("; add it".to_owned(), |near| format!("; did you mean `{near}`?"));
                    problems.add(join(&path, field), Rule::StepUnknown, format!("there is no step `{target}`{hint}"));
                }
            }
        }
        if step.kind.goes_on() && step.next.is_none() && at + 1 < steps.len() {
            to.push(at + 1);
        }
        ways.push(to);
    }
    let reached = reachable(&ways, &[0]);
    for (at, step) in steps.iter().enumerate().filter(|(at, _)| !reached.contains(at)) {
        let message = format!("no way leads to the step `{}`; go to it from another step, or take it away", step.id);
        problems.add(format!("steps[{at}]"), Rule::StepUnreachable, message);
    }
    // Backwards from the ends: what is not met there can never end by itself.
    let mut back = vec![Vec::new(); steps.len()];
    for (from, to) in ways.iter().enumerate() {
        to.iter().for_each(|to| back[*to].push(from));
    }
    let ends: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].kind.ends()).collect();
    let ending = reachable(&back, &ends);
    if let Some(at) = (0..steps.len()).find(|at| reached.contains(at) && !ending.contains(at)) {
        let message = "from here no way leads to a step of kind end; add one";
        if !problems.found.iter().any(|problem| problem.rule == Rule::NoEnd) {
            problems.add(format!("steps[{at}]"), Rule::NoEnd, message);
        }
    }
    for at in hot_loops(steps, &ways) {
        let message =
            format!("a loop through the step `{}` never waits; put a step of kind wait into it", steps[at].id);
        problems.add(format!("steps[{at}]"), Rule::LoopWithoutWait, message);
    }
}

fn reachable(ways: &[Vec<usize>], from: &[usize]) -> BTreeSet<usize> {
    let (mut reached, mut open) = (BTreeSet::new(), from.to_vec());
    while let Some(at) = open.pop() {
        if reached.insert(at) {
            open.extend(&ways[at]);
        }
    }
    reached
}

/// The first step of each loop that has no waiting step in it.
fn hot_loops(steps: &[Step], ways: &[Vec<usize>]) -> Vec<usize> {
    let hot = |at: &usize| !steps[*at].kind.waits();
    let mut left: BTreeSet<usize> = (0..steps.len()).filter(hot).collect();
    let mut found = Vec::new();
    for at in 0..steps.len() {
        if !left.contains(&at) {
            continue;
        }
        let inner: Vec<Vec<usize>> =
            ways.iter().map(|to| to.iter().copied().filter(|to| left.contains(to)).collect()).collect();
        if reachable(&inner, &inner[at]).contains(&at) {
            found.push(at);
        }
        // Every loop through this step is reported by now.
        left.remove(&at);
    }
    found
}

/// What a kind of step checks its own settings with.
pub struct Check<'a, 'b> {
    path: String,
    problems: &'a mut Problems<'b>,
    /// The snippets that e-mails may include; none where the header could not be read.
    snippets: Option<&'a Snippets>,
}

impl<'a, 'b> Check<'a, 'b> {
    /// Checks what is at `path`; without `snippets`, whatever an e-mail includes is let through.
    pub(crate) const fn new(path: String, problems: &'a mut Problems<'b>, snippets: Option<&'a Snippets>) -> Self {
        Self { path, problems, snippets }
    }

    /// Checks texts that e-mails share.
    pub(crate) fn snippets(&mut self, snippets: &Snippets) {
        if snippets.len() > snippets::MOST {
            let message = format!("at most {} snippets can be here; put some of them together", snippets::MOST);
            self.problem("snippets", Rule::TooLarge, message);
        }
        for (name, text) in snippets {
            let field = format!("snippets.{name}");
            if !is_name(name) {
                self.problem(&field, Rule::NameInvalid, not_a_name("the name of a snippet", name));
            }
            self.template(&field, text, Form::Text, &[UNSUBSCRIBE_URL], snippets::LONGEST);
        }
    }

    /// Reports a problem at `field` of this step.
    pub fn problem(&mut self, field: &str, rule: Rule, message: impl Into<String>) {
        self.problems.add(join(&self.path, field), rule, message);
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
            let hint = match source[at..].trim_start().chars().next().or_else(|| source[..at].chars().last()) {
                Some('=') => "a comparison is written `==`",
                _ => "look at what is left open, and at the operators",
            };
            let message = format!("{said}; {hint}");
            self.problems.add_inside(path, source, at, Rule::ExpressionSyntax, message);
            return;
        }
        for fault in typing::faults(source, variables, purpose) {
            let rule = if fault.unknown { Rule::ExpressionUndefined } else { Rule::ExpressionMismatch };
            self.problems.add_inside(path.clone(), source, fault.at, rule, fault.message);
        }
    }

    /// Checks a part of an e-mail: a template that may include snippets and read the link to unsubscribe by.
    pub fn letter(&mut self, field: &str, source: &str, form: Form, chars: usize) {
        let (blanked, unknown) = snippets::blanked(source, self.snippets);
        let path = join(&self.path, field);
        for (at, message) in unknown {
            self.problems.add_inside(path.clone(), source, at, Rule::TemplateUndefined, message);
        }
        if blanked.trim().is_empty() && !source.trim().is_empty() {
            // Nothing but snippets, which are looked at where they stand.
            return;
        }
        if snippets::length(source, self.snippets) > chars {
            self.problem(field, Rule::TooLarge, format!("it is longer than {chars} characters; shorten it"));
        }
        self.template(field, &blanked, form, &[UNSUBSCRIBE_URL], usize::MAX);
    }

    /// Checks a template that may read `extra` variables, which are texts, beside the usual ones, and is at most `chars` long.
    pub fn template(&mut self, field: &str, source: &str, form: Form, extra: &[&'static str], chars: usize) {
        if source.trim().is_empty() {
            self.problem(field, Rule::Shape, "it is empty; write something");
        } else if source.chars().count() > chars {
            self.problem(field, Rule::TooLarge, format!("it is longer than {chars} characters; shorten it"));
        }
        let path = join(&self.path, field);
        if let Err(refusal) = template::check(source, form) {
            let at = byte_at(source, refusal.line(), 1);
            let said = match &refusal {
                template::Refusal::Syntax { message, .. } => message.clone(),
                other => other.to_string(),
            };
            let hint = match said.contains("not allowed") {
                true => "take it out",
                false => "every `{{` needs its `}}`, every `{% if %}` its `{% endif %}`",
            };
            let message = format!("the template is not valid: {said}; {hint}");
            self.problems.add_inside(path, source, at, Rule::TemplateSyntax, message);
            return;
        }
        for (at, message) in template::unknown(source, form, &with_texts(extra)) {
            self.problems.add_inside(path.clone(), source, at, Rule::TemplateUndefined, message);
        }
    }
}

/// The byte at a line and column, both from 1.
fn byte_at(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.trim_end().len(), |(at, _)| at)
}
