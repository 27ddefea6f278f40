//! The shipped programmes: ten that a team runs as one set, and a small one to begin with.

/// A shipped programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Programme {
    /// The key of its sequence, and the name of its file.
    pub key: &'static str,
    /// The definition, as YAML, with a head of comments: what it is for, and what it needs.
    pub source: &'static str,
}

macro_rules! programmes {
    ($($key:literal),+ $(,)?) => {
        &[$(Programme {
            key: $key,
            source: include_str!(concat!("../../../library/sequences/", $key, ".yaml")),
        }),+]
    };
}

/// All of them, in the order in which the guide shows them.
pub const PROGRAMMES: &[Programme] = programmes![
    "demo_request",
    "tier_one",
    "event_follow_up",
    "content_download",
    "recycle_by_reason",
    "dormant_reactivation",
    "no_show",
    "closed_lost",
    "onboarding",
    "partner_referral",
    "welcome",
];

/// The programme of that key.
pub fn programme(key: &str) -> Option<&'static Programme> {
    PROGRAMMES.iter().find(|programme| programme.key == key)
}

impl Programme {
    /// What it is for: the first sentence of its head.
    pub fn summary(&self) -> String {
        let head = self.head();
        head.split_inclusive(". ").next().unwrap_or_default().trim().to_owned()
    }

    /// What must be there before it can be published, or to have it do anything: the head from `Needs:` on; none where it
    /// needs nothing.
    pub fn needs(&self) -> Option<String> {
        let head = self.head();
        head.split_once("Needs: ").map(|(_, needs)| needs.trim().to_owned())
    }

    /// The comment at the head of the file, in one line.
    fn head(&self) -> String {
        let lines = self.source.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_shipped_under_its_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../library/sequences");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<String> = files.collect();
        files.sort();
        let mut shipped: Vec<String> = PROGRAMMES.iter().map(|programme| format!("{}.yaml", programme.key)).collect();
        shipped.sort();
        assert_eq!(files, shipped);
    }

    #[test]
    fn each_says_in_a_sentence_what_it_is_for() {
        for programme in PROGRAMMES {
            let summary = programme.summary();
            assert!((20..200).contains(&summary.chars().count()) && summary.ends_with('.'), "{summary}");
            assert_eq!(programme.needs().is_none(), programme.key == "welcome", "{}", programme.key);
        }
        assert_eq!(programme("no_show").unwrap().key, "no_show");
        assert_eq!(programme("no"), None);
    }
}
