//! The reference of the public API as a text, made of its `OpenAPI` document.

use std::fmt::Write as _;

use serde_json::Value;
use utoipa::openapi::OpenApi;

const METHODS: [&str; 3] = ["get", "post", "delete"];

/// The routes by their tags, then the types that they answer.
pub(super) fn write(document: &OpenApi) -> String {
    let document = serde_json::to_value(document).expect("BUG: the description is JSON");
    let mut text =
        "# API reference\n\nMade of [`/openapi.json`](/openapi.json), which clients can be \
                    generated from. The [guide](/docs) says how the parts go together.\n"
            .to_owned();
    for tag in items(&document["tags"]) {
        push(
            &mut text,
            format_args!(
                "\n## {}\n\n{}.\n",
                sentence(&tag["name"]),
                said(&tag["description"])
            ),
        );
        for (path, method, operation) in operations(&document) {
            if operation["tags"][0] == tag["name"] {
                write_operation(&mut text, &document, path, method, operation);
            }
        }
    }
    text.push_str("\n## Types\n");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        push(
            &mut text,
            format_args!("\n### Type `{name}`\n\n{}\n", said(&schema["description"])),
        );
        write_fields(&mut text, &document, schema);
    }
    text
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    entries(&document["paths"]).flat_map(|(path, item)| {
        let methods = METHODS
            .into_iter()
            .filter_map(|method| Some((method, item.get(method)?)));
        methods.map(move |(method, operation)| (path, method, operation))
    })
}

fn write_operation(
    text: &mut String,
    document: &Value,
    path: &str,
    method: &str,
    operation: &Value,
) {
    let method = method.to_uppercase();
    push(text, format_args!("\n### `{method} {path}`\n\n"));
    let says = [&operation["summary"], &operation["description"]].map(said);
    push(text, format_args!("{}\n", says.join("\n\n").trim()));
    if operation["security"].is_null() {
        text.push_str("\nNeeds no key.\n");
    }
    write_parameters(text, &operation["parameters"]);
    if let Some((_, content)) = entries(&operation["requestBody"]["content"]).next() {
        text.push_str("\nThe body, in JSON:\n");
        write_fields(text, document, resolve(document, &content["schema"]));
    }
    text.push_str("\n| status | answer | body |\n|---|---|---|\n");
    for (status, response) in entries(&operation["responses"]) {
        let body = entries(&response["content"]).next();
        let body = body.map_or_else(String::new, |(_, content)| kind(&content["schema"]));
        push(
            text,
            format_args!(
                "| {status} | {} | {body} |\n",
                cell(&response["description"])
            ),
        );
    }
}

fn write_parameters(text: &mut String, parameters: &Value) {
    if items(parameters).next().is_none() {
        return;
    }
    text.push_str("\n| parameter | in | what it is |\n|---|---|---|\n");
    for parameter in items(parameters) {
        let name = said(&parameter["name"]);
        let place = said(&parameter["in"]);
        push(
            text,
            format_args!(
                "| `{name}` | {place} | {} |\n",
                cell(&parameter["description"])
            ),
        );
    }
}

fn write_fields(text: &mut String, document: &Value, schema: &Value) {
    let values: Vec<_> = items(&schema["enum"]).map(said).collect();
    if !values.is_empty() {
        push(text, format_args!("\nOne of `{}`.\n", values.join("`, `")));
    }
    // What a type has besides the fields of another.
    let parts: Vec<_> = match schema.get("allOf") {
        Some(parts) => items(parts).map(|part| resolve(document, part)).collect(),
        None => vec![schema],
    };
    if parts.iter().all(|part| part.get("properties").is_none()) {
        return;
    }
    text.push_str("\n| field | type | what it is |\n|---|---|---|\n");
    for part in parts {
        let required: Vec<_> = items(&part["required"]).map(said).collect();
        let mut fields: Vec<_> = entries(&part["properties"]).collect();
        fields.sort_by_key(|(name, _)| !required.contains(name));
        for (name, field) in fields {
            let must = if required.contains(&name) { "" } else { "?" };
            push(
                text,
                format_args!(
                    "| `{name}{must}` | {} | {} |\n",
                    kind(field),
                    cell(&field["description"])
                ),
            );
        }
    }
}

/// What a value of this schema is.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next()) {
        return format!("[{name}](#type-{})", name.to_ascii_lowercase());
    }
    if let Some(kinds) = schema["type"].as_array() {
        return kinds.iter().map(said).collect::<Vec<_>>().join(" or ");
    }
    let several = schema.get("oneOf").or_else(|| schema.get("anyOf"));
    if let Some(several) = several {
        return items(several).map(kind).collect::<Vec<_>>().join(" or ");
    }
    match said(&schema["type"]) {
        "array" => format!("list of {}", kind(&schema["items"])),
        kind => kind.to_owned(),
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    pointer
        .and_then(|it| document.pointer(it))
        .unwrap_or(schema)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.as_str(), value))
}

fn said(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A text within a table.
fn cell(value: &Value) -> String {
    said(value).replace('\n', " ").replace('|', "\\|")
}

fn sentence(value: &Value) -> String {
    let mut letters = said(value).chars();
    let first = letters.next().map(|it| it.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn push(text: &mut String, said: std::fmt::Arguments<'_>) {
    text.write_fmt(said)
        .expect("BUG: a text takes what is written");
}

#[cfg(test)]
mod tests {
    use super::{super::markdown, *};

    #[test]
    fn every_route_and_every_type_is_in_the_reference() {
        let text = write(&crate::route::document());
        for path in crate::route::path::ALL {
            assert!(text.contains(&format!(" {path}`\n")), "{path}");
        }
        assert!(text.contains("| `model_image` | string |"), "{text}");
        assert!(text.contains("| `seed?` | integer or null |"), "{text}");
        assert!(
            text.contains("[StatusAnswer](#type-statusanswer)"),
            "{text}"
        );
        let page = markdown::render(&text).html;
        for (_, rest) in page
            .match_indices("href=\"#")
            .map(|(at, it)| page.split_at(at + it.len()))
        {
            let name = rest.split('"').next().unwrap();
            assert_eq!(page.matches(&format!("id=\"{name}\"")).count(), 1, "{name}");
        }
    }
}
