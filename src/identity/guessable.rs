//! How much of a password is left to guess. Whoever guesses tries words, runs of the keyboard and repetitions first, so each
//! of those counts as little as one character that nobody could foresee.

/// Fewest characters that must be left to guess.
const LEAST_UNFORESEEN: usize = 9;
/// Shortest run of the keyboard or of an alphabet that is one.
const LEAST_RUN: usize = 4;
/// Shortest piece that counts as repeated.
const LEAST_REPEATED: usize = 3;
/// Shortest word about a person that is looked for: a shorter one is in too many others.
const LEAST_WORD: usize = 3;

/// What fingers and heads run along, read from anywhere, in both directions.
const RUNS: &[&str] = &[
    "12345678901234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "qwertzuiopasdfghjklyxcvbnm",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "zaq12wsxcde34rfvbgt56yhnmju78ik",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "1a2b3c4d5e6f7g8h9i0j",
    "a1b2c3d4e5f6g7h8i9j0",
    "a1s2d3f4g5h6j7k8l9",
    "йцукенгшщзхъфывапролджэячсмитьбю",
    "абвгдежзийклмнопрстуфхцчшщъыьэюя",
];

/// Words of passwords that everybody's list begins with.
const WORDS: &[&str] = &[
    "password",
    "passwort",
    "passwd",
    "passw",
    "passphrase",
    "пароль",
    "密码",
    "welcome",
    "letmein",
    "login",
    "secret",
    "default",
    "changeme",
    "changeit",
    "admin",
    "administrator",
    "administration",
    "root",
    "guest",
    "user",
    "test",
    "demo",
    "temp",
    "hello",
    "master",
    "access",
    "system",
    "server",
    "company",
    "business",
    "office",
    "sales",
    "salesforce",
    "penstock",
    "customer",
    "manager",
    "iloveyou",
    "ilove",
    "love",
    "lovely",
    "forever",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "basketball",
    "soccer",
    "hockey",
    "liverpool",
    "arsenal",
    "chelsea",
    "sunshine",
    "princess",
    "superman",
    "batman",
    "spiderman",
    "starwars",
    "pokemon",
    "naruto",
    "shadow",
    "killer",
    "trustno",
    "whatever",
    "michael",
    "jordan",
    "jessica",
    "jennifer",
    "ashley",
    "daniel",
    "charlie",
    "thomas",
    "summer",
    "winter",
    "spring",
    "autumn",
    "monday",
    "friday",
    "january",
    "february",
    "october",
    "november",
    "december",
    "internet",
    "computer",
    "google",
    "facebook",
    "microsoft",
    "windows",
    "samsung",
    "apple",
    "iphone",
    "android",
    "cheese",
    "cookie",
    "flower",
    "freedom",
    "blessed",
    "jesus",
    "angel",
    "woaini",
    "woaiwo",
    "woai",
    "mima",
    "zhongguo",
    "china",
    "beijing",
    "shanghai",
    "shenzhen",
    "wang",
    "zhang",
    "привет",
    "любовь",
    "5201314",
    "1314",
    "thisisa",
    "thisismy",
    "mypass",
    "mysecret",
    "super",
    "strong",
    "secure",
    "security",
    "qwerty",
    "asdf",
    "zxcv",
    "abc123",
    "aa123456",
];

/// Whether a password is easily guessed. `about`: what is known of the person, such as their e-mail address.
pub fn is_guessable(password: &str, about: &[&str]) -> bool {
    let text = folded(password);
    let words = WORDS.iter().map(|word| word.chars().collect());
    let words = words.chain(about.iter().flat_map(|said| words_of(said)));
    let runs = RUNS
        .iter()
        .flat_map(|run| [run.chars().collect(), run.chars().rev().collect::<Vec<_>>()]);
    let known = Known {
        words: words.collect(),
        runs: runs.collect(),
    };
    known.unforeseen(&text) < LEAST_UNFORESEEN
}

/// Small letters, without what only separates words.
fn folded(text: &str) -> Vec<char> {
    let separates = |c: &char| c.is_whitespace() || " -_.,+".contains(*c);
    text.to_lowercase().chars().filter(|c| !separates(c)).collect()
}

/// What is said of a person, whole and by its words.
fn words_of(said: &str) -> Vec<Vec<char>> {
    let parts = said.split(|c: char| !c.is_alphanumeric()).map(folded);
    let around = said.split('@').map(folded);
    let words = parts.chain(around).chain([folded(said)]);
    words.filter(|word| word.len() >= LEAST_WORD).collect()
}

struct Known {
    words: Vec<Vec<char>>,
    runs: Vec<Vec<char>>,
}

impl Known {
    /// The fewest characters that somebody who knows all this has to guess.
    fn unforeseen(&self, text: &[char]) -> usize {
        let mut fewest = vec![usize::MAX; text.len() + 1];
        fewest[0] = 0;
        for at in 0..text.len() {
            let here = fewest[at];
            let mut reach = |length: usize, cost: usize| {
                let place = &mut fewest[at + length];
                *place = (*place).min(here + cost);
            };
            reach(1, 1);
            self.foreseen(&text[at..])
                .into_iter()
                .for_each(|length| reach(length, 1));
            repeated(text, at).into_iter().for_each(|length| reach(length, 0));
        }
        fewest[text.len()]
    }

