//! What expressions may read of a declared resource: its members in wire form, by their kinds. Sensitive members are
//! left out, since what an expression says is shown to everyone who sees the record.

use super::custom::Definition;
use super::spec::{self, Member, Resource};
use crate::kernel::expression::{Kind, Vocabulary};

/// The members of a resource, with those that every record has. `custom` is not among them: see [`custom`].
pub fn vocabulary(resource: &Resource) -> Vocabulary {
    let standing = Vocabulary::new()
        .with("id", Kind::Text)
        .with("created_at", Kind::Instant)
        .with("updated_at", Kind::Instant);
    let shown = resource
        .members
        .iter()
        .filter(|member| member.sensitive.is_none());
    shown.fold(standing, |vocabulary, member| match kind(member) {
        Some(kind) => vocabulary.with(member.name, kind),
        None => vocabulary,
    })
}

/// The company's own fields of a resource, as they stand in `custom`.
pub fn custom(definitions: &[Definition]) -> Vocabulary {
    definitions
        .iter()
        .fold(Vocabulary::new(), |vocabulary, definition| {
            let kind = match (definition.kind.as_str(), &definition.choices) {
                ("number" | "money", _) => Kind::Decimal,
                ("date", _) => Kind::Day,
                ("choice", Some(choices)) => Kind::Choice(choices.as_slice().into()),
                _ => Kind::Text,
            };
            vocabulary.with(definition.key.as_str(), kind)
        })
}

/// The kind of a member in expressions; none for what has no fixed form.
pub fn kind(member: &Member) -> Option<Kind> {
    match member.kind {
        spec::Kind::Choice if !member.choices.is_empty() => {
            let choices = member.choices.iter().map(|choice| (*choice).to_owned());
            Some(Kind::Choice(choices.collect()))
        }
        spec::Kind::Text
        | spec::Kind::Email
        | spec::Kind::Phone
        | spec::Kind::Key
        | spec::Kind::Id
        | spec::Kind::Currency
        | spec::Kind::Choice => Some(Kind::Text),
        spec::Kind::Int => Some(Kind::Int),
        spec::Kind::Bool => Some(Kind::Bool),
        spec::Kind::Day => Some(Kind::Day),
        spec::Kind::Instant => Some(Kind::Instant),
        spec::Kind::Money | spec::Kind::Decimal(_) | spec::Kind::Share => Some(Kind::Decimal),
        spec::Kind::Tags => Some(Kind::Texts),
        spec::Kind::Custom | spec::Kind::Json => None,
    }
}
