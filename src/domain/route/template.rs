//! Patterns with named gaps.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits::PLACEHOLDER_VALUE_CHARS_MAX;
use super::method::Methods;
use super::path::{RequestPath, is_unreserved};
use super::pattern::RoutePattern;
use super::syntax::{Dialect, RoutePatternError, Segment, read};

/// A pattern in which a whole segment may be a placeholder: `{botId}` as profiles write it, or
/// `<botId>` as key templates do. The two mean the same.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RouteTemplate {
    text: String,
    methods: Methods,
    parts: Vec<Part>,
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Literal(String),
    Star,
    DoubleStar,
    Placeholder(String),
}

/// Why a template could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// There is no value for one of its placeholders.
    #[error("there is no value for the placeholder `{name}`")]
    Missing {
        /// Which one.
        name: String,
    },
    /// With these values it is no longer within the limits of a pattern.
    #[error("the filled template is not a pattern: {0}")]
    Pattern(RoutePatternError),
}

impl RouteTemplate {
    /// Reads a template. A pattern is one, too.
    ///
    /// # Errors
    /// [`RoutePatternError`], which says what to write instead.
    pub fn parse(text: &str) -> Result<Self, RoutePatternError> {
        let (methods, segments) = read(text, Dialect::Template)?;
        let text = print(methods, &segments);
        let parts = segments
            .into_iter()
            .map(|segment| match segment {
                Segment::Literal(text) => Part::Literal(text.to_owned()),
                Segment::Star => Part::Star,
                Segment::DoubleStar => Part::DoubleStar,
                Segment::Curly(name) | Segment::Angle(name) => Part::Placeholder(name.to_owned()),
            })
            .collect();
        Ok(Self {
            text,
            methods,
            parts,
        })
    }

    /// The names of its placeholders, in the order in which they first occur.
    pub fn placeholders(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for part in &self.parts {
            if let Part::Placeholder(name) = part
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        }
        names
    }

    /// The pattern with these values for its placeholders. Values that it has no placeholder for
    /// are passed over, since one set of values fills many templates.
    ///
    /// # Errors
    /// [`FillError`].
    pub fn fill(
        &self,
        values: &BTreeMap<String, PlaceholderValue>,
    ) -> Result<RoutePattern, FillError> {
        let mut segments = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            segments.push(match part {
                Part::Literal(text) => Segment::Literal(text),
                Part::Star => Segment::Star,
                Part::DoubleStar => Segment::DoubleStar,
                Part::Placeholder(name) => match values.get(name) {
                    Some(value) => Segment::Literal(value.as_str()),
                    None => return Err(FillError::Missing { name: name.clone() }),
                },
            });
        }
        RoutePattern::from_segments(self.methods, segments).map_err(FillError::Pattern)
    }

    /// The pattern that takes any segment where a placeholder stands.
    ///
    /// # Errors
    /// [`RoutePatternError`] when that is not within the limits of a pattern.
    pub fn to_pattern(&self) -> Result<RoutePattern, RoutePatternError> {
        let segments = self.parts.iter().map(|part| match part {
            Part::Literal(text) => Segment::Literal(text),
            Part::Star | Part::Placeholder(_) => Segment::Star,
            Part::DoubleStar => Segment::DoubleStar,
        });
        RoutePattern::from_segments(self.methods, segments.collect())
    }

    /// The name of each placeholder with its place in a path, counted from 0. `None` when one stands
    /// behind a `**`, where its place is not known.
    pub fn named_places(&self) -> Option<Vec<(&str, usize)>> {
        let mut places = Vec::new();
        let mut is_fixed = true;
        for (place, part) in self.parts.iter().enumerate() {
            match part {
                Part::Placeholder(name) if is_fixed => places.push((name.as_str(), place)),
                Part::Placeholder(_) => return None,
                Part::DoubleStar => is_fixed = false,
                Part::Literal(_) | Part::Star => {}
            }
        }
        Some(places)
    }

    /// Whether it has literals and placeholders only, neither wildcards nor methods, as the path
    /// of a profile must.
    pub fn is_path(&self) -> bool {
        let plain = |part: &Part| match part {
            Part::Literal(_) | Part::Placeholder(_) => true,
            Part::Star | Part::DoubleStar => false,
        };
        self.methods == Methods::Any && self.parts.iter().all(plain)
    }

    /// The values that make this template the path. `None` when there are none: another path, a
    /// segment that is not a well-formed value, two values for one name, or a template that is
    /// not a path (see [`RouteTemplate::is_path`]).
    pub fn match_path(&self, path: &RequestPath) -> Option<BTreeMap<String, PlaceholderValue>> {
        if !self.is_path() || path.count() != self.parts.len() {
            return None;
        }
        let mut values = BTreeMap::new();
        for (part, segment) in self.parts.iter().zip(path.segments()) {
            match part {
                Part::Literal(literal) if literal == segment => {}
                Part::Literal(_) | Part::Star | Part::DoubleStar => return None,
                Part::Placeholder(name) => {
                    let value = PlaceholderValue::parse(segment).ok()?;
                    if values.get(name).is_some_and(|earlier| *earlier != value) {
                        return None;
                    }
                    values.insert(name.clone(), value);
                }
            }
        }
        Some(values)
    }
}

