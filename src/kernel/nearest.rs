//! Which of the known names somebody most likely meant. Pure.

/// Longest text that is looked at: names are shorter, and the work grows with both lengths.
const LONGEST: usize = 100;
/// How like the two must be, 0–1: one slip in three letters is forgiven.
const LEAST: f64 = 0.6;

/// The known name nearest to a text, whatever its case; none where none is near. Of equally near ones the first.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    if text.chars().count() > LONGEST {
        return None;
    }
    let mut best: Option<(f64, &str)> = None;
    for name in known {
        let likeness = strsim::normalized_levenshtein(&text, name);
        if likeness >= LEAST && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, name));
        }
    }
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("cty", Some("city"))]
    #[case("City", Some("city"))]
    #[case("indsutry_code", Some("industry_code"))]
    #[case("lead.create", Some("lead.created"))]
    #[case("城", None)]
    #[case("", None)]
    #[case("unheard_of", None)]
    fn the_nearest_name_is_found_if_any_is_near(#[case] text: &str, #[case] expected: Option<&str>) {
        let known = ["city", "industry_code", "lead.created", "lead.updated"];
        assert_eq!(nearest(text, known), expected);
    }

    #[test]
    fn a_text_of_any_length_costs_little() {
        assert_eq!(nearest(&"x".repeat(1_000_000), ["x"]), None);
    }
}
