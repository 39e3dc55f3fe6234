//! What was found to be the fastest, in memory and on disk.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::{Choice, form::Form};

/// Fewer rows than these are each a number for itself, and more are taken together by as many.
const TOGETHER: usize = 64;

/// The rows that share an algorithm with these, by the largest number of them: a prompt of another
/// length hardly changes which is the fastest.
pub(super) const fn bucket(rows: usize) -> usize {
    if rows < TOGETHER {
        rows
    } else {
        rows.next_multiple_of(TOGETHER)
    }
}

/// Algorithms by what they were chosen for: as many rows as there are, or about as many.
#[derive(Debug, Default)]
pub(super) struct Choices {
    known: BTreeMap<String, Choice>,
    file: Option<PathBuf>,
    /// Whether there is anything that the file does not have.
    changed: bool,
}

impl Choices {
    /// Those of a file, if it is there and can be read.
    pub(super) fn open(file: Option<PathBuf>) -> Self {
        let known = file.as_ref().and_then(|file| fs::read(file).ok());
        let known = known.and_then(|known| serde_json::from_slice(&known).ok());
        let mut known: BTreeMap<String, Choice> = known.unwrap_or_default();
        known.retain(|_, choice| is_kept(choice));
        Self {
            known,
            file,
            changed: false,
        }
    }

    /// The first of these keys' that is possible.
    pub(super) fn find(
        &self,
        keys: &[String],
        is_possible: impl Fn(&Choice) -> bool,
    ) -> Option<Choice> {
        let known = keys.iter().filter_map(|key| self.known.get(key));
        known.copied().find(|choice| is_possible(choice))
    }

    /// Remembers what was chosen, in place of what there was for as many rows; for all of the rows
    /// that share it unless they share another one already. That is not replaced: what was captured
    /// by it has to be found when it is captured anew. A kernel, which any rows are possible for, is
    /// chosen where the library has nothing: more rows may have better.
    pub(super) fn insert(&mut self, [exact, shared]: [String; 2], choice: Choice) {
        self.changed |= self.known.remove(&exact).is_some() || is_kept(&choice);
        let key = if choice.form == Form::Own || self.known.contains_key(&shared) {
            exact
        } else {
            shared
        };
        self.known.insert(key, choice);
    }

    /// Writes the file, if there is anything new. Without a cache that can be written to, each
    /// process times for itself.
    pub(super) fn save(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let Some(file) = &self.file else { return };
        let part = file.with_extension(format!("part{}", std::process::id()));
        let known = self.known.iter().filter(|(_, choice)| is_kept(choice));
        let known: BTreeMap<&String, &Choice> = known.collect();
        let text = serde_json::to_vec(&known).expect("BUG: choices can be written");
        let folder = file.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| fs::write(&part, text));
        let _ = written.and_then(|()| fs::rename(&part, file));
    }
}

/// Whether it is for the file. A library that has nothing today may have something the next time,
/// and it is quickly asked.
fn is_kept(choice: &Choice) -> bool {
    choice.form != Form::Own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(number: u64) -> Choice {
        Choice {
            form: Form::Biased,
            algorithm: [number, 1, 2, 3, 4, 5, 6, u64::MAX],
        }
    }

    fn keys(exact: &str) -> [String; 2] {
        [exact.to_owned(), "about as many".to_owned()]
    }

    /// The first number of the choice, which tells one from another here.
    fn found(choices: &Choices, exact: &str, possible: impl Fn(u64) -> bool) -> Option<u64> {
        let found = choices.find(&keys(exact), |choice| possible(choice.algorithm[0]));
        found.map(|choice| choice.algorithm[0])
    }

    #[test]
    fn many_rows_share_what_a_few_do_not() {
        assert_eq!([1, 2, 63, 64].map(bucket), [1, 2, 63, 64]);
        assert_eq!([65, 128, 129, 4096].map(bucket), [128, 128, 192, 4096]);
    }

    #[test]
    fn about_as_many_rows_share_an_algorithm_that_is_possible() {
        let mut choices = Choices::default();
        assert_eq!(found(&choices, "130", |_| true), None);
        choices.insert(keys("130"), choice(1));
        assert_eq!(found(&choices, "131", |_| true), Some(1));
        assert_eq!(
            found(&choices, "132", |it| it != 1),
            None,
            "it is looked for"
        );
        choices.insert(keys("132"), choice(2));
        assert_eq!(
            found(&choices, "132", |_| true),
            Some(2),
            "its own comes first"
        );
        for shared in ["130", "131"] {
            assert_eq!(found(&choices, shared, |_| true), Some(1));
        }
    }

    /// As it would be found and refused each time.
    #[test]
    fn one_that_is_refused_is_replaced() {
        let mut choices = Choices::default();
        for number in 1..=3 {
            choices.insert(keys("130"), choice(number));
        }
        assert_eq!(found(&choices, "130", |_| true), Some(3));
        assert_eq!(found(&choices, "131", |_| true), Some(1));
        choices.insert(keys("130"), Choice::OWN);
        assert_eq!(found(&choices, "130", |_| true), Some(0));
    }

    #[test]
    fn a_kernel_is_not_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("products.json");
        let mut choices = Choices::open(Some(file.clone()));
        choices.insert(keys("1"), Choice::OWN);
        choices.save();
        assert!(!file.exists(), "that alone is nothing new");
        choices.insert(keys("7"), choice(12));
        choices.save();
        let read = Choices::open(Some(file));
        assert_eq!(read.known.len(), 1);
        assert_eq!(found(&read, "7", |_| true), Some(12));
    }

    /// With what is not kept any more.
    #[test]
    fn a_file_of_an_older_form_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("products.json");
        let text = r#"{
            "7": {"form": "Bare", "algorithm": [5, 0, 0, 0, 0, 0, 0, 0], "workspace": 12},
            "1": {"form": "Own", "algorithm": [0, 0, 0, 0, 0, 0, 0, 0], "workspace": 0}
        }"#;
        fs::write(&file, text).unwrap();
        let read = Choices::open(Some(file));
        assert_eq!(found(&read, "7", |_| true), Some(5));
        assert_eq!(found(&read, "1", |_| true), None);
    }

    #[test]
    fn a_kernel_is_for_its_own_rows_alone() {
        let mut choices = Choices::default();
        choices.insert(keys("65"), Choice::OWN);
        assert_eq!(found(&choices, "65", |_| true), Some(0));
        assert_eq!(found(&choices, "128", |_| true), None);
    }

    #[test]
    fn choices_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache/products.json");
        let mut choices = Choices::open(Some(file.clone()));
        choices.save();
        assert!(!file.exists(), "there is nothing to write");
        choices.insert(keys("7"), choice(12));
        assert!(!file.exists(), "it is written when it is saved");
        choices.save();
        let read = Choices::open(Some(file.clone())).find(&keys("7"), |_| true);
        let read = read.unwrap();
        assert_eq!(read.algorithm, choice(12).algorithm);
        assert_eq!(read.form, Form::Biased);
        fs::remove_file(&file).unwrap();
        choices.save();
        assert!(!file.exists(), "nothing is new");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("products.json");
        fs::write(&file, "{").unwrap();
        assert!(Choices::open(Some(file)).known.is_empty());
    }
}
