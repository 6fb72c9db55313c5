//! JSON that has one reading only.
//!
//! RFC 8259 leaves open what a repeated name means; `serde_json` takes the last, others take the
//! first. Whatever decides about access is read here, where a repeated name is an error at every
//! depth, nesting is bounded, and nothing may follow the value. Byte order marks, invalid UTF-8
//! and lone surrogates are refused as well.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A text that is not JSON with one reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrictJsonError {
    /// An object names a member twice.
    #[error("the member {path} is given more than once")]
    Duplicate {
        /// Where, with dots between names and indices: `config.allowedRoutes`, `items.0.name`.
        path: String,
    },
    /// Arrays and objects are nested too deeply.
    #[error("nested deeper than {depth_max}")]
    TooDeep {
        /// How deep they may be.
        depth_max: usize,
    },
    /// Not JSON, not UTF-8, or something behind the value.
    #[error("not valid JSON at line {line}, column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1; 0 when the text ended too early at a line's start.
        column: usize,
    },
}

impl StrictJsonError {
    fn syntax(error: &serde_json::Error) -> Self {
        Self::Syntax {
            line: error.line(),
            column: error.column(),
        }
    }

    fn inside(self, name: &str) -> Self {
        match self {
            Self::Duplicate { path } => Self::Duplicate {
                path: format!("{name}.{path}"),
            },
            Self::TooDeep { .. } | Self::Syntax { .. } => self,
        }
    }
}

/// Reads one JSON value. A scalar has depth 0, `[]` and `{}` have depth 1; `depth_max` is at most
/// 126, beyond which `serde_json` refuses by itself.
///
/// # Errors
/// [`StrictJsonError`].
pub fn parse(bytes: &[u8], depth_max: usize) -> Result<Value, StrictJsonError> {
    let mut judge = Judge::new(depth_max);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = judge.value(depth_max).deserialize(&mut json);
    let value = judge.verdict(read)?;
    json.end()
        .map_err(|error| StrictJsonError::syntax(&error))?;
    Ok(value)
}

/// Reads the array `member` of a JSON object, each element judged on its own: one that repeats a
/// name or is nested deeper than `depth_max` does not spoil its neighbours. Other members of the
/// object are not looked at. For documents of others, such as a key set.
///
/// # Errors
/// [`StrictJsonError`] when the whole is not JSON, not an object, or has `member` twice or not as
/// an array. A missing `member` is a syntax error at the end.
pub fn parse_each(
    bytes: &[u8],
    member: &str,
    depth_max: usize,
) -> Result<Vec<Result<Value, StrictJsonError>>, StrictJsonError> {
    let mut repeated = false;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = (&mut json).deserialize_map(Document {
        member,
        depth_max,
        repeated: &mut repeated,
    });
    if repeated {
        return Err(StrictJsonError::Duplicate {
            path: member.to_owned(),
        });
    }
    let elements = read.map_err(|error| StrictJsonError::syntax(&error))?;
    json.end()
        .map_err(|error| StrictJsonError::syntax(&error))?;
    Ok(elements)
}

/// A value within a document that is read by other means, nested no deeper than `DEPTH_MAX`. It is an
/// error of the document when it has more than one reading.
#[derive(Debug)]
pub struct Strictly<const DEPTH_MAX: usize>(pub Value);

impl<'de, const DEPTH_MAX: usize> Deserialize<'de> for Strictly<DEPTH_MAX> {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut judge = Judge::new(DEPTH_MAX);
        let value = judge.value(DEPTH_MAX).deserialize(json)?;
        match judge.fault {
            None => Ok(Self(value)),
            Some(fault) => Err(serde::de::Error::custom(fault)),
        }
    }
}

/// Remembers the first fault. Reading goes on behind it, so that the element of an array can be
/// wrong without ending the array; the value is thrown away.
struct Judge {
    depth_max: usize,
    fault: Option<StrictJsonError>,
}

impl Judge {
    fn new(depth_max: usize) -> Self {
        Self {
            depth_max,
            fault: None,
        }
    }

