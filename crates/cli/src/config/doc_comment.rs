//! What the keys of a configuration say about themselves: the doc comments of their fields.

/// A public field of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: String,
    /// Its type, as it is written.
    pub(crate) kind: String,
    /// Its doc comment, as one line of Markdown.
    pub(crate) doc: String,
}

/// The public fields of the struct `name` in these sources, which are formatted by rustfmt; `None`
/// where there is no such struct.
pub(crate) fn find_fields(sources: &[&str], name: &str) -> Option<Vec<Field>> {
    let head = format!("pub struct {name} {{");
    let source = sources
        .iter()
        .find(|source| source.lines().any(|line| line == head))?;
    let body = source.lines().skip_while(|line| *line != head).skip(1);
    let mut doc = Vec::new();
    let mut fields = Vec::new();
    for line in body.map(str::trim).take_while(|line| *line != "}") {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
        } else if let Some((name, kind)) = line
            .strip_prefix("pub ")
            .and_then(|field| field.trim_end_matches(',').split_once(": "))
        {
            fields.push(Field {
                name: name.to_owned(),
                kind: kind.to_owned(),
                doc: in_a_cell(&doc.join(" ")),
            });
            doc.clear();
        }
    }
    Some(fields)
}

/// Text that may stand in a cell of a table, outside of the crate that its links lead into.
fn in_a_cell(doc: &str) -> String {
    doc.replace("[`", "`")
        .replace("`]", "`")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
/// Something else.
pub struct Other {
    pub no: u8,
}

/// A section.
#[derive(Debug)]
pub struct Section {
    /// First line,
    /// and [`Second`].
    #[serde(default)]
    pub list: Vec<Item>,
    pub bare: u8,
}

impl Section {
    pub late: u8,
}
";

    #[test]
    fn a_field_is_told_by_its_comment() {
        let field = |name: &str, kind: &str, doc: &str| Field {
            name: name.to_owned(),
            kind: kind.to_owned(),
            doc: doc.to_owned(),
        };
        assert_eq!(
            find_fields(&["", SOURCE], "Section"),
            Some(vec![
                field("list", "Vec<Item>", "First line, and `Second`."),
                field("bare", "u8", ""),
            ])
        );
        assert_eq!(find_fields(&[SOURCE], "Sect"), None);
    }
}
