//! What is wrong with a request.

/// What is wrong with a request's body. The message names the field and what it can take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// There is none.
    #[error("the body is empty: send a JSON object")]
    Empty,
    /// It is not JSON.
    #[error("the body is not JSON: {reason}")]
    NotJson {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// It is JSON, but not an object.
    #[error("the body has to be a JSON object")]
    NotObject,
    /// A field is there twice, at the top or within another.
    #[error("{reason}: give it once")]
    Doubled {
        /// Which.
        reason: String,
    },
    /// A field of the wrong type.
    #[error("`{field}` is wrong: {reason}")]
    WrongType {
        /// The field, dotted where nested.
        field: String,
        /// What it is and what is needed.
        reason: String,
    },
    /// A field outside its closed set or range, or of the wrong form.
    #[error("`{field}` is wrong: {reason}")]
    WrongValue {
        /// The field.
        field: &'static str,
        /// What is needed.
        reason: String,
    },
    /// A required field that is absent, `null` or empty.
    #[error("`{field}` is missing: {reason}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What it is for.
        reason: &'static str,
    },
    /// A text longer than is read.
    #[error("`{field}` has {length} characters, at most {limit} are read")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Characters it has.
        length: usize,
        /// The most it may have.
        limit: usize,
    },
}

impl RequestFault {
    pub(super) fn wrong(field: &'static str, reason: &impl ToString) -> Self {
        Self::WrongValue {
            field,
            reason: reason.to_string(),
        }
    }
}