    fn value(&mut self, depth_left: usize) -> Strict<'_> {
        Strict {
            judge: self,
            depth_left,
        }
    }

    fn blame(&mut self, fault: StrictJsonError) {
        if self.fault.is_none() {
            self.fault = Some(fault);
        }
    }

    fn verdict(self, read: Result<Value, serde_json::Error>) -> Result<Value, StrictJsonError> {
        match (self.fault, read) {
            (Some(fault), _) => Err(fault),
            (None, Ok(value)) => Ok(value),
            (None, Err(error)) => Err(StrictJsonError::syntax(&error)),
        }
    }
}

struct Strict<'j> {
    judge: &'j mut Judge,
    depth_left: usize,
}

impl Strict<'_> {
    /// Lets `read` read the element `name`, and puts the name before the path of what it finds.
    fn element<T>(&mut self, name: &str, read: impl FnOnce(Strict<'_>) -> T) -> T {
        let clean_before = self.judge.fault.is_none();
        let outcome = read(Strict {
            judge: self.judge,
            depth_left: self.depth_left.saturating_sub(1),
        });
        if clean_before {
            self.judge.fault = self.judge.fault.take().map(|fault| fault.inside(name));
        }
        outcome
    }

    fn too_deep(&mut self) -> bool {
        if self.depth_left == 0 {
            self.judge.blame(StrictJsonError::TooDeep {
                depth_max: self.judge.depth_max,
            });
        }
        self.depth_left == 0
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        if self.too_deep() {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        loop {
            // The index is only spelled out when there is a fault to be located.
            let clean_before = self.judge.fault.is_none();
            let next = seq.next_element_seed(Strict {
                judge: self.judge,
                depth_left: self.depth_left.saturating_sub(1),
            })?;
            if clean_before && self.judge.fault.is_some() {
                let index = items.len().to_string();
                self.judge.fault = self.judge.fault.take().map(|fault| fault.inside(&index));
            }
            match next {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        if self.too_deep() {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        while let Some(name) = map.next_key::<String>()? {
            let value = self.element(&name, |strict| map.next_value_seed(strict))?;
            if members.contains_key(&name) {
                self.judge.blame(StrictJsonError::Duplicate { path: name });
            } else {
                members.insert(name, value);
            }
        }
        Ok(Value::Object(members))
    }
}

struct Document<'a> {
    member: &'a str,
    depth_max: usize,
    repeated: &'a mut bool,
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = Vec<Result<Value, StrictJsonError>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the array {}", self.member)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            if name != self.member {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            *self.repeated |= found.is_some();
            found = Some(map.next_value_seed(Elements {
                depth_max: self.depth_max,
            })?);
        }
        found.ok_or_else(|| serde::de::Error::custom("the array is missing"))
    }
}

struct Elements {
    depth_max: usize,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Vec<Result<Value, StrictJsonError>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<Result<Value, StrictJsonError>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        loop {
            let mut judge = Judge::new(self.depth_max);
            let Some(value) = seq.next_element_seed(judge.value(self.depth_max))? else {
                return Ok(elements);
            };
            elements.push(judge.fault.map_or(Ok(value), Err));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn duplicate(path: &str) -> Result<Value, StrictJsonError> {
        Err(StrictJsonError::Duplicate {
            path: path.to_owned(),
        })
    }

    #[test]
    fn a_repeated_name_is_refused_at_every_depth() {
        assert_eq!(parse(br#"{"a":1,"a":1}"#, 8), duplicate("a"));
        assert_eq!(parse(br#"{"a":{"b":1,"b":2}}"#, 8), duplicate("a.b"));
        assert_eq!(
            parse(br#"[0,{"a":[{"b":1,"b":2}]}]"#, 8),
            duplicate("1.a.0.b")
        );
        // Two spellings of one name.
        assert_eq!(parse(br#"{"a":1,"\u0061":2}"#, 8), duplicate("a"));
        assert_eq!(
            parse(br#"{"a":{"c":1},"b":{"c":1}}"#, 8),
            Ok(json!({"a":{"c":1},"b":{"c":1}}))
        );
    }

    #[test]
    fn the_first_fault_is_the_one_that_is_told() {
        assert_eq!(
            parse(br#"{"a":{"x":1,"x":1},"b":1,"b":2}"#, 8),
            duplicate("a.x")
        );
    }

    #[test]
    fn depth_is_bounded_on_both_sides() {
        assert!(parse(b"[[1]]", 2).is_ok());
        assert_eq!(
            parse(b"[[[1]]]", 2),
            Err(StrictJsonError::TooDeep { depth_max: 2 })
        );
        assert!(parse(b"1", 0).is_ok());
        assert_eq!(
            parse(b"{}", 0),
            Err(StrictJsonError::TooDeep { depth_max: 0 })
        );
        let deep = "[".repeat(1_000_000);
        assert_eq!(
            parse(deep.as_bytes(), 32),
            Err(StrictJsonError::TooDeep { depth_max: 32 })
        );
    }

    #[test]
    fn nothing_may_stand_before_or_behind() {
        for text in [
            &b"{} {}"[..],
            b"{}x",
            b"",
            b" ",
            b"\xEF\xBB\xBF{}",
            b"{\"a\":\"\xff\"}",
            br#"["\ud800"]"#,
            b"[1e999]",
            b"{\"a\":1,}",
        ] {
            assert!(
                matches!(parse(text, 8), Err(StrictJsonError::Syntax { .. })),
                "{}",
                text.escape_ascii()
            );
        }
        assert_eq!(parse(b" \n{} \t", 8), Ok(json!({})));
    }

    #[test]
    fn elements_do_not_spoil_each_other() {
        let read = parse_each(
            br#"{"x":{"y":1},"keys":[{"a":1,"a":2},[[[1]]],{"b":3}]}"#,
            "keys",
            2,
        );
        let read = read.unwrap();

        assert_eq!(read.len(), 3);
        assert_eq!(read[0], duplicate("a"));
        assert_eq!(read[1], Err(StrictJsonError::TooDeep { depth_max: 2 }));
        assert_eq!(read[2], Ok(json!({"b":3})));
    }

    #[test]
    fn the_array_must_be_there_once() {
        assert_eq!(
            parse_each(br#"{"keys":[],"keys":[]}"#, "keys", 2),
            Err(StrictJsonError::Duplicate {
                path: "keys".to_owned()
            })
        );
        for text in [
            r"{}",
            r"[]",
            r#"{"keys":{}}"#,
            r#"{"keys":[}"#,
            r#"{"keys":[]}x"#,
            "1",
        ] {
            assert!(parse_each(text.as_bytes(), "keys", 2).is_err(), "{text}");
        }
    }

    /// `JSONTestSuite`: `y_` must be read, `n_` must be refused, `i_` is left to the reader.
    #[test]
    fn the_json_test_suite() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/vectors/json-test-suite/test_parsing");
        let mut counts = [0, 0, 0];
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let read = parse(&std::fs::read(&path).unwrap(), 100);
            let two_readings = name.starts_with("y_object_duplicated_key");
            match &name.as_bytes()[..2] {
                b"y_" if two_readings => assert_eq!(read, duplicate("a"), "{name}"),
                b"y_" => assert!(read.is_ok(), "{name}: {read:?}"),
                b"n_" => assert!(read.is_err(), "{name}"),
                _ => {}
            }
            let kind = ["y_", "n_", "i_"]
                .iter()
                .position(|kind| name.starts_with(kind));
            counts[kind.unwrap()] += 1;
        }
        assert_eq!(counts, [95, 188, 35]);
    }

    proptest! {
        /// On text without repeated names, this is `serde_json`.
        #[test]
        fn it_agrees_with_serde_json(text in r#"[\[\]{}:,"a-c0-9.eE+\- \\untrfalse]{0,24}"#) {
            match (parse(text.as_bytes(), 100), serde_json::from_str::<Value>(&text)) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(StrictJsonError::Duplicate { .. } | StrictJsonError::Syntax { .. }), Err(_))
                | (Err(StrictJsonError::Duplicate { .. }), Ok(_)) => {}
                (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
            }
        }

        /// What was written by `serde_json` is read to the same value.
        #[test]
        fn what_is_written_is_read(
            names in prop::collection::vec("\\PC{0,5}", 0..6),
            number in any::<i64>(),
        ) {
            let members = names.iter().map(|name| (name.clone(), json!([number, name, null])));
            let value = Value::Object(members.collect());
            prop_assert_eq!(parse(value.to_string().as_bytes(), 2), Ok(value));
        }
    }
}