fn print(methods: Methods, segments: &[Segment<'_>]) -> String {
    let segments: Vec<String> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => (*text).to_owned(),
            Segment::Star => "*".to_owned(),
            Segment::DoubleStar => "**".to_owned(),
            Segment::Curly(name) => format!("{{{name}}}"),
            Segment::Angle(name) => format!("<{name}>"),
        })
        .collect();
    format!("{methods}{}", segments.join("/"))
}

impl fmt::Display for RouteTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RouteTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl std::str::FromStr for RouteTemplate {
    type Err = RoutePatternError;
    fn from_str(text: &str) -> Result<Self, RoutePatternError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RouteTemplate {
    type Error = RoutePatternError;
    fn try_from(text: String) -> Result<Self, RoutePatternError> {
        Self::parse(&text)
    }
}

impl From<RouteTemplate> for String {
    fn from(template: RouteTemplate) -> Self {
        template.text
    }
}

/// What fills a placeholder: one literal segment, never text that is read as a pattern.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlaceholderValue(String);

/// A text that may not fill a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a value is a letter or digit and then letters, digits and `- . _ ~`, at most {PLACEHOLDER_VALUE_CHARS_MAX} characters"
)]
pub struct PlaceholderValueError;

impl PlaceholderValue {
    /// Reads a value, `[A-Za-z0-9][A-Za-z0-9._~-]{0,127}`.
    ///
    /// # Errors
    /// [`PlaceholderValueError`].
    pub fn parse(text: &str) -> Result<Self, PlaceholderValueError> {
        let well_formed = text.len() <= PLACEHOLDER_VALUE_CHARS_MAX
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(is_unreserved);
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(PlaceholderValueError)
        }
    }

    /// The value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlaceholderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PlaceholderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl TryFrom<String> for PlaceholderValue {
    type Error = PlaceholderValueError;
    fn try_from(text: String) -> Result<Self, PlaceholderValueError> {
        Self::parse(&text)
    }
}

