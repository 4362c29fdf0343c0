//! What a record can be known by: its exact keys and its folded names.

use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::kernel::likeness::{self, CompanyName, Profile, Rule};
use crate::platform::records::{Resource, rules};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Kind of an exact key, as the database names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum KeyKind {
    Email,
    Name,
    Phone,
    TaxNumber,
}

/// One exact key of a record, in normal form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: KeyKind,
    pub text: String,
    /// Whether many may have it: switchboards, role addresses, names.
    pub is_shared: bool,
}

/// A record as duplicates are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// In order, each once.
    pub keys: Vec<Key>,
    pub profile: Profile,
}

/// Local parts behind which stands an office, not a person.
const ROLE_ADDRESSES: &[&str] = &[
    "info",
    "sales",
    "admin",
    "office",
    "contact",
    "support",
    "service",
    "hello",
    "mail",
    "hr",
    "jobs",
    "marketing",
    "press",
    "billing",
    "finance",
    "accounts",
    "noreply",
    "no-reply",
    "postmaster",
    "webmaster",
    "enquiries",
    "kontakt",
    "buero",
    "zakaz",
    "kefu",
    "help",
    "team",
    "purchasing",
    "procurement",
    "reception",
    "legal",
];

/// Domains that say nothing about the company.
const PUBLIC_DOMAINS: &[&str] = &[
    "gmail.com",
    "googlemail.com",
    "qq.com",
    "163.com",
    "126.com",
    "139.com",
    "189.cn",
    "sina.com",
    "sina.cn",
    "sohu.com",
    "foxmail.com",
    "aliyun.com",
    "yeah.net",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "msn.com",
    "yahoo.com",
    "icloud.com",
    "me.com",
    "gmx.de",
    "gmx.net",
    "web.de",
    "mail.ru",
    "bk.ru",
    "list.ru",
    "inbox.ru",
    "yandex.ru",
    "ya.ru",
    "rambler.ru",
    "proton.me",
    "protonmail.com",
    "aol.com",
];

impl Subject {
    /// Of a record in wire form, in whatever state its derived members are.
    pub fn of(resource: &Resource, record: &Map<String, Value>) -> Subject {
        let text = |member: &str| record.get(member).and_then(Value::as_str).unwrap_or_default();
        let mut keys = Vec::new();
        let mut profile = Profile::default();
        if resource.singular == ACCOUNT.singular {
            keys.extend(likeness::tax_number(text("tax_number")).map(|text| own(KeyKind::TaxNumber, text)));
            profile.company = likeness::company(text("name"));
            profile.domain = domain(text("website"));
        } else {
            keys.extend(
                [text("phone"), text("personal_phone")]
                    .into_iter()
                    .filter_map(phone),
            );
            keys.extend(email(text("email")));
            profile.person = likeness::person(text("name"));
            profile.domain = domain(text("email"));
        }
        if resource.singular == LEAD.singular {
            profile.company = likeness::company(text("company"));
        }
        if resource.singular == CONTACT.singular {
            profile.account = Uuid::parse_str(text("account_id")).ok();
        }
        profile.region = Some(likeness::plain(text("region"))).filter(|region| !region.is_empty());
        keys.extend(whole_name(&profile.company));
        keys.sort();
        keys.dedup();
        Subject { keys, profile }
    }

    /// What of this was not there before: to be looked for when a record changes.
    pub fn beyond(mut self, before: &Subject) -> Subject {
        self.keys.retain(|key| !before.keys.contains(key));
        if self.profile.company == before.profile.company {
            self.profile.company.core = None;
        }
        let is_same_person = self.profile.person == before.profile.person;
        if is_same_person && self.profile.account == before.profile.account {
            self.profile.account = None;
        }
        self
    }

    /// Whether the two are known by the same.
    pub fn is_like(&self, other: &Subject) -> bool {
        let (one, two) = (&self.profile, &other.profile);
        self.keys == other.keys
            && one.company == two.company
            && one.person == two.person
            && one.account == two.account
    }

