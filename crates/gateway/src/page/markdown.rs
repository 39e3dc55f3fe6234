//! Texts that are read as pages and as they are.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// A text as a page.
pub(super) struct Page {
    /// Its first heading.
    pub(super) title: String,
    /// Its sections.
    pub(super) contents: Vec<Entry>,
    /// What is in it.
    pub(super) html: String,
}

/// A section of a page.
pub(super) struct Entry {
    /// What links name it by.
    pub(super) id: String,
    /// Its heading.
    pub(super) text: String,
}

/// A text of ours as a page. Its sections have ids made of their headings.
pub(super) fn render(text: &str) -> Page {
    let mut events: Vec<_> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let (mut title, mut contents) = (String::new(), Vec::new());
    for at in 0..events.len() {
        let Event::Start(Tag::Heading { level, .. }) = events[at] else {
            continue;
        };
        let heading = read_heading(&events[at..]);
        if level == HeadingLevel::H1 {
            title = heading;
            continue;
        }
        let name = slug(&heading);
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
            *id = Some(CowStr::from(name.clone()));
        }
        if level == HeadingLevel::H2 {
            contents.push(Entry {
                id: name,
                text: heading,
            });
        }
    }
    let mut page = String::new();
    html::push_html(&mut page, events.into_iter().flat_map(frame));
    Page {
        title,
        contents,
        html: page,
    }
}

/// Wide parts scroll by themselves, also with a keyboard.
fn frame(event: Event<'_>) -> Vec<Event<'_>> {
    let html = |text| Event::Html(CowStr::from(text));
    match event {
        Event::Start(Tag::Table(_)) => {
            let open = "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Table\">";
            vec![html(open), event]
        }
        Event::End(TagEnd::Table) => vec![event, html("</div>")],
        Event::Start(Tag::CodeBlock(_)) => vec![html("<pre tabindex=\"0\"><code>")],
        Event::End(TagEnd::CodeBlock) => vec![html("</code></pre>\n")],
        _ => vec![event],
    }
}

fn read_heading(events: &[Event<'_>]) -> String {
    let inside = events
        .iter()
        .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    let texts = inside.filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

fn slug(heading: &str) -> String {
    let words = heading.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_a_page_with_its_contents() {
        let page = render("# Guide\n\n## `GET` it, now\n\n| a |\n|---|\n| `<b>` |\n\n### Part\n");
        assert_eq!(page.title, "Guide");
        let entries: Vec<_> = page
            .contents
            .iter()
            .map(|it| (&*it.id, &*it.text))
            .collect();
        assert_eq!(entries, [("get-it-now", "GET it, now")]);
        assert!(
            page.html.contains("<h2 id=\"get-it-now\">"),
            "{}",
            page.html
        );
        assert!(page.html.contains("<h3 id=\"part\">"), "{}", page.html);
        assert!(page.html.contains("&lt;b&gt;"), "{}", page.html);
    }
}
