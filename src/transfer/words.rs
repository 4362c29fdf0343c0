//! How a heading is recognised.

use super::targets::{EXTERNAL_ID, TransferSubject};
use crate::kernel::likeness;
use crate::kernel::text::folded;
use crate::platform::records::Member;
use crate::platform::records::custom::Definition;
use crate::platform::records::store::expand_name;
use std::sync::LazyLock;

/// What headings mean, by target, in the languages that they come in. The eleven of the customer information sheet among
/// them.
const WORDS: &[(&str, &[&str])] = &[
    (
        EXTERNAL_ID,
        &[
            "id",
            "external id",
            "编号",
            "外部编号",
            "opportunity id",
            "lead id",
            "account id",
            "contact id",
            "客户编号",
            "商机编号",
            "线索编号",
        ],
    ),
    (
        "name",
        &[
            "姓名",
            "名称",
            "full name",
            "contact",
            "联系人",
            "联络人",
            "联系人姓名",
            "商机名称",
            "opportunity name",
            "deal name",
            "lead name",
        ],
    ),
    (
        "company",
        &[
            "公司",
            "公司名称",
            "客户名称",
            "企业名称",
            "客戶名稱",
            "company name",
            "organisation",
            "organization",
        ],
    ),
    ("job_title", &["职务", "职位", "職務", "title", "position"]),
    (
        "phone",
        &[
            "电话",
            "手机",
            "联系方式",
            "联系电话",
            "联络电话",
            "手机号",
            "聯系方式",
            "聯絡方式",
            "mobile",
            "telephone",
            "tel",
            "phone number",
        ],
    ),
    (
        "email",
        &["邮箱", "电子邮件", "电子邮箱", "e-mail", "mail", "email address"],
    ),
    (
        "campaign_key",
        &[
            "campaign",
            "utm campaign",
            "utm_campaign",
            "活动",
            "市场活动",
            "營銷活動",
            "营销活动",
        ],
    ),
    ("industry", &["行业", "所属行业", "所屬行業", "sector"]),
    (
        "region",
        &[
            "地区",
            "区域",
            "省份",
            "城市",
            "office location",
            "country",
            "state",
            "location",
        ],
    ),
    (
        "need",
        &[
            "需求",
            "初步需求描述",
            "需求描述",
            "requirement",
            "requirements",
            "message",
        ],
    ),
    ("budget_amount", &["预算", "预算金额", "budget"]),
    ("currency", &["币种", "货币"]),
    ("expected_need_on", &["预计需求日期", "需求时间"]),
    ("decision_from", &["决策开始日期"]),
    ("decision_until", &["决策截止日期", "决策时间"]),
    (
        "source_id",
        &[
            "来源",
            "信息来源",
            "线索来源",
            "信息來源",
            "source",
            "lead source",
        ],
    ),
    (
        "owner_id",
        &[
            "负责人",
            "跟进人",
            "跟進人",
            "销售",
            "销售人员",
            "owner",
            "sales agent",
            "sales rep",
            "salesperson",
        ],
    ),
    ("tags", &["标签", "tag"]),
    (
        "description",
        &[
            "备注", "描述", "说明", "notes", "note", "remark", "remarks", "comment",
        ],
    ),
    (
        "employees",
        &["员工人数", "人数", "number of employees", "headcount"],
    ),
    ("annual_revenue", &["年营收", "年收入", "营业额", "revenue"]),
    (
        "size_note",
        &["企业规模", "公司规模", "規模", "企業規模", "company size", "size"],
    ),
    ("address", &["地址", "公司地址"]),
    (
        "tax_number",
        &["税号", "统一社会信用代码", "纳税人识别号", "tax id", "vat number"],
    ),
    ("billing_title", &["开票抬头", "发票抬头"]),
    (
        "website",
        &["网站", "网址", "官网", "web site", "url", "homepage"],
    ),
    (
        "parent_id",
        &[
            "上级公司",
            "母公司",
            "集团",
            "parent",
            "parent company",
            "subsidiary of",
        ],
    ),
    ("segment", &["客户分类", "细分"]),
    ("grade", &["客户等级", "意向等级", "等级"]),
    ("follow_up_status", &["跟进状态", "跟進狀態", "follow up status"]),
    (
        "next_follow_up_on",
        &["下次跟进时间", "下次跟进日期", "下次跟進時間", "next follow up"],
    ),
    (
        "account_id",
        &[
            "客户",
            "账户",
            "客户名称",
            "客戶名稱",
            "account",
            "account name",
            "customer",
            "公司",
        ],
    ),
    (
        "amount",
        &[
            "金额",
            "商机金额",
            "预计金额",
            "value",
            "close value",
            "deal value",
        ],
    ),
    (
        "expected_close_on",
        &["预计成交日期", "预计签约日期", "expected close date"],
    ),
    ("pipeline_id", &["流程", "销售流程", "pipeline"]),
    ("stage", &["阶段", "商机阶段", "销售阶段", "deal stage"]),
    (
        "entered_on",
        &["开始日期", "立项日期", "engage date", "opened on", "open date"],
    ),
    (
        "closed_on",
        &["成交日期", "关闭日期", "close date", "closed date"],
    ),
    ("loss_reason", &["丢单原因", "失败原因"]),
    ("product", &["产品", "产品名称", "product name"]),
    ("next_step", &["下一步", "下一步计划"]),
    ("buying_role", &["采购角色", "决策角色"]),
    ("contact.job_title", &["职务", "职位", "職務", "contact title"]),
    (
        "contact.phone",
        &["联系方式", "联系电话", "聯系方式", "电话", "手机"],
    ),
    ("contact.email", &["邮箱", "电子邮箱", "e-mail", "email"]),
];

