//! What is shown of a trace's request and response: the last message of a chat, or the text as it is.

use super::value::Value;

const PREVIEW_MAX_CHARS: usize = 1000;

/// The preview of a root span's inputs or outputs, `role` being who speaks there.
pub fn of(json: &str, role: &str) -> String {
    let content = Value::parse(json).and_then(|value| {
        let messages = messages(&value)?;
        let last = messages.iter().rev().find(|m| m.get("role").and_then(Value::as_text) == Some(role));
        text_of(last.or(messages.last())?).filter(|text| !text.is_empty())
    });
    cut(content.as_deref().unwrap_or(json))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= PREVIEW_MAX_CHARS {
        return text.to_owned();
    }
    text.chars().take(PREVIEW_MAX_CHARS - 3).chain("...".chars()).collect()
}

/// The messages in a request or response of OpenAI's chat or responses API.
fn messages(value: &Value) -> Option<Vec<Value>> {
    for key in ["messages", "input", "output"] {
        if let Some(Value::List(items)) = value.get(key)
            && !items.is_empty()
        {
            return Some(items.iter().filter(|item| is_message(item)).cloned().collect());
        }
        if key == "messages"
            && let Some(Value::List(choices)) = value.get("choices")
            && let Some(message) = choices.first().and_then(|choice| choice.get("message"))
            && is_message(message)
        {
            return Some(vec![message.clone()]);
        }
    }
    messages(value.get("request")?)
}

fn is_message(value: &Value) -> bool {
    value.get("role").is_some() && value.get("content").is_some()
}

fn text_of(message: &Value) -> Option<String> {
    match message.get("content")? {
        Value::Text(text) => Some(text.clone()),
        Value::List(parts) => parts.iter().find_map(|part| match part {
            Value::Text(text) => Some(text.clone()),
            part => {
                let kind = part.get("type").and_then(Value::as_text)?;
                let text = part.get("text").and_then(Value::as_text)?;
                matches!(kind, "text" | "output_text").then(|| text.to_owned())
            }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_show_their_last_message_and_the_rest_as_it_is() {
        for (json, role, expected) in [
            (r#"{"q": 1}"#, "user", r#"{"q": 1}"#),
            (r#""text""#, "user", r#""text""#),
            ("not json", "user", "not json"),
            (
                r#"{"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}"#,
                "user",
                "a",
            ),
            (r#"{"messages": [{"role": "system", "content": "b"}]}"#, "user", "b"),
            (r#"{"choices": [{"message": {"role": "assistant", "content": "c"}}]}"#, "assistant", "c"),
            (
                r#"{"request": {"input": [{"role": "user", "content": [{"type": "text", "text": "d"}]}]}}"#,
                "user",
                "d",
            ),
            (r#"{"messages": [1]}"#, "user", r#"{"messages": [1]}"#),
            (r#"{"messages": []}"#, "user", r#"{"messages": []}"#),
        ] {
            assert_eq!(of(json, role), expected, "{json}");
        }
        assert_eq!(of(&"ä".repeat(1001), "user"), format!("{}...", "ä".repeat(997)));
    }
}
