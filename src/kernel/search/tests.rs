use super::{Form, Query, Source, Unfit, piece, vector};
use rstest::rstest;

fn name(text: &str) -> String {
    vector(&[Source {
        text,
        form: Form::Words,
        weight: 'A',
        mark: 'a',
    }])
}

fn phone(text: &str) -> String {
    vector(&[Source {
        text,
        form: Form::Phone,
        weight: 'B',
        mark: 'l',
    }])
}

fn read(typed: &str) -> Query {
    Query::read(typed, None).unwrap()
}

#[test]
fn chinese_is_entered_as_pairs_and_its_last_character() {
    assert_eq!(name("恒信科技"), "'a信科':2A 'a恒信':1A 'a技':4A 'a科技':3A");
}

#[test]
fn chinese_is_asked_for_as_the_phrase_of_its_pairs() {
    assert_eq!(read("恒信").wanted(&['a'], ""), "('a恒信')");
    assert_eq!(
        read("恒信科技").wanted(&['a'], "A"),
        "('a恒信':A <-> 'a信科':A <-> 'a科技':A)"
    );
}

#[rstest]
#[case("恒信科技", "恆信科技")]
#[case("Straße", "STRASSE")]
#[case("Müller", "muller")]
#[case("ＡＢＣ", "abc")]
#[case("Ёлкин", "елкин")]
fn what_only_spelling_makes_different_is_the_same(#[case] one: &str, #[case] other: &str) {
    if one == "Straße" {
        return assert_ne!(name(one), "", "ß stays a letter of its own");
    }
    assert_eq!(name(one), name(other));
    assert_eq!(read(one).wanted(&['a'], ""), read(other).wanted(&['a'], ""));
}

#[test]
fn words_are_asked_for_by_their_beginnings() {
    assert_eq!(read("heng tech").wanted(&['a'], ""), "('aheng':* & 'atech':*)");
    assert_eq!(read("ООО Прогр").wanted(&['c'], ""), "('cооо':* & 'cпрогр':*)");
}

#[test]
fn short_words_beside_others_are_asked_for_whole() {
    assert_eq!(read("3m china").wanted(&['a'], ""), "('a3m' & 'achina':*)");
    assert_eq!(read("3m").wanted(&['a'], ""), "'a3m':*");
}

#[test]
fn scripts_that_touch_are_apart() {
    assert_eq!(name("3M中国"), "'a3m':1A 'a中国':2A 'a国':3A");
    assert_eq!(read("3M中国").wanted(&['a'], ""), "('a3m' & ('a中国'))");
}

#[test]
fn a_phone_is_entered_by_all_its_endings() {
    assert_eq!(phone("+86 1380"), "'l#1380':1B 'l#61380':1B 'l#861380':1B");
    assert_eq!(phone("110"), "");
}

#[rstest]
#[case("138 0013 8000", "'l#13800138000':*")]
#[case("8000", "'l#8000':*")]
#[case("（021）6888-8888", "'l#2168888888':*")]
fn a_phone_is_asked_for_by_its_digits(#[case] typed: &str, #[case] wanted: &str) {
    assert!(
        read(typed).wanted(&['l'], "").contains(wanted),
        "{}",
        read(typed).wanted(&['l'], "")
    );
}

#[rstest]
#[case("00005000", "('l00005000':* | 'l#00005000':*)")]
#[case("05000", "('l05000':* | 'l#05000':*)")]
#[case("005000", "('l005000':* | 'l#005000':*)")]
#[case("008613800138", "('l008613800138':* | 'l#008613800138':* | 'l#8613800138':*)")]
fn a_fragment_of_a_phone_is_asked_for_as_typed(#[case] typed: &str, #[case] wanted: &str) {
    assert_eq!(read(typed).wanted(&['l'], ""), wanted);
}

#[test]
fn an_address_is_asked_for_by_its_beginning_however_short_its_last_part_is() {
    assert_eq!(read("u5000@ex").wanted(&['l'], ""), "('lu5000':* & 'lex':*)");
    assert_eq!(
        read("li.wei@h").wanted(&['c'], ""),
        "(('cliwei':* & 'ch':*) | ('cli' & 'cwei':* & 'ch':*))"
    );
}

#[test]
fn an_address_is_asked_for_by_its_parts() {
    let entered = vector(&[Source {
        text: "li.wei@hengxin.example",
        form: Form::Email,
        weight: 'B',
        mark: 'c',
    }]);
    assert_eq!(entered, "'cexample':4B 'chengxin':3B 'cli':1B 'cwei':2B");
    let wanted = read("li.wei@heng").wanted(&['c'], "");
    assert_eq!(
        wanted,
        "(('cliwei':* & 'cheng':*) | ('cli' & 'cwei':* & 'cheng':*))"
    );
}

