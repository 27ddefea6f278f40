//! Whether five cron fields say something: what is refused here would be a schedule that cannot be kept.
//!
//! It reads a part of what the runner's own reader does, so that whatever passes here is understood there.

/// Five fields that were read: minute, hour, day of month, month, day of week (0 and 7 are Sunday).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CronFields;

/// A field's name, its least and its greatest number, and the names of its numbers from the least.
type Form = (&'static str, u32, u32, &'static [&'static str]);

const FORMS: [Form; 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of month", 1, 31, &[]),
    ("month", 1, 12, &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]),
    ("day of week", 0, 7, &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]),
];

/// The days of each month, as many as it ever has.
const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl std::str::FromStr for CronFields {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != FORMS.len() {
            let count = fields.len();
            return Err(format!(
                "cron has five fields (minute, hour, day of month, month, day of week), and this has {count}; write e.g. \
                 `0 9 * * 1`"
            ));
        }
        let mut days = Vec::new();
        let mut months = Vec::new();
        for (at, (field, form)) in fields.iter().zip(FORMS).enumerate() {
            let numbers = numbers(field, form)?;
            match at {
                2 => days = numbers,
                3 => months = numbers,
                _ => {}
            }
        }
        let comes = |month: &u32| {
            let most = usize::try_from(*month).ok().and_then(|month| DAYS.get(month.wrapping_sub(1))).copied();
            days.iter().any(|day| most.is_some_and(|most| *day <= most))
        };
        if months.iter().any(comes) {
            Ok(Self)
        } else {
            Err("no month of these has such a day, so it never comes; name another day or month".to_owned())
        }
    }
}

/// The numbers that a field means.
fn numbers(field: &str, form: Form) -> Result<Vec<u32>, String> {
    let (name, least, greatest, _) = form;
    let wrong = || {
        let shown: String = field.chars().take(40).collect();
        format!(
            "`{shown}` is no {name} of cron; write `*`, numbers from {least} to {greatest}, ranges such as `1-5`, steps such \
             as `*/2`, and lists of them with commas"
        )
    };
    let number = |text: &str| {
        let named =
            form.3.iter().position(|name| name.eq_ignore_ascii_case(text)).and_then(|at| u32::try_from(at).ok());
        let plain = text.len() <= 2 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = named.map(|at| at + least).or_else(|| plain.then(|| text.parse().ok()).flatten());
        number.filter(|number| (least..=greatest).contains(number))
    };
    let mut all = Vec::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let is_range = range == "*" || range.contains('-');
        let (from, to) = match range.split_once('-') {
            // Sunday as 7 begins the week where the fields are read: no range can end with it.
            Some((from, to)) => number(from).zip(number(to)).filter(|(_, to)| greatest != 7 || *to < 7),
            None if range == "*" => Some((least, greatest)),
            None => number(range).map(|number| (number, number)),
        }
        .filter(|(from, to)| from <= to)
        .ok_or_else(wrong)?;
        let step = match step {
            None => 1,
            Some(step) if is_range && step.len() <= 2 => {
                step.parse::<u32>().ok().filter(|step| (1..=greatest).contains(step)).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        all.extend((from..=to).step_by(usize::try_from(step).unwrap_or(1)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_read_and_what_is_not_is_named() {
        for good in
            ["0 9 * * 1", "*/15 * * * *", "0 0 1,15 * *", "30 8-17/2 * JAN-MAR mon-fri", "0 0 29 2 *", "5 4 * * 7"]
        {
            assert_eq!(good.parse::<CronFields>(), Ok(CronFields), "{good}");
        }
        for (bad, part) in [
            ("* * * *", "five fields"),
            ("60 * * * *", "no minute"),
            ("0 24 * * *", "no hour"),
            ("0 0 0 * *", "no day of month"),
            ("0 0 31 2,4 *", "never comes"),
            ("0 0 * * 5-1", "no day of week"),
            ("0 0 * * 5-7", "no day of week"),
            ("0 0 * * MOON", "no day of week"),
            ("5/10 * * * *", "no minute"),
            ("*/0 * * * *", "no minute"),
            ("1, * * * *", "no minute"),
            ("１ * * * *", "no minute"),
            ("", "five fields"),
        ] {
            let said = bad.parse::<CronFields>().expect_err(bad);
            assert!(said.contains(part), "{bad}: {said}");
        }
    }
}
