//! What somebody who signs in to the pages is called.

/// Characters of a login, at most.
const LONGEST: usize = 254;

/// What is no login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has 1 to {LONGEST} characters: letters, digits and `@._+-`")]
pub struct BadLogin;

/// A login as the store knows it, such as an address of mail: in lower case.
pub fn read_login(text: &str) -> Result<String, BadLogin> {
    let is_fine = |letter: char| letter.is_ascii_alphanumeric() || "@._+-".contains(letter);
    let login = text.trim().to_lowercase();
    if (1..=LONGEST).contains(&login.len()) && login.chars().all(is_fine) {
        Ok(login)
    } else {
        Err(BadLogin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_one_word_in_lower_case() {
        assert_eq!(
            read_login(" Anna@Shop.example ").unwrap(),
            "anna@shop.example"
        );
        for text in ["", " ", "a b", "a/b", "ä", "a\nb", &"x".repeat(255)] {
            assert_eq!(read_login(text), Err(BadLogin), "{text}");
        }
    }
}
