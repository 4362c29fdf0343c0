use super::*;
use proptest::prelude::*;
use rstest::rstest;

#[rstest]
#[case("华为技术有限公司", "華為技術有限公司")]
#[case("恒信智联科技有限公司", "恒信智联信息技术股份有限公司")]
#[case("上海恒信智联科技有限公司", "恒信智联科技(上海)有限公司")]
#[case("上海市恒信智联有限公司", "恒信智联有限责任公司")]
#[case("ＡＣＭＥ　Ｔｏｏｌｓ　Ｌｔｄ．", "Acme Tools Limited")]
#[case("Acme Tools Co., Ltd.", "Tools, ACME Inc")]
#[case("Müller Maschinenbau GmbH", "MULLER  Maschinenbau G.m.b.H.")]
#[case("ООО «Ромашка Плюс»", "Ромашка плюс, ООО")]
#[case("АО \"Ёлка Сервис\"", "елка сервис")]
fn spellings_of_one_company_are_one(#[case] one: &str, #[case] other: &str) {
    let (one, other) = (company(one), company(other));
    assert!(one.core.is_some(), "{one:?}");
    assert_eq!(one.core, other.core);
}

#[rstest]
#[case("科技有限公司")]
#[case("信息技术股份有限公司")]
#[case("有限公司")]
#[case("Ltd")]
#[case("ООО")]
#[case("")]
#[case("。、!")]
#[case("恒信有限公司")]
fn nothing_is_like_a_name_of_which_fewer_than_three_characters_remain(#[case] name: &str) {
    assert_eq!(company(name).core, None);
}

#[test]
fn a_short_name_keeps_its_trade_and_place() {
    assert_eq!(company("恒信科技有限公司").core.as_deref(), Some("恒信科技"));
    assert_eq!(company("上海恒信有限公司").core.as_deref(), Some("上海恒信"));
    assert_eq!(company("北京恒信智联有限公司").place.as_deref(), Some("北京"));
}

#[rstest]
#[case("明美自动化设备有限公司", "明美")]
#[case("恒信智联科技有限公司", "恒信智联")]
#[case("Global Rivaboford Systems Ltd", "rivaboford")]
#[case("Global Data Systems Ltd", "data global systems")]
#[case("科技贸易有限公司", "科技")]
fn names_are_looked_up_by_what_few_others_have(#[case] name: &str, #[case] rare: &str) {
    assert_eq!(company(name).distinctive.as_deref(), Some(rare));
}

#[rstest]
#[case("云图智能装备有限公司", "智能云图装备有限公司", 0.85)]
#[case("華東精密機械製造有限公司", "精密机械华东制造有限公司", 0.85)]
#[case("上海恒信智联科技有限公司", "智联恒信科技(上海)有限公司", 0.85)]
#[case("北京恒信智联科技有限公司", "上海智联恒信科技有限公司", 0.68)]
#[case("恒信智联有限公司", "恒信联合有限公司", 0.5)]
#[case("云图AI智能装备厂", "AI智能云图装备厂", 0.85)]
#[case("滨海5046电子", "滨海4056电子", 0.75)]
fn chinese_words_in_another_order_are_near(#[case] one: &str, #[case] other: &str, #[case] value: f64) {
    assert_eq!(score(&firm(one), &firm(other), &[]).value, value);
}

#[test]
fn likeness_needs_three_characters_on_both_sides() {
    assert_eq!(likeness("恒信", "恒信"), None);
    assert_eq!(likeness("恒信智联", "恒信"), None);
    assert_eq!(likeness("恒信智联", "恒信智联"), Some(1.0));
    assert!(likeness("siemens", "simens").unwrap() > 0.8);
    assert!(likeness("恒信智联", "瑞丰天泽").unwrap() < 0.1);
}

fn firm(name: &str) -> Profile {
    Profile {
        company: company(name),
        ..Profile::default()
    }
}

fn worker(name: &str, at: &str) -> Profile {
    Profile {
        person: person(name),
        ..firm(at)
    }
}

#[test]
fn an_exact_key_decides_and_the_reasons_say_so() {
    let found = score(&firm("恒信智联"), &firm("瑞丰天泽"), &[Rule::TaxNumber]);
    assert!(found.is_exact());
    assert_eq!((found.value, found.reasons[0].rule), (1.0, Rule::TaxNumber));
}

#[test]
fn a_branch_elsewhere_is_less_like_than_the_same_place() {
    let here = score(&firm("上海恒信智联有限公司"), &firm("恒信智联(上海)公司"), &[]);
    let there = score(&firm("上海恒信智联有限公司"), &firm("北京恒信智联有限公司"), &[]);
    assert_eq!(here.value, 0.99);
    assert_eq!(there.value, 0.8);
    assert!(there.reasons.iter().any(|reason| reason.rule == Rule::OtherPlace));
}

#[test]
fn two_people_of_one_company_are_two_leads() {
    let wang = worker("王芳", "恒信智联有限公司");
    assert!(!score(&wang, &worker("李强", "恒信智联公司"), &[]).is_worth_a_look());
    assert!(score(&wang, &worker("王 芳", "恒信智联公司"), &[]).is_worth_a_look());
    assert!(score(&wang, &firm("恒信智联公司"), &[]).is_worth_a_look());
}

#[test]
fn a_shared_key_alone_is_no_reason_to_look() {
    let found = score(&worker("王芳", ""), &worker("李强", ""), &[Rule::SharedKey]);
    assert!(!found.is_exact() && !found.is_worth_a_look());
    assert!(score(&worker("王小芳", ""), &worker("王小芳", ""), &[Rule::SharedKey]).is_worth_a_look());
}

proptest! {
    #[test]
    fn folding_twice_changes_nothing(text in "\\PC{0,60}") {
        prop_assert_eq!(plain(&plain(&text)), plain(&text));
    }

    #[test]
    fn likeness_is_a_share_and_has_no_direction(one in "[a-z恒信智联 ]{0,12}", other in "[a-z恒信智联 ]{0,12}") {
        let found = likeness(&one, &other);
        prop_assert_eq!(found, likeness(&other, &one));
        prop_assert!(found.is_none_or(|alike| (0.0..=1.0).contains(&alike)));
    }

    #[test]
    fn a_legal_form_and_the_order_of_words_change_nothing(
        words in proptest::collection::vec("[a-z]{4,8}x", 1..4), form in proptest::sample::select(vec!["Ltd.", "GmbH", "Inc", "ООО"])
    ) {
        let mut turned = words.clone();
        turned.reverse();
        let one = company(&words.join(" ")).core;
        prop_assert_eq!(one, company(&format!("{} {form}", turned.join(" "))).core);
    }

    #[test]
    fn no_name_breaks_the_folding(text in any::<String>()) {
        let found = company(&text);
        prop_assert!(found.core.is_none_or(|core| core.chars().filter(|letter| *letter != ' ').count() >= LEAST));
        person(&text);
        tax_number(&text);
    }
}
