//! Languages of answers, and the normal form of texts.

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The languages in which `detail` and `message` are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    #[default]
    En,
    Zh,
}

impl Lang {
    /// Reads `Accept-Language`: the first of `en` and `zh` by weight, English when neither is named.
    pub fn from_accept_language(header: &str) -> Lang {
        let mut best = (Lang::En, 0.0_f32);
        for part in header.split(',') {
            let (tag, weight) = part.split_once(";q=").unwrap_or((part, "1"));
            let weight = weight.trim().parse::<f32>().unwrap_or(0.0);
            let tag = tag.trim().to_ascii_lowercase();
            let lang = match tag.split('-').next() {
                Some("zh") => Lang::Zh,
                Some("en") => Lang::En,
                _ => continue,
            };
            if weight > best.1 {
                best = (lang, weight);
            }
        }
        best.0
    }

    pub fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh-CN",
        }
    }
}

/// One sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    pub en: String,
    pub zh: String,
}

impl Say {
    pub fn in_lang(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }
}

/// Pairs an English sentence with its Chinese one.
pub fn say(en: impl Into<String>, zh: impl Into<String>) -> Say {
    Say {
        en: en.into(),
        zh: zh.into(),
    }
}

/// Whether a character shows, by itself or on the one before: white space does not, nor do those that only join, break or
/// turn what stands beside them.
fn is_visible(character: char) -> bool {
    let is_hidden = matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}'
    );
    !is_hidden && !character.is_whitespace()
}

/// Trimmed, in NFC: the form in which texts are kept. What shows nothing is empty.
pub fn normal_form(text: &str) -> String {
    let trimmed = text.trim();
    if !trimmed.chars().any(is_visible) {
        return String::new();
    }
    if is_nfc(trimmed) {
        trimmed.to_owned()
    } else {
        trimmed.nfc().collect()
    }
}

/// The form in which names are compared: NFKC (full-width folded), lower case, inner white space joined.
pub fn folded(text: &str) -> String {
    let compatible: String = text.nfkc().collect();
    compatible
        .to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_asked_for_with_most_weight_is_answered() {
        assert_eq!(Lang::from_accept_language("zh-CN,zh;q=0.9,en;q=0.8"), Lang::Zh);
        assert_eq!(Lang::from_accept_language("en;q=0.3, zh;q=0.4"), Lang::Zh);
        assert_eq!(Lang::from_accept_language("fr, de"), Lang::En);
        assert_eq!(Lang::from_accept_language(""), Lang::En);
    }

    #[test]
    fn texts_are_trimmed_and_composed() {
        assert_eq!(normal_form("  Cafe\u{301} "), "Café");
    }

    #[test]
    fn a_text_that_shows_nothing_is_empty() {
        for hidden in ["\u{200b}", " \u{feff}\u{2060} ", "\u{3164}", "\u{3000}\u{ad}"] {
            assert_eq!(normal_form(hidden), "", "{}", hidden.escape_unicode());
        }
        assert_eq!(normal_form("👨\u{200d}👩"), "👨\u{200d}👩");
    }

    #[test]
    fn full_width_letters_fold_to_plain_ones() {
        assert_eq!(folded("ＡＢＣ　科技"), "abc 科技");
    }
}