/// Words that mean another target for one subject than for the others.
const OVERRIDES: &[(TransferSubject, &str, &[&str])] = &[
    (
        TransferSubject::Account,
        "contact.name",
        &[
            "联系人",
            "聯系人",
            "聯絡人",
            "联系人姓名",
            "姓名",
            "contact",
            "contact person",
        ],
    ),
    (
        TransferSubject::Account,
        "name",
        &[
            "客户名称",
            "客戶名稱",
            "公司名称",
            "企业名称",
            "公司",
            "account",
            "account name",
            "company",
            "company name",
        ],
    ),
    (
        TransferSubject::Account,
        "description",
        &["初步需求描述", "需求描述", "需求"],
    ),
    (
        TransferSubject::Account,
        "external_id",
        &["客户编号", "account id"],
    ),
];

/// The words as headings are compared with them.
static PLAIN_WORDS: LazyLock<Vec<(&str, Vec<String>)>> = LazyLock::new(|| {
    let words = WORDS.iter();
    words.map(|(target, words)| (*target, all_plain(words))).collect()
});

static PLAIN_OVERRIDES: LazyLock<Vec<(TransferSubject, &str, Vec<String>)>> = LazyLock::new(|| {
    let words = OVERRIDES.iter();
    words
        .map(|(of, target, words)| (*of, *target, all_plain(words)))
        .collect()
});

fn all_plain(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| plain(word)).collect()
}

/// A field of the company's own.
#[derive(Debug, Clone)]
pub struct OwnField {
    pub key: String,
    pub label: String,
}

impl OwnField {
    fn target(&self) -> String {
        format!("custom.{}", self.key)
    }

    pub fn all(definitions: &[Definition]) -> Vec<OwnField> {
        let fields = definitions.iter().map(|field| OwnField {
            key: field.key.clone(),
            label: field.label.clone(),
        });
        fields.collect()
    }
}

/// The target that a heading names, if it is known: the member's own name, as exports write it, key or label of a field of
/// the company's own, or one of the member's words.
pub fn recognise(subject: TransferSubject, heading: &str, fields: &[OwnField]) -> Option<String> {
    meaning(subject, heading, fields).target
}

/// What a heading says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// None where it is not known, or two fields of the company's own bear it as their label: a guess could be wrong.
    pub target: Option<String>,
    /// What else it could say.
    pub alternatives: Vec<String>,
}