    /// The member that a rule is about, as a pointer.
    pub fn pointer(resource: &Resource, rule: Rule) -> &'static str {
        match rule {
            Rule::Phone => "/phone",
            Rule::Email => "/email",
            Rule::TaxNumber => "/tax_number",
            Rule::SharedKey if resource.singular != ACCOUNT.singular => "/phone",
            _ if resource.singular == LEAD.singular => "/company",
            _ => "/name",
        }
    }
}

fn own(kind: KeyKind, text: String) -> Key {
    Key {
        kind,
        text,
        is_shared: false,
    }
}

/// A phone in E.164. Only a number that can be a mobile one is a person's own.
fn phone(typed: &str) -> Option<Key> {
    let text = rules::e164(typed)?;
    let is_shared = !rules::is_mobile(&text);
    Some(Key {
        kind: KeyKind::Phone,
        text,
        is_shared,
    })
}

fn email(typed: &str) -> Option<Key> {
    let text = typed.trim().to_lowercase();
    let (local, _) = text.split_once('@')?;
    let is_shared = ROLE_ADDRESSES.contains(&local);
    Some(Key {
        kind: KeyKind::Email,
        is_shared,
        text,
    })
}

fn whole_name(company: &CompanyName) -> Option<Key> {
    let text = company.whole.clone();
    (!text.is_empty()).then_some(Key {
        kind: KeyKind::Name,
        text,
        is_shared: true,
    })
}

/// The domain of an e-mail or a web site, unless it is a public mail's.
fn domain(address: &str) -> Option<String> {
    let lower = address.trim().to_lowercase();
    let host = lower.rsplit_once('@').map_or(lower.as_str(), |(_, host)| host);
    let host = host.split_once("://").map_or(host, |(_, host)| host);
    let host = host.split(['/', ':', '?', '#']).next().unwrap_or_default();
    let host = host.strip_prefix("www.").unwrap_or(host);
    (host.contains('.') && !PUBLIC_DOMAINS.contains(&host)).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn subject(resource: &Resource, record: Value) -> Subject {
        Subject::of(resource, record.as_object().unwrap())
    }

    #[rstest]
    #[case("138 0013 8000")]
    #[case("+86-13800138000")]
    #[case("0086 138 0013 8000")]
    #[case("（＋８６）１３８００１３８０００")]
    fn a_phone_is_one_key_in_any_spelling(#[case] typed: &str) {
        let found = subject(&LEAD, json!({ "name": "王芳", "phone": typed }));
        assert_eq!(found.keys, [own(KeyKind::Phone, "+8613800138000".to_owned())]);
    }

    #[rstest]
    #[case(json!({ "name": "x", "phone": "021-6888 8888" }))]
    #[case(json!({ "name": "x", "phone": "+7 495 123-45-67" }))]
    #[case(json!({ "name": "x", "email": "Info@Example.com" }))]
    fn switchboards_and_role_addresses_are_shared(#[case] record: Value) {
        let found = subject(&CONTACT, record);
        assert!(found.keys.len() == 1 && found.keys[0].is_shared, "{found:?}");
    }

    #[test]
    fn a_public_mails_domain_says_nothing_about_the_company() {
        assert_eq!(domain("wang@qq.com"), None);
        assert_eq!(domain("wang@hengxin.example"), Some("hengxin.example".to_owned()));
        assert_eq!(
            domain("https://www.hengxin.example/about"),
            Some("hengxin.example".to_owned())
        );
    }

    #[test]
    fn a_company_name_that_is_only_legal_form_is_no_key() {
        assert!(
            subject(&ACCOUNT, json!({ "name": "科技有限公司" }))
                .keys
                .is_empty()
        );
        assert_eq!(subject(&ACCOUNT, json!({ "name": "恒信有限公司" })).keys.len(), 1);
    }
}
