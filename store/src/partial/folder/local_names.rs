//! Other names for entries that a file system cannot hold.
//!
//! Pure. Every name given here is one component of a path on every system, and the file system
//! takes no two names of one directory for the same.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use unicode_normalization::UnicodeNormalization;

use super::file_system::{FileSystem, Normalization, is_device};

/// Replaces a character that a file system refuses, and ends a name that it would change.
const SUBSTITUTE: char = '_';

/// Bytes of the longest ending that a name keeps when it is cut.
const MAX_ENDING: usize = 16;

impl FileSystem {
    /// Whether it can hold every name.
    fn holds_all_names(&self) -> bool {
        let names = Self {
            supports_links: true,
            keeps_executable: true,
            ..self.clone()
        };
        names == Self::unrestricted()
    }

    /// Other names for those of one directory that it cannot hold: the index of each among
    /// `names`, which are distinct, and its new name.
    pub(super) fn renamed<'n>(
        &self,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> Vec<(usize, String)> {
        if self.holds_all_names() {
            return Vec::new();
        }
        let mut taken = HashSet::new();
        let mut others = Vec::new();
        for (at, name) in names.enumerate() {
            let held = self.held(name);
            if held != name || !taken.insert(self.key(name).into_owned()) {
                others.push((at, held.into_owned()));
            }
        }
        // Numbers continue where the last name of the same key ended, so that no number is tried
        // twice.
        let mut numbers: HashMap<String, u64> = HashMap::new();
        for (_, held) in &mut others {
            if taken.insert(self.key(held).into_owned()) {
                continue;
            }
            let number = numbers.entry(self.key(held).into_owned()).or_insert(1);
            *held = loop {
                *number += 1;
                let numbered = self.numbered(held, *number);
                if taken.insert(self.key(&numbered).into_owned()) {
                    break numbered;
                }
            };
        }
        others
    }

    /// The name itself, or the most similar one that it can hold.
    fn held<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let mut held: Cow<'n, str> = match self.normalization {
            Normalization::Composed if !name.is_ascii() => name.nfc().collect::<String>().into(),
            Normalization::Decomposed if !name.is_ascii() => name.nfd().collect::<String>().into(),
            _ => name.into(),
        };
        if held.contains(|character| self.refuses(character)) {
            let substitute = |character| match self.refuses(character) {
                true => SUBSTITUTE,
                false => character,
            };
            held = held.chars().map(substitute).collect::<String>().into();
        }
        if held.len() > self.max_name_len {
            held = cut(&held, "", self.max_name_len).into();
        }
        if !self.allows_device_names && is_device(&held) {
            let (stem, rest) = held.split_at(held.find('.').unwrap_or(held.len()));
            let stem = stem.trim_end_matches(' ');
            held = cut(&format!("{stem}{SUBSTITUTE}{rest}"), "", self.max_name_len).into();
        }
        if !self.keeps_trailing_dots && held.ends_with(['.', ' ']) {
            let kept = held.trim_end_matches(['.', ' ']).len();
            let ending = held.len() - kept;
            held.to_mut().truncate(kept);
            (0..ending).for_each(|_| held.to_mut().push(SUBSTITUTE));
        }
        held
    }

    /// Whether it refuses a character. Separators are refused even if the file system allows them.
    fn refuses(&self, character: char) -> bool {
        let is_refused = self.is_ascii_only && !character.is_ascii();
        is_refused || self.refused.contains(&character) || std::path::is_separator(character)
    }

    /// A name with a number before its ending.
    fn numbered(&self, held: &str, number: u64) -> String {
        cut(held, &format!(" ({number})"), self.max_name_len)
    }

    /// A key that two names share exactly if the file system takes them for the same. If it
    /// ignores case and form, this is a canonical caseless match (Unicode, D145).
    fn key<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.is_case_sensitive && (self.normalization == Normalization::Apart || name.is_ascii())
        {
            return name.into();
        }
        if name.is_ascii() {
            return name.to_ascii_lowercase().into();
        }
        let decomposed = |text: &str| match self.normalization {
            Normalization::Apart => text.to_owned(),
            _ => text.nfd().collect(),
        };
        let mut key = decomposed(name);
        if !self.is_case_sensitive {
            key = decomposed(&key.chars().flat_map(folded).collect::<String>());
        }
        key.into()
    }
}

