//! Which members that a decision rests on are no part of what is approved: a change of them leaves the approval as it is.

use std::collections::BTreeSet;

/// The members read, as an expression names them, that a process does not bind its approvals to.
#[must_use]
pub fn uncovered(read: &BTreeSet<String>, content: &[String]) -> Vec<String> {
    let paths = read.iter().map(|path| path.replace("[]", ""));
    let lacking = paths.filter(|path| !content.iter().any(|bound| covers(bound, path)));
    lacking.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A record covers its members. Whoever reads a list as a whole, too, reads what is bound of its records.
fn covers(bound: &str, read: &str) -> bool {
    let is_within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    is_within(read, bound) || is_within(bound, read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_member(&["amount"], &["amount"], &[])]
    #[case::another(&["amount", "next_step"], &["amount"], &["next_step"])]
    #[case::a_longer_name(&["amounts"], &["amount"], &["amounts"])]
    #[case::a_member_of_a_bound_record(&["lines", "lines[].quantity"], &["lines"], &[])]
    #[case::a_member_beside_the_bound_one(&["lines", "lines[].quantity"], &["lines.discount"], &["lines.quantity"])]
    #[case::another_record(&["account.industry"], &["account_id"], &["account.industry"])]
    fn what_is_read_is_bound_by_its_name_or_with_its_record(
        #[case] read: &[&str],
        #[case] content: &[&str],
        #[case] expected: &[&str],
    ) {
        let read = read.iter().map(|path| (*path).to_owned()).collect();
        let content = content.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        assert_eq!(uncovered(&read, &content), expected);
    }
}
