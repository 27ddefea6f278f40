//! Governed taxonomies that both sides share: terms with codes, names in two languages, and aliases.

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::TermId;
use crate::normalise::{self, comparison_key, excerpt};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

codes! {
    /// The taxonomies there are.
    pub enum Taxonomy("taxonomy") {
        /// How much an account matters.
        Tier = "TIER",
        /// What an account does.
        Industry = "INDUSTRY",
        /// Whose ground an account stands on.
        Territory = "TERRITORY",
    }
}

impl Taxonomy {
    /// The input field that takes a term of it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Tier => "tier",
            Self::Industry => "industry",
            Self::Territory => "territory",
        }
    }
}

/// One term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxonomyTerm {
    /// Its id.
    pub id: TermId,
    /// The taxonomy it belongs to; fixed.
    pub taxonomy: Taxonomy,
    /// Its code: `A-Z`, digits and `_`, at most 40; unique in its taxonomy; fixed, since records carry it.
    pub code: String,
    /// The English name.
    pub name_en: String,
    /// The Chinese name.
    pub name_zh: String,
    /// Other ways of writing it; case, accents, spacing and punctuation do not count.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whether input is still resolved to it. Records that carry it keep it.
    pub active: bool,
}

/// A term as it is written in a file, before it has an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermDraft {
    /// The taxonomy.
    pub taxonomy: Taxonomy,
    /// The code.
    pub code: String,
    /// The English name.
    pub name_en: String,
    /// The Chinese name.
    pub name_zh: String,
    /// Other ways of writing it.
    #[serde(default)]
    pub aliases: Vec<String>,
}

impl TermDraft {
    /// The term, active, under `id`.
    pub fn term(self, id: TermId) -> TaxonomyTerm {
        let Self { taxonomy, code, name_en, name_zh, aliases } = self;
        TaxonomyTerm { id, taxonomy, code, name_en, name_zh, aliases, active: true }
    }
}

/// The terms that come with Tandem, as YAML: a list of [`TermDraft`].
pub const LIBRARY: &str = include_str!("../../library/taxonomies.yaml");

/// Reads terms from YAML: a list of [`TermDraft`].
pub fn read_terms(yaml: &str) -> Result<Vec<TermDraft>, Refusal> {
    serde_saphyr::from_str(yaml).map_err(|error| Refusal::File { why: excerpt(&error.to_string()) })
}

/// Why a term or an input is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No active term is written like this.
    #[error("`{given}` is no term of {taxonomy}; {near}")]
    UnknownTerm {
        /// The taxonomy.
        taxonomy: Taxonomy,
        /// What was given, at most 80 characters.
        given: String,
        /// The nearest codes, in words.
        near: String,
    },
    /// Not a usable code.
    #[error("`{given}` is not a code; use 1 to 40 of A-Z, 0-9 and _, beginning with a letter or digit")]
    Code {
        /// What was given.
        given: String,
    },
    /// A term needs both names.
    #[error("{code} needs a name of 1 to 100 characters in English and in Chinese")]
    Names {
        /// The term's code.
        code: String,
    },
    /// An alias without a letter or digit, or too long.
    #[error("`{given}` is not an alias of {code}; it needs a letter or digit and at most 100 characters")]
    Alias {
        /// The term's code.
        code: String,
        /// What was given.
        given: String,
    },
    /// Two terms would be written alike.
    #[error("`{given}` already means {owner}; one way of writing leads to one term, so change that term first")]
    Taken {
        /// The code, name or alias.
        given: String,
        /// The code of the term that has it.
        owner: String,
    },
    /// Taxonomy and code stay what they are.
    #[error("taxonomy and code of {code} cannot change, since records carry them; retire it and add another")]
    Fixed {
        /// The term's code.
        code: String,
    },
    /// The file is not a list of terms.
    #[error("the file is not a list of terms: {why}")]
    File {
        /// What the reader said, at most 80 characters.
        why: String,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownTerm { .. } => "TAXONOMY_UNKNOWN_TERM",
            Self::Code { .. } => "TAXONOMY_CODE_INVALID",
            Self::Names { .. } => "TAXONOMY_NAME_INVALID",
            Self::Alias { .. } => "TAXONOMY_ALIAS_INVALID",
            Self::Taken { .. } => "TAXONOMY_ALIAS_TAKEN",
            Self::Fixed { .. } => "TAXONOMY_TERM_FIXED",
            Self::File { .. } => "TAXONOMY_FILE_INVALID",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::UnknownTerm { taxonomy, .. } => Some(taxonomy.field()),
            Self::Code { .. } | Self::Fixed { .. } => Some("code"),
            Self::Names { .. } => Some("nameEn"),
            Self::Alias { .. } | Self::Taken { .. } => Some("aliases"),
            Self::File { .. } => None,
        }
    }
}

/// Every term, and the way from what people write to a code. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Taxonomies {
    terms: Arc<Vec<TaxonomyTerm>>,
    written: Arc<HashMap<(Taxonomy, String), usize>>,
}