/// A character without case: two characters have the same exactly if Unicode's full case folding
/// takes them for the same.
fn folded(character: char) -> impl Iterator<Item = char> {
    // A dotless i has the upper case of an i, and is another letter.
    let is_dotless = character == '\u{131}';
    let lower = character.to_lowercase();
    let folded = lower
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    folded.map(move |folded| if is_dotless { character } else { folded })
}

/// A name with `addition` before its ending, cut if all of it has more than `max` bytes.
fn cut(name: &str, addition: &str, max: usize) -> String {
    let (stem, ending) = match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= MAX_ENDING.min(max / 2) => name.split_at(at),
        _ => (name, ""),
    };
    let room = max.saturating_sub(addition.len() + ending.len());
    let stem = &stem[..stem.floor_char_boundary(room)];
    format!("{stem}{addition}{ending}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exfat() -> FileSystem {
        FileSystem {
            refused: "<>:\"|?*\\\n".chars().collect(),
            is_case_sensitive: false,
            supports_links: false,
            keeps_executable: false,
            ..FileSystem::unrestricted()
        }
    }

    /// The names that change in a directory.
    fn renamed(file_system: &FileSystem, names: &[&str]) -> Vec<(String, String)> {
        let renamed = file_system.renamed(names.iter().copied());
        let named = |(at, held): (usize, String)| (names[at].to_owned(), held);
        renamed.into_iter().map(named).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, held): &(&str, &str)| ((*name).to_owned(), (*held).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_file_system_that_holds_everything_changes_no_name() {
        let names = ["A", "CON", "a", "a.", "a:b", "e\u{301}", "\u{e9}", "x\ny"];
        assert_eq!(renamed(&FileSystem::unrestricted(), &names), []);
    }

    #[test]
    fn names_that_windows_cannot_hold_get_others() {
        let names = [
            "COM1",
            "a.",
            "a:b",
            "a<b",
            "aux.c",
            "aux_.c",
            "lpt\u{b9}.txt",
            "nul",
            "ok",
            "x. .",
            r"..\up",
        ];
        let expected = [
            ("COM1", "COM1_"),
            ("a.", "a_"),
            ("a:b", "a_b"),
            ("a<b", "a_b (2)"),
            ("aux.c", "aux_ (2).c"),
            ("lpt\u{b9}.txt", "lpt\u{b9}_.txt"),
            ("nul", "nul_"),
            ("x. .", "x___"),
            (r"..\up", ".._up"),
        ];
        assert_eq!(renamed(&FileSystem::windows(), &names), pairs(&expected));
        let expected = [("aux.c", "aux_.c")];
        assert_eq!(
            renamed(&FileSystem::windows(), &["aux.c"]),
            pairs(&expected)
        );
    }

    #[test]
    fn the_first_of_twins_keeps_its_name() {
        let names = [
            "README",
            "Readme",
            "STRASSE",
            "readme",
            "readme (2)",
            "straße",
            "xt_DSCP.c",
            "xt_dscp.c",
        ];
        let expected = [
            ("Readme", "Readme (3)"),
            ("readme", "readme (4)"),
            ("straße", "straße (2)"),
            ("xt_dscp.c", "xt_dscp (2).c"),
        ];
        assert_eq!(renamed(&exfat(), &names), pairs(&expected));
        // Forms of one character are different names on exFAT.
        assert_eq!(renamed(&exfat(), &["e\u{301}", "\u{e9}"]), []);
    }

    #[test]
    fn forms_of_one_character_differ_where_the_file_system_distinguishes_them() {
        let names = ["e\u{301}", "\u{e9}"];
        let with = |normalization| FileSystem {
            normalization,
            ..FileSystem::unrestricted()
        };
        let expected = [("\u{e9}", "\u{e9} (2)")];
        assert_eq!(
            renamed(&with(Normalization::Same), &names),
            pairs(&expected)
        );
        let expected = [("e\u{301}", "\u{e9} (2)")];
        assert_eq!(
            renamed(&with(Normalization::Composed), &names),
            pairs(&expected)
        );
        let expected = [("\u{e9}", "e\u{301} (2)")];
        assert_eq!(
            renamed(&with(Normalization::Decomposed), &names),
            pairs(&expected)
        );
    }

    #[test]
    fn long_names_keep_their_ending() {
        let file_system = FileSystem {
            max_name_len: 20,
            ..FileSystem::unrestricted()
        };
        let names = [
            "a long name of some kind.jpg",
            "a long name of some other kind.jpg",
            "üüüüüüüüüüüüüü",
        ];
        let expected = ["a long name of s.jpg", "a long name  (2).jpg", "üüüüüüüüüü"];
        let held: Vec<_> = renamed(&file_system, &names)
            .into_iter()
            .map(|(_, held)| held)
            .collect();
        assert_eq!(held, expected);
    }

    fn any_file_system() -> impl Strategy<Value = FileSystem> {
        let forms = [
            Normalization::Apart,
            Normalization::Same,
            Normalization::Composed,
            Normalization::Decomposed,
        ];
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        let rest = (
            prop::sample::select(forms.to_vec()),
            12..=255_usize,
            "[\\PC\n]{0,8}",
        );
        (flags, rest).prop_map(
            |(
                (keeps_trailing_dots, allows_device_names, is_case_sensitive),
                (normalization, max_name_len, refused),
            )| {
                FileSystem {
                    // If the substitute were refused, no name would be left.
                    refused: refused
                        .chars()
                        .filter(|refused| !"_ ()0123456789".contains(*refused))
                        .collect(),
                    keeps_trailing_dots,
                    allows_device_names,
                    is_case_sensitive,
                    normalization,
                    max_name_len,
                    ..FileSystem::unrestricted()
                }
            },
        )
    }

    /// Names as hostile as a manifest may contain.
    fn any_names() -> impl Strategy<Value = Vec<String>> {
        let name = prop_oneof![
            "[aAbB.é]{1,2}",
            "[^/\0]{1,9}",
            "(aux|CON|com1)(\\.c)?[. ]{0,2}",
            r"\.\.(\\a)+",
            "[a-z]{100}",
            "C:.{0,3}",
        ];
        let names = prop::collection::btree_set(name, 0..12);
        names.prop_map(|names| {
            let is_name = |name: &String| pelago_content::check_name(name).is_ok();
            names.into_iter().filter(is_name).collect()
        })
    }

    proptest! {
                /// For any manifest, on every system: each name is one component, can be held, and
                /// is unique.
        #[test]
        fn names_are_valid_lead_nowhere_and_differ(
            names in any_names(),
            file_system in prop_oneof![any_file_system(), Just(FileSystem::windows())],
        ) {
            let mut local: Vec<String> = names.clone();
            for (at, held) in file_system.renamed(names.iter().map(String::as_str)) {
                local[at] = held;
            }
            let mut keys = HashSet::new();
            for name in &local {
                prop_assert_eq!(pelago_content::check_name(name), Ok(()));
                prop_assert!(!name.contains(std::path::is_separator), "{}", name);
                prop_assert!(name.len() <= file_system.max_name_len.max(12), "{}", name);
                prop_assert!(!name.contains(|c| file_system.refused.contains(&c)), "{}", name);
                prop_assert!(file_system.allows_device_names || !is_device(name), "{}", name);
                let keeps_trailing_dots = file_system.keeps_trailing_dots;
                prop_assert!(keeps_trailing_dots || !name.ends_with(['.', ' ']), "{}", name);
                prop_assert!(keys.insert(file_system.key(name).into_owned()), "{} twice", name);
            }
        }
    }
}
