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

/// Trimmed, in NFC: the form in which texts are kept.
pub fn normal_form(text: &str) -> String {
    let trimmed = text.trim();
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
    fn full_width_letters_fold_to_plain_ones() {
        assert_eq!(folded("ＡＢＣ　科技"), "abc 科技");
    }
}
