//! What the load benchmark measures hallpass beside, and clients that `wrk` cannot be.
//!
//! `benches/load/run` starts this program; by hand:
//!
//! ```text
//! hallpass-load hello                                       answers 200 to everything
//! hallpass-load answer --head FILE                          answers 200 with these headers, and a line
//! hallpass-load sign   --algorithm ES256                    parses, signs, answers
//! hallpass-load commit --algorithm ES256 --database FILE    the same, with a durable record
//!
//! hallpass-load pieces                                      how long a bare signature takes
//!
//! hallpass-load paced  --to ADDRESS --requests FILE --rate N --seconds N [--connections N] [--samples FILE]
//! hallpass-load once   --to ADDRESS --requests FILE [--connections N]
//! hallpass-load tokens --to ADDRESS --requests FILE --count N --out FILE [--connections N]
//! ```
//!
//! A server prints `ready PORT`, a client one line of `name=value`. A file of requests holds any
//! number of them, each as its length in bytes, a line feed, and the request as it goes over the wire.

#![expect(
    clippy::disallowed_methods,
    reason = "nothing here is tested with another clock or other dice"
)]

use std::collections::HashMap;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

mod client;
mod commit;
mod pieces;
mod server;
mod sign;

/// `--name value` pairs.
struct Options(HashMap<String, String>);

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut pairs = HashMap::new();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                bail!("`{word}` is no option");
            };
            let value = words
                .next()
                .with_context(|| format!("--{name} wants a value"))?;
            pairs.insert(name.to_owned(), value);
        }
        Ok(Self(pairs))
    }

    fn text(&self, name: &str) -> Result<&str> {
        let value = self
            .0
            .get(name)
            .with_context(|| format!("--{name} is missing"))?;
        Ok(value)
    }

    fn maybe(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &self,
        name: &str,
    ) -> Result<T> {
        self.text(name)?
            .parse()
            .with_context(|| format!("--{name} is no number of that kind"))
    }

    fn connections(&self) -> Result<usize> {
        match self.maybe("connections") {
            None => Ok(64),
            Some(_) => self.number("connections"),
        }
    }
}

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let options = Options::parse(words)?;
    match command.as_str() {
        "hello" => server::serve(None, None),
        "answer" => server::answer(options.text("head")?),
        "sign" => server::serve(Some(options.text("algorithm")?), None),
        "commit" => server::serve(
            Some(options.text("algorithm")?),
            Some(options.text("database")?),
        ),
        "pieces" => pieces::print(),
        "paced" => client::paced(&client::Paced {
            to: options.text("to")?,
            requests: &client::read_requests(options.text("requests")?)?,
            per_second: options.number("rate")?,
            seconds: options.number("seconds")?,
            connections: options.connections()?,
            samples: options.maybe("samples"),
        }),
        "once" => client::once(
            options.text("to")?,
            &client::read_requests(options.text("requests")?)?,
            options.connections()?,
        ),
        "tokens" => client::tokens(
            options.text("to")?,
            &client::read_requests(options.text("requests")?)?,
            options.number("count")?,
            options.connections()?,
            options.text("out")?,
        ),
        other => {
            bail!("`{other}` is none of hello, answer, sign, commit, pieces, paced, once, tokens")
        }
    }
}
