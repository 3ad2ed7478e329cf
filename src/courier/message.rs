//! What a notification looks like to each kind of channel. Pure.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::engine::Notification;
use crate::engine::links::Links;
use crate::id::RunId;
use crate::time::Timestamp;

/// What somebody is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The same on every try.
    pub id: Arc<str>,
    /// What it is about; `test` where somebody only tries the channel.
    pub about: &'static str,
    /// The workflow, where it is about one.
    pub workflow: Option<Arc<str>>,
    /// The run, where it is about one.
    pub run: Option<RunId>,
    /// One line.
    pub title: String,
    /// Some lines; may be empty.
    pub text: String,
    /// So many things it tells of.
    pub count: u32,
    /// When it came about.
    pub at: Timestamp,
    /// Where to look, or to answer.
    pub url: Option<String>,
}

impl Message {
    /// The message of a notification, with its address.
    pub fn of(told: &Notification, links: &Links) -> Self {
        let url = match &told.task {
            Some(of) => links.task(of.task, of.person.as_deref()).map_err(|problem| tracing::warn!("{problem}")).ok(),
            None => Some(links.run(told.run)),
        };
        Self {
            id: Arc::clone(&told.id),
            about: told.about.name(),
            workflow: Some(Arc::clone(&told.workflow)),
            run: Some(told.run),
            title: told.title.clone(),
            text: told.text.clone(),
            count: told.count,
            at: told.at,
            url,
        }
    }

    /// The text, and the address below it.
    pub fn body(&self) -> String {
        let parts = [Some(self.text.clone()).filter(|text| !text.is_empty()), self.url.clone()];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
    }

    /// As JSON, for webhooks and programs.
    pub fn to_json(&self, channel: &str) -> Value {
        json!({
            "id": &*self.id, "channel": channel, "about": self.about, "workflow": self.workflow.as_deref(), "run": self.run,
            "title": self.title, "text": self.text, "count": self.count, "at": self.at, "url": self.url,
        })
    }

    /// `{"text": …}`. What could be read as a mention or a link is plain text.
    pub fn to_slack(&self) -> Value {
        let plain = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let parts = [Some(format!("*{}*", plain(&self.title))), Some(plain(&self.text)), self.url.clone()];
        let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        json!({ "text": parts.join("\n") })
    }

    /// Headers of ntfy.
    pub fn ntfy_headers(&self, priority: Option<&str>) -> Vec<(String, String)> {
        let tag = match self.about {
            "failed" => "rotating_light",
            "sla" | "deadline" => "hourglass",
            "task" => "clipboard",
            _ => "speech_balloon",
        };
        let named = [
            ("Title", Some(header_text(&self.title))),
            ("Tags", Some(tag.to_owned())),
            ("Priority", priority.map(str::to_owned)),
            ("Click", self.url.clone()),
        ];
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// Variables of a program's environment.
    pub fn variables(&self, channel: &str) -> Vec<(&'static str, String)> {
        let named = [
            ("PANTA_ID", Some(self.id.to_string())),
            ("PANTA_CHANNEL", Some(channel.to_owned())),
            ("PANTA_ABOUT", Some(self.about.to_owned())),
            ("PANTA_WORKFLOW", self.workflow.as_ref().map(ToString::to_string)),
            ("PANTA_RUN", self.run.map(|run| run.to_string())),
            ("PANTA_TITLE", Some(self.title.clone())),
            ("PANTA_TEXT", Some(self.text.clone())),
            ("PANTA_COUNT", Some(self.count.to_string())),
            ("PANTA_AT", Some(self.at.to_string())),
            ("PANTA_URL", self.url.clone()),
        ];
        named.into_iter().filter_map(|(name, value)| Some((name, value?.replace('\0', " ")))).collect()
    }

    /// A message that tries a channel.
    pub fn test(text: &str, at: Timestamp) -> Self {
        let title = if text.is_empty() { "a test of this channel" } else { text };
        Self {
            id: format!("test.{}", at.0).into(),
            about: "test",
            workflow: None,
            run: None,
            title: title.to_owned(),
            text: "sent by `panta notify`".to_owned(),
            count: 1,
            at,
            url: None,
        }
    }

    /// Where it goes to the log.
    pub(super) fn log(&self, channel: &str) {
        let (workflow, run) = (self.workflow.as_deref().unwrap_or_default(), self.run.map(|run| run.to_string()));
        let run = run.unwrap_or_default();
        tracing::warn!(channel, workflow, run, about = self.about, text = self.text, "{}", self.title);
    }
}

/// What is not ASCII is written as RFC 2047 has it.
fn header_text(text: &str) -> String {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return text.to_owned();
    }
    format!("=?UTF-8?B?{}?=", STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            title: "`w` failed: <!channel> & more".to_owned(),
            text: "hint: none".to_owned(),
            url: Some("https://panta.example.com/runs/1".to_owned()),
            about: "failed",
            ..Message::test("", Timestamp(5))
        }
    }

    #[test]
    fn nobody_is_mentioned_by_what_an_error_says() {
        let text = message().to_slack()["text"].as_str().expect("a text").to_owned();
        assert_eq!(text, "*`w` failed: &lt;!channel&gt; &amp; more*\nhint: none\nhttps://panta.example.com/runs/1");
    }

    #[test]
    fn headers_are_ascii() {
        let headers = Message { title: "Grüße".to_owned(), ..message() }.ntfy_headers(Some("high"));
        let shown: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(shown[0], ("Title", "=?UTF-8?B?R3LDvMOfZQ==?="));
        assert_eq!(
            shown[1..],
            [("Tags", "rotating_light"), ("Priority", "high"), ("Click", "https://panta.example.com/runs/1")]
        );
        assert_eq!(header_text("plain"), "plain");
    }

    #[test]
    fn a_variable_has_no_null_byte() {
        let variables = Message { text: "a\0b".to_owned(), ..message() }.variables("ops");
        assert!(
            variables.contains(&("PANTA_TEXT", "a b".to_owned()))
                && variables.contains(&("PANTA_CHANNEL", "ops".to_owned()))
        );
        assert!(!variables.iter().any(|(name, _)| *name == "PANTA_RUN"));
    }
}