    /// Lengths of what stands at the beginning of a text and needs no guessing but which it is.
    fn foreseen(&self, text: &[char]) -> Vec<usize> {
        let words = self.words.iter().filter(|word| begins(text, word)).map(Vec::len);
        let runs = self.runs.iter().flat_map(|run| {
            let starts = (0..run.len()).map(|start| shared(text, &run[start..]));
            starts.filter(|length| *length >= LEAST_RUN)
        });
        let same = text.iter().take_while(|c| Some(*c) == text.first()).count();
        let is_year = text.len() >= 4
            && text[..4].iter().all(char::is_ascii_digit)
            && [['1', '9'], ['2', '0']]
                .iter()
                .any(|century| text.starts_with(century));
        let year = is_year.then_some(4);
        words
            .chain(runs)
            .chain([same].into_iter().filter(|same| *same >= LEAST_REPEATED))
            .chain(year)
            .collect()
    }
}

/// Lengths of the pieces at a place that stand right before it too, once or in part.
fn repeated(text: &[char], at: usize) -> Vec<usize> {
    let (before, after) = text.split_at(at);
    let lengths = LEAST_REPEATED..=before.len();
    let repeats = lengths.filter_map(|length| {
        let piece = &before[before.len() - length..];
        let shared = after
            .iter()
            .zip(piece)
            .take_while(|(one, other)| one == other)
            .count();
        let is_cut_short = shared == after.len() && shared >= LEAST_REPEATED;
        (shared == length || is_cut_short).then_some(shared)
    });
    repeats.collect()
}

fn begins(text: &[char], word: &[char]) -> bool {
    text.len() >= word.len() && shared(text, word) == word.len()
}

/// How many characters two texts begin with alike, be they written as digits and signs.
fn shared(text: &[char], known: &[char]) -> usize {
    let pairs = text.iter().zip(known);
    pairs
        .take_while(|(written, meant)| stands_for(**written, **meant))
        .count()
}

/// Whether a character is written for another, as `0` for `o`, or is what its key gives with shift.
fn stands_for(written: char, meant: char) -> bool {
    let meanings = match written {
        '0' => "o",
        '1' => "il",
        '2' => "z",
        '3' => "e",
        '4' => "a",
        '5' => "s",
        '7' => "t",
        '8' => "b",
        '9' => "g",
        '!' => "1il",
        '@' => "2a",
        '#' => "3",
        '$' => "4s",
        '%' => "5",
        '^' => "6",
        '&' => "7",
        '*' => "8",
        '(' => "9",
        ')' => "0",
        _ => "",
    };
    written == meant || meanings.contains(meant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ABOUT: &[&str] = &["li.wei@hengxin.example", "李伟", "Hengxin Technology", "hengxin"];

    #[rstest]
    #[case::digits("123456789012345")]
    #[case::more_digits("1234567890123456")]
    #[case::digits_down("987654321098765")]
    #[case::two_rows("qwertyuiopasdfghjkl")]
    #[case::an_alphabet("abcdefghijklmnop")]
    #[case::leet_twice("passw0rdpassw0rd")]
    #[case::leet_and_digits("P@ssw0rd12345678")]
    #[case::a_sentence("thisisapassword")]
    #[case::interleaved("1q2w3e4r5t6y7u8i")]
    #[case::columns("1qaz2wsx3edc4rfv")]
    #[case::with_shift("!@#$%^&*()!@#$%^")]
    #[case::one_character("aaaaaaaaaaaaaaaaaaaa")]
    #[case::a_piece_again("xk7xk7xk7xk7xk7xk7")]
    #[case::a_longer_piece_again("hunter2!hunter2!")]
    #[case::a_word_and_digits("Password1234567890!")]
    #[case::a_word_apart("p-a-s-s-w-o-r-d 2024 2024")]
    #[case::a_word_and_a_year("administrator2024!")]
    #[case::cyrillic("йцукенгшщзхъфыв")]
    #[case::ones_email("li.wei@hengxin.example")]
    #[case::ones_email_and_more("Li.Wei@hengxin.example1")]
    #[case::ones_company("hengxintechnology2024")]
    fn what_is_tried_first_is_guessable(#[case] password: &str) {
        assert!(is_guessable(password, ABOUT));
    }

    #[rstest]
    #[case::a_phrase("correct horse battery staple")]
    #[case::another("another horse battery staple")]
    #[case::chinese("十五个以上字符的中文密码没有任何问题")]
    #[case::russian("четыре слона идут домой")]
    #[case::chance("demo-Vq8xJ2mRtK0pLzYw")]
    #[case::digits_by_chance("839201746520193")]
    #[case::signs_by_chance("}{<>?~|[]=/;:'\"`")]
    #[case::somebody_elses_email("wang.fang@qiming.example")]
    fn what_nobody_foresees_is_not(#[case] password: &str) {
        assert!(!is_guessable(password, ABOUT));
    }

    #[test]
    fn the_longest_password_is_judged_at_once() {
        let long = "aq1".repeat(85);
        assert!(is_guessable(&long, ABOUT));
    }
}