impl From<PlaceholderValue> for String {
    fn from(value: PlaceholderValue) -> Self {
        value.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, PlaceholderValue> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), PlaceholderValue::parse(value).unwrap()))
            .collect()
    }

    #[test]
    fn a_template_is_filled_with_literal_segments() {
        for (template, filled) in [
            ("bot/<botId>/session/create", "bot/b1/session/create"),
            ("/v1/bot/{botId}/**", "bot/b1/**"),
            ("post {botId}/{botId}/<conversationId>", "POST b1/b1/c.2"),
            ("bot/**", "bot/**"),
        ] {
            let template = RouteTemplate::parse(template).unwrap();
            let values = values(&[("botId", "b1"), ("conversationId", "c.2")]);
            assert_eq!(template.fill(&values).unwrap().as_str(), filled);
        }
    }

    #[test]
    fn a_template_prints_what_was_read() {
        for (text, printed, names) in [
            ("/v1/bot/<botId>/**", "bot/<botId>/**", "botId"),
            ("post,get a/{b}/{c}/{b}", "GET,POST a/{b}/{c}/{b}", "b c"),
            ("**", "**", ""),
        ] {
            let template = RouteTemplate::parse(text).unwrap();
            assert_eq!(template.to_string(), printed);
            assert_eq!(template.placeholders().join(" "), names);
            assert_eq!(RouteTemplate::parse(printed), Ok(template));
        }
    }

    #[test]
    fn placeholders_are_whole_segments_with_plain_names() {
        for text in [
            "bot/{}",
            "bot/<>",
            "bot/{a,b}",
            "bot/{1}",
            "bot/{a",
            "bot/a}",
            "bot/x{a}",
            "bot/{a}x",
            "bot/{a>",
            "bot/{{a}}",
            "bot/{a b}",
            "bot/{a/b}",
            "bot/{*}",
            "{a} bot",
            "bot/{a.b}",
        ] {
            assert!(RouteTemplate::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_is_one_plain_literal() {
        for text in ["a", "0", "b1", "a.b_c~d-e", "usr_01hxyz", &"a".repeat(128)] {
            assert_eq!(PlaceholderValue::parse(text).unwrap().as_str(), text);
        }
        for text in [
            "",
            "*",
            "**",
            ".",
            "..",
            ".a",
            "-a",
            "_a",
            "~a",
            "a/b",
            "a*",
            "a b",
            "a%20",
            "\u{e9}",
            "a\0",
            "a\n",
            "{a}",
            "a;b",
            &"a".repeat(129),
        ] {
            assert_eq!(
                PlaceholderValue::parse(text),
                Err(PlaceholderValueError),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_template_needs_all_its_values_and_stays_within_the_limits() {
        let segments = "{a}/".repeat(32) + "b";
        assert_eq!(
            RouteTemplate::parse(&segments),
            Err(RoutePatternError::TooManySegments)
        );

        let template = RouteTemplate::parse("{a}/{b}/{c}").unwrap();
        let long = "v".repeat(PLACEHOLDER_VALUE_CHARS_MAX);

        assert_eq!(
            template.fill(&values(&[("a", "1"), ("c", "3")])),
            Err(FillError::Missing {
                name: "b".to_owned()
            })
        );
        assert_eq!(
            template.fill(&values(&[("a", &long), ("b", &long), ("c", "3")])),
            Err(FillError::Pattern(RoutePatternError::TooLong))
        );
    }

    #[test]
    fn the_path_of_a_profile_gives_its_values() {
        let matched = |template: &str, segments: &[&str]| {
            let path = RequestPath::from_segments(segments.iter().copied()).unwrap();
            let values = RouteTemplate::parse(template).unwrap().match_path(&path)?;
            let pairs: Vec<String> = values
                .iter()
                .map(|(name, v)| format!("{name}={v}"))
                .collect();
            Some(pairs.join(" "))
        };

        assert_eq!(
            matched("bot/{botId}", &["bot", "b1"]).as_deref(),
            Some("botId=b1")
        );
        assert_eq!(
            matched("a/{x}/b/<y>", &["a", "1", "b", "2"]).as_deref(),
            Some("x=1 y=2")
        );
        assert_eq!(matched("{x}/{x}", &["a", "a"]).as_deref(), Some("x=a"));
        assert_eq!(matched("{x}/{x}", &["a", "b"]), None);
        assert_eq!(matched("bot/{botId}", &["bot"]), None);
        assert_eq!(matched("bot/{botId}", &["bot", "b1", "x"]), None);
        assert_eq!(matched("bot/{botId}", &["key", "b1"]), None);
        assert_eq!(matched("bot/{botId}", &["bot", "*"]), None);
        assert_eq!(matched("bot/{botId}", &["bot", "a b"]), None);
        assert_eq!(matched("bot/*", &["bot", "b1"]), None);
        assert_eq!(matched("GET bot/{botId}", &["bot", "b1"]), None);
    }
}