/// What a heading says, and what else it could: what names a target goes before a label, a label before a word.
pub fn meaning(subject: TransferSubject, heading: &str, fields: &[OwnField]) -> Meaning {
    let heading = plain(heading);
    if heading.is_empty() {
        return Meaning::default();
    }
    let named = named(subject, &heading, fields);
    let labels = fields.iter().filter(|field| plain(&field.label) == heading);
    let labels = labels.map(OwnField::target).collect::<Vec<_>>();
    let is_ambiguous = named.is_none() && labels.len() > 1;
    let mut found = Vec::new();
    for target in named.into_iter().chain(labels).chain(worded(subject, &heading)) {
        if !found.contains(&target) {
            found.push(target);
        }
    }
    let mut found = found.into_iter();
    let target = if is_ambiguous { None } else { found.next() };
    Meaning {
        target,
        alternatives: found.collect(),
    }
}

/// The target whose own name it is.
fn named(subject: TransferSubject, heading: &str, fields: &[OwnField]) -> Option<String> {
    let is_key = |field: &&OwnField| plain(&field.key) == heading || plain(&field.target()) == heading;
    let own = fields.iter().find(is_key).map(OwnField::target);
    own.or_else(|| {
        let mut targets = subject.targets().into_iter();
        targets.find(|target| plain(target) == heading).map(str::to_owned)
    })
}

/// The target that it is commonly a word for.
fn worded(subject: TransferSubject, heading: &str) -> Option<String> {
    let mut overrides = PLAIN_OVERRIDES.iter();
    let is_word = |words: &[String]| words.iter().any(|word| word == heading);
    if let Some((_, target, _)) = overrides.find(|(of, _, words)| *of == subject && is_word(words)) {
        return Some((*target).to_owned());
    }
    let is_meant = |target: &&str| {
        let mut words = PLAIN_WORDS.iter();
        words.any(|(of, words)| of == target && is_word(words))
    };
    let mut targets = subject.targets().into_iter();
    let common = targets.find(is_meant).map(str::to_owned);
    common.or_else(|| referred(subject, heading))
}

/// The member that a column of what it refers to stands for, as exports write it: `owner.email`.
fn referred(subject: TransferSubject, heading: &str) -> Option<String> {
    let targets = subject.targets();
    let is_meant = |member: &&Member| {
        let relation =
            expand_name(member).filter(|_| member.refers.is_some() && targets.contains(&member.name));
        relation.is_some_and(|relation| {
            let columns = ["id", "key", "name", "email"].iter();
            columns
                .map(|column| plain(&format!("{relation}.{column}")))
                .any(|column| column == heading)
        })
    };
    let mut members = subject.resource().members.iter();
    members.find(is_meant).map(|member| member.name.to_owned())
}

/// A heading without what does not tell: case, width, traditional characters, accents, spaces, marks, the reading of a character in brackets (`業(yè)`), and
/// an explanation in brackets at the end.
fn plain(heading: &str) -> String {
    let folded = folded(heading);
    let mut text = String::new();
    let mut rest = folded.as_str();
    while let Some((before, after)) = rest.split_once('(') {
        text.push_str(before);
        match after.split_once(')') {
            Some((inside, behind)) if is_reading(inside) => rest = behind,
            _ => {
                rest = "";
            }
        }
    }
    text.push_str(rest);
    let mut plain = likeness::plain(&text);
    plain.retain(char::is_alphanumeric);
    plain
}

