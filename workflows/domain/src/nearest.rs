//! What somebody who wrote a name that does not exist has likely meant.

/// The known name that is nearest to `name`, where one is near: of three or four letters one may differ, of five to eight two,
/// of more three; case aside.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let small = name.to_lowercase();
    let letters = small.chars().count();
    // Longer ones are no misspellings, and comparing takes the square of the length.
    if letters > 100 {
        return None;
    }
    let allowed = match letters {
        0..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let distance = |one: &str| strsim::damerau_levenshtein(&small, &one.to_lowercase());
    let near = known.into_iter().map(|one| (distance(one), one)).filter(|(distance, _)| *distance <= allowed);
    near.min_by_key(|(distance, _)| *distance).map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_found_and_what_is_far_is_not() {
        let known = ["email", "first_name", "WITHDRAWN"];
        for (name, expected) in [
            ("emial", Some("email")),
            ("e-mail", Some("email")),
            ("firstname", Some("first_name")),
            ("withdrawn", Some("WITHDRAWN")),
            ("phone", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
