//! A browser without a screen: it keeps the cookie, and sends the forms that it was shown.

use crate::support::town::{Answer, Caller, Town};

pub(super) const COOKIE: &str = "__Host-hallpass";

/// One window.
#[derive(Debug, Clone)]
pub(super) struct Browser {
    town: Town,
    pub(super) cookie: Option<String>,
    address: String,
}

impl Browser {
    pub(super) fn new(town: &Town) -> Self {
        Self {
            town: town.clone(),
            cookie: None,
            address: "192.0.2.1".to_owned(),
        }
    }

    /// Signed in with this key.
    pub(super) async fn signed_in(town: &Town, key: &str) -> Self {
        let mut browser = Self::new(town);
        let answer = browser.sign_in(key).await;
        answer.status(303);
        browser
    }

    /// The same window, on another node.
    pub(super) fn at(&self, town: &Town) -> Self {
        Self {
            town: town.clone(),
            ..self.clone()
        }
    }

    pub(super) fn from(&self, address: &str) -> Self {
        Self {
            address: address.to_owned(),
            ..self.clone()
        }
    }

    pub(super) async fn sign_in(&mut self, key: &str) -> Answer {
        self.sign_in_with(&[("key", key)]).await
    }

    pub(super) async fn sign_in_with(&mut self, fields: &[(&str, &str)]) -> Answer {
        let answer = self.send("/ui/sign-in", fields).await;
        if let Some(set) = answer.header("set-cookie") {
            let (pair, _) = set.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert_eq!(name, COOKIE);
            self.cookie = Some(value.to_owned());
        }
        answer
    }

    /// Whoever sends the cookie of this window.
    pub(super) fn caller(&self) -> Caller {
        let caller = self.town.nobody().address(&self.address);
        match &self.cookie {
            Some(value) => caller.header("cookie", &format!("{COOKIE}={value}")),
            None => caller,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.caller().get(path).await
    }

    /// Sends a form from one of our own pages, with just these fields.
    pub(super) async fn send(&self, action: &str, fields: &[(&str, &str)]) -> Answer {
        let caller = self.caller().origin(Town::issuer());
        caller.post_form(action, fields).await
    }

    /// What the forms of a page bring along.
    pub(super) async fn hidden(&self, page: &str) -> Vec<(String, String)> {
        let text = self.get(page).await.text();
        ["_form", "_once", "_made"]
            .into_iter()
            .filter_map(|name| {
                let mark = format!("name=\"{name}\" value=\"");
                let (_, rest) = text.split_once(&mark)?;
                let (value, _) = rest.split_once('"')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect()
    }

    /// Sends a form as the page has it.
    pub(super) async fn submit(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let hidden = self.hidden(page).await;
        let mut all: Vec<(&str, &str)> = hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.extend(fields);
        self.send(action, &all).await
    }

    /// Whether its user is signed in.
    pub(super) async fn is_in(&self) -> bool {
        let page = self.get("/ui/sessions").await;
        page.status(200);
        let text = page.text();
        let asked = text.contains("action=\"/ui/sign-in\"");
        assert_ne!(asked, text.contains("action=\"/ui/sign-out\""));
        !asked
    }
}

/// Where an answer sends the browser.
#[track_caller]
pub(super) fn sent_to(answer: &Answer) -> String {
    answer.status(303);
    answer.header("location").unwrap().to_owned()
}

/// The text between two marks.
#[track_caller]
pub(super) fn between(text: &str, begin: &str, end: &str) -> String {
    let (_, rest) = text
        .split_once(begin)
        .unwrap_or_else(|| panic!("no {begin} in {text}"));
    rest.split_once(end).unwrap().0.to_owned()
}