impl Taxonomies {
    /// Builds the look-up. Where two active terms are written alike (rules refuse that), the first wins.
    pub fn new(terms: Vec<TaxonomyTerm>) -> Self {
        let mut written = HashMap::new();
        for (index, term) in terms.iter().enumerate().filter(|(_, term)| term.active) {
            for key in ways(term) {
                written.entry((term.taxonomy, key)).or_insert(index);
            }
        }
        Self { terms: Arc::new(terms), written: Arc::new(written) }
    }

    /// Every term, active or not.
    pub fn terms(&self) -> &[TaxonomyTerm] {
        &self.terms
    }

    /// The term with exactly this code, active or not.
    pub fn term(&self, taxonomy: Taxonomy, code: &str) -> Option<&TaxonomyTerm> {
        self.terms.iter().find(|term| term.taxonomy == taxonomy && term.code == code)
    }

    /// The code that `text` stands for: a code, name or alias in any case, spacing and punctuation. Where the whole
    /// text is none, its parts between commas are tried from the last to the first (`Saint Paul, Minnesota`).
    pub fn resolve(&self, taxonomy: Taxonomy, text: &str) -> Result<&str, Refusal> {
        let bounded: String = text.chars().take(200).collect();
        let found = self.find(taxonomy, &bounded);
        let found = found.or_else(|| bounded.rsplit([',', '，', ';']).find_map(|part| self.find(taxonomy, part)));
        found.map(|term| term.code.as_str()).ok_or_else(|| self.unknown(taxonomy, &bounded))
    }

    fn find(&self, taxonomy: Taxonomy, text: &str) -> Option<&TaxonomyTerm> {
        // Tables copied from encyclopaedias carry footnote marks: `Virginia[2]`.
        let key = comparison_key(text.split('[').next().unwrap_or_default());
        self.written.get(&(taxonomy, key)).and_then(|index| self.terms.get(*index))
    }

    fn unknown(&self, taxonomy: Taxonomy, text: &str) -> Refusal {
        let key = comparison_key(text);
        let mut near: Vec<(f64, &str)> = Vec::new();
        for ((of, written), index) in self.written.iter().filter(|((of, _), _)| *of == taxonomy) {
            debug_assert_eq!(*of, taxonomy);
            let likeness = strsim::jaro_winkler(&key, written);
            if let Some(term) = self.terms.get(*index).filter(|_| likeness >= 0.8) {
                near.push((likeness, &term.code));
            }
        }
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let mut codes: Vec<&str> = Vec::new();
        for (_, code) in near {
            if !codes.contains(&code) && codes.len() < 3 {
                codes.push(code);
            }
        }
        let near = if codes.is_empty() {
            let all: Vec<&str> = self.active(taxonomy).map(|term| term.code.as_str()).take(20).collect();
            if all.is_empty() { "there are none yet".to_owned() } else { format!("the terms are {}", all.join(", ")) }
        } else {
            format!("the nearest are {}", codes.join(", "))
        };
        Refusal::UnknownTerm { taxonomy, given: excerpt(text), near }
    }

    fn active(&self, taxonomy: Taxonomy) -> impl Iterator<Item = &TaxonomyTerm> {
        self.terms.iter().filter(move |term| term.taxonomy == taxonomy && term.active)
    }
}

/// Every way of writing a term, as compared.
fn ways(term: &TaxonomyTerm) -> BTreeSet<String> {
    let names = [&term.code, &term.name_en, &term.name_zh];
    names.into_iter().chain(&term.aliases).map(|text| comparison_key(text)).filter(|key| !key.is_empty()).collect()
}