/// Latin letters, accented ones among them.
fn is_reading(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_alphabetic() && u32::from(letter) < 0x250)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SHEET: [&str; 11] = [
        "客户名称",
        "所属行业",
        "企业规模(员工人数/年营收)",
        "联系人",
        "职务",
        "联系方式",
        "初步需求描述",
        "信息来源",
        "跟进人",
        "跟进状态",
        "下次跟进时间",
    ];

    #[test]
    fn the_eleven_columns_of_the_customer_information_sheet_are_known() {
        let targets = |subject| SHEET.map(|heading| recognise(subject, heading, &[]).unwrap_or_default());
        let account = [
            "name",
            "industry",
            "size_note",
            "contact.name",
            "contact.job_title",
            "contact.phone",
            "description",
            "source_id",
            "owner_id",
            "follow_up_status",
            "next_follow_up_on",
        ];
        assert_eq!(targets(TransferSubject::Account), account);
        let lead = [
            "company",
            "industry",
            "",
            "name",
            "job_title",
            "phone",
            "need",
            "source_id",
            "owner_id",
            "",
            "",
        ];
        assert_eq!(targets(TransferSubject::Lead), lead);
    }

    #[rstest]
    #[case("客戶名稱", "name")]
    #[case("所屬行業(yè)", "industry")]
    #[case("企業(yè)規(guī)模(員工人數(shù)/年?duì)I收)", "size_note")]
    #[case("職務(wù)", "contact.job_title")]
    #[case("聯(lián)系方式", "contact.phone")]
    #[case("跟進(jìn)狀態(tài)", "follow_up_status")]
    #[case("ＩＮＤＵＳＴＲＹ", "industry")]
    #[case("Office_Location", "region")]
    fn a_heading_is_known_in_many_spellings(#[case] heading: &str, #[case] target: &str) {
        assert_eq!(
            recognise(TransferSubject::Account, heading, &[]).as_deref(),
            Some(target)
        );
    }

    #[rstest]
    #[case("聯系人", "name")]
    #[case("聯絡人", "name")]
    #[case("聯繫電話", "phone")]
    #[case("公司名稱", "company")]
    #[case("電子郵箱", "email")]
    #[case("所屬行業(yè)", "industry")]
    #[case("職務(wù)", "job_title")]
    #[case("聯(lián)系人", "name")]
    #[case("初步需求描述", "need")]
    #[case("負責人", "owner_id")]
    #[case("Ｅ－ｍａｉｌ", "email")]
    fn a_heading_in_traditional_characters_is_known_for_leads_too(
        #[case] heading: &str,
        #[case] target: &str,
    ) {
        assert_eq!(
            recognise(TransferSubject::Lead, heading, &[]).as_deref(),
            Some(target)
        );
    }

    #[test]
    fn a_field_of_the_companys_own_is_known_by_its_key_and_its_label() {
        let own = |label: &str| OwnField {
            key: "delivery_city".to_owned(),
            label: label.to_owned(),
        };
        let found = |heading: &str, label: &str| recognise(TransferSubject::Lead, heading, &[own(label)]);
        for heading in ["Delivery City", "送货城市", "custom.delivery_city"] {
            let target = found(heading, "送货城市");
            assert_eq!(target.as_deref(), Some("custom.delivery_city"), "{heading}");
        }
        // Its label goes before a word that is commonly used, not before a member's own name.
        assert_eq!(found("城市", "城市").as_deref(), Some("custom.delivery_city"));
        assert_eq!(found("region", "Region").as_deref(), Some("region"));
        assert_eq!(recognise(TransferSubject::Lead, "whatever", &[]), None);
    }

    #[test]
    fn what_else_a_heading_could_say_is_told_and_two_equal_labels_are_no_guess() {
        let own = |key: &str| OwnField {
            key: key.to_owned(),
            label: "手机".to_owned(),
        };
        let one = meaning(TransferSubject::Lead, "手机", &[own("private")]);
        assert_eq!(one.target.as_deref(), Some("custom.private"));
        assert_eq!(one.alternatives, ["phone"]);
        let two = meaning(TransferSubject::Lead, "手机", &[own("private"), own("office")]);
        assert_eq!(two.target, None);
        assert_eq!(two.alternatives, ["custom.private", "custom.office", "phone"]);
        let none = meaning(TransferSubject::Lead, "phone", &[own("private")]);
        assert_eq!(
            (none.target.as_deref(), none.alternatives.len()),
            (Some("phone"), 0)
        );
    }
}