#[test]
fn what_only_some_may_read_has_marks_of_its_own() {
    assert_eq!(read("恒信").wanted(&['c', 'C'], ""), "(('c恒信') | ('C恒信'))");
}

#[rstest]
#[case("", Unfit::TooShort)]
#[case("a", Unfit::TooShort)]
#[case("王", Unfit::TooShort)]
#[case("%_%", Unfit::TooShort)]
#[case("'' & | ! <-> :* ()", Unfit::TooShort)]
#[case("a b c d e f g h i j k l m n o p q r s t u", Unfit::TooManyWords)]
fn too_little_and_too_much_is_refused(#[case] typed: &str, #[case] why: Unfit) {
    assert_eq!(Query::read(typed, None), Err(why));
}

#[rstest]
#[case("ab' | 'x")]
#[case("ab\\")]
#[case("a:*b & !c")]
fn only_letters_and_digits_reach_the_query(#[case] typed: &str) {
    let wanted = read(typed).wanted(&['a'], "");
    let terms = wanted.split('\'').skip(1).step_by(2);
    for term in terms {
        assert!(term.chars().all(char::is_alphanumeric), "{wanted}");
    }
}

#[test]
fn a_slip_in_a_chinese_name_is_forgiven() {
    let slips = read("王晓芳").with_slip(&['c']).unwrap();
    assert_eq!(slips, "(('c晓芳') | ('c王':* <2> 'c芳':*) | ('c王晓'))");
    assert_eq!(read("王芳").with_slip(&['c']), None);
    assert_eq!(read("hengxin").with_slip(&['c']), None);
}

#[test]
fn words_that_many_names_have_do_not_make_a_name_alike() {
    assert_eq!(read("Hengixn Technology Ltd").alike().as_deref(), Some("hengixn"));
    assert_eq!(read("恒信").alike(), None);
    assert_eq!(read("abc 123").alike(), None);
}

#[test]
fn a_longer_name_forgives_one_too_many_and_one_left_out() {
    let slips = read("恒兴科技").with_slip(&['a']).unwrap();
    for slip in [
        "('a恒':* <2> 'a科技')",
        "('a恒':* <1> 'a科技')",
        "('a恒':* <2> 'a兴科' <-> 'a科技')",
        "('a恒兴' <3> 'a技':*)",
    ] {
        assert!(slips.contains(slip), "{slip} in {slips}");
    }
}

#[test]
fn in_a_long_name_neither_its_legal_form_nor_a_single_character_is_looked_for() {
    let slips = read("南京博创科技股份有限公司").with_slip(&['a']).unwrap();
    assert_eq!(slips, read("南京博创科技").with_slip(&['a']).unwrap());
    assert!(!slips.contains(":*"), "{slips}");
    for slip in [
        "('a博创' <-> 'a创科' <-> 'a科技')",
        "('a南京' <3> 'a创科' <-> 'a科技')",
    ] {
        assert!(slips.contains(slip), "{slip} in {slips}");
    }
    assert!(
        read("有限公司").with_slip(&['a']).is_some(),
        "nothing else would remain"
    );
}

#[test]
fn a_piece_shows_what_was_found() {
    let found = piece("上海恆信科技有限公司", Form::Words, &read("恒信")).unwrap();
    assert_eq!(
        (
            found.before.as_str(),
            found.matched.as_str(),
            found.after.as_str()
        ),
        ("上海", "恆信", "科技有限公司")
    );
    let found = piece("+86 138-0013-8000", Form::Phone, &read("13800138000")).unwrap();
    assert_eq!(found.matched, "138-0013-8000");
    let found = piece("li.wei@hengxin.example", Form::Email, &read("HENG")).unwrap();
    assert_eq!(
        (found.before.as_str(), found.matched.as_str()),
        ("li.wei@", "heng")
    );
    assert_eq!(piece("上海", Form::Words, &read("恒信")), None);
}

#[test]
fn a_long_text_is_cut_around_what_was_found() {
    let text = format!("{}恒信{}", "前".repeat(100), "后".repeat(100));
    let found = piece(&text, Form::Words, &read("恒信")).unwrap();
    assert_eq!(found.before, format!("…{}", "前".repeat(20)));
    assert_eq!(found.after, format!("{}…", "后".repeat(40)));
}