/// Adds a term, or changes the one with its id: names, aliases, activity. `existing` is every term there is.
pub fn save(mut term: TaxonomyTerm, existing: &Taxonomies) -> Result<Decision<TaxonomyTerm>, Refusal> {
    let before = existing.terms().iter().find(|other| other.id == term.id);
    if before.is_some_and(|before| (before.taxonomy, &before.code) != (term.taxonomy, &term.code)) {
        return Err(Refusal::Fixed { code: term.code });
    }
    let usual = term.code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if !usual || !(1..=40).contains(&term.code.len()) || term.code.starts_with('_') {
        return Err(Refusal::Code { given: excerpt(&term.code) });
    }
    for name in [&mut term.name_en, &mut term.name_zh] {
        *name = normalise::line("name", name, 100).unwrap_or_default();
        if comparison_key(name).is_empty() {
            return Err(Refusal::Names { code: term.code });
        }
    }
    let mut seen = BTreeSet::new();
    let mut aliases = Vec::new();
    for alias in &term.aliases {
        let tidy = normalise::line("aliases", alias, 100).unwrap_or_default();
        let key = comparison_key(&tidy);
        if key.is_empty() {
            return Err(Refusal::Alias { code: term.code, given: excerpt(alias) });
        }
        if seen.insert(key) {
            aliases.push(tidy);
        }
    }
    term.aliases = aliases;
    // A code is never given twice, not even after its term was retired.
    let others = existing.terms().iter().filter(|other| other.id != term.id && other.taxonomy == term.taxonomy);
    for other in others {
        let clash = ways(other).intersection(&ways(&term)).next().cloned();
        let clash = if other.code == term.code {
            Some(term.code.clone())
        } else {
            clash.filter(|_| other.active && term.active)
        };
        if let Some(given) = clash {
            return Err(Refusal::Taken { given, owner: other.code.clone() });
        }
    }
    let kind = if before.is_some() { "taxonomy_term.changed" } else { "taxonomy_term.added" };
    let fact = Fact::audit(kind, term.id).with("before", before).with("after", &term);
    Ok(Decision::new(term, fact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn shipped() -> Taxonomies {
        let drafts = read_terms(LIBRARY).unwrap();
        Taxonomies::new(drafts.into_iter().zip(1u128..).map(|(d, n)| d.term(Uuid::from_u128(n).into())).collect())
    }

    #[test]
    fn every_shipped_term_passes_the_rule_that_saves_terms() {
        let mut saved: Vec<TaxonomyTerm> = Vec::new();
        for (draft, n) in read_terms(LIBRARY).unwrap().into_iter().zip(1u128..) {
            let term = draft.term(Uuid::from_u128(n).into());
            let kept = save(term.clone(), &Taxonomies::new(saved.clone())).unwrap().next;
            assert_eq!(kept, term, "the file is tidy");
            saved.push(kept);
        }
        let count = |taxonomy| saved.iter().filter(|term| term.taxonomy == taxonomy).count();
        assert_eq!((count(Taxonomy::Tier), count(Taxonomy::Industry)), (3, 11));
        assert!(count(Taxonomy::Territory) >= 7);
    }

    #[test]
    fn messy_input_leads_to_one_code() {
        let shipped = shipped();
        for (taxonomy, text, code) in [
            (Taxonomy::Tier, " tier-1 ", "T1"),
            (Taxonomy::Tier, "t3", "T3"),
            (Taxonomy::Industry, "health  CARE", "HEALTH_CARE"),
            (Taxonomy::Industry, "Information-Technology", "INFORMATION_TECHNOLOGY"),
            (Taxonomy::Industry, "信息技术", "INFORMATION_TECHNOLOGY"),
            (Taxonomy::Territory, "Saint Paul, Minnesota", "US_CENTRAL"),
            (Taxonomy::Territory, "california", "US_WEST"),
            (Taxonomy::Territory, "Reston, Virginia[2]", "US_SOUTH"),
            (Taxonomy::Territory, "Dublin, Ireland", "EMEA"),
            (Taxonomy::Territory, "Shanghai", "GREATER_CHINA"),
        ] {
            assert_eq!(shipped.resolve(taxonomy, text).unwrap(), code, "{text}");
        }
    }

    #[test]
    fn an_unknown_term_is_refused_with_the_near_ones() {
        let refusal = shipped().resolve(Taxonomy::Industry, "Utilitys").unwrap_err();
        assert_eq!((refusal.code(), refusal.field()), ("TAXONOMY_UNKNOWN_TERM", Some("industry")));
        assert!(refusal.to_string().contains("UTILITIES"), "{refusal}");
        assert!(shipped().resolve(Taxonomy::Tier, "").unwrap_err().to_string().contains("T1, T2, T3"));
    }

    #[test]
    fn a_retired_term_is_not_resolved_and_its_code_not_given_again() {
        let mut terms = shipped().terms().to_vec();
        terms[0].active = false;
        let taxonomies = Taxonomies::new(terms.clone());
        assert!(taxonomies.resolve(Taxonomy::Tier, "T1").is_err());
        let again = TaxonomyTerm { id: Uuid::from_u128(999).into(), aliases: vec![], active: true, ..terms[0].clone() };
        assert_eq!(save(again, &taxonomies).unwrap_err().code(), "TAXONOMY_ALIAS_TAKEN");
    }

    #[test]
    fn one_way_of_writing_leads_to_one_term() {
        let shipped = shipped();
        let mut term = shipped.term(Taxonomy::Tier, "T2").unwrap().clone();
        term.aliases.push("Tier 1".to_owned());
        let refusal = save(term.clone(), &shipped).unwrap_err();
        assert_eq!(refusal.code(), "TAXONOMY_ALIAS_TAKEN");
        term.aliases = vec!["Silver".to_owned(), "SILVER ".to_owned()];
        assert_eq!(save(term.clone(), &shipped).unwrap().next.aliases, ["Silver"]);
        term.code = "T9".to_owned();
        assert_eq!(save(term, &shipped).unwrap_err().code(), "TAXONOMY_TERM_FIXED");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn resolving_never_panics_and_a_code_resolves_to_itself(text in any::<String>()) {
            let shipped = shipped();
            for taxonomy in Taxonomy::ALL {
                if let Ok(code) = shipped.resolve(*taxonomy, &text) {
                    prop_assert_eq!(shipped.resolve(*taxonomy, code), Ok(code));
                }
            }
        }
    }
}
