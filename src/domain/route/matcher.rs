//! Does a pattern match a path? Plain comparison, without any automaton.

use super::method::Method;
use super::path::RequestPath;
use super::pattern::{Piece, RoutePattern};

impl RoutePattern {
    /// Whether a request with this method and path is meant.
    pub fn matches(&self, method: &str, path: &RequestPath) -> bool {
        self.methods().admits(Method::from_request(method)) && self.matches_path(path)
    }

    /// Whether the path is meant, for some method.
    pub(super) fn matches_path(&self, path: &RequestPath) -> bool {
        let count = path.count();
        let long_enough = if self.is_open() {
            count >= self.shortest()
        } else {
            count == self.shortest()
        };
        long_enough && matches_pieces(self.pieces(), path)
    }
}

/// Goes through pieces and segments side by side. On a mismatch, the last `Many` takes one segment
/// more. An earlier one need not be tried again: what stands between two `Many` was found at the
/// first place where it fits, which leaves the most to the right of it. So a question costs at most
/// (pieces × segments) comparisons.
fn matches_pieces(pieces: &[Piece], path: &RequestPath) -> bool {
    let (mut piece, mut segment) = (0, 0);
    // The piece behind the last `Many`, and the segment with which that piece begins.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let fits = match (pieces.get(piece), path.segment(segment)) {
            (None, None) => return true,
            (None, Some(_)) => false,
            (Some(Piece::Many), _) => {
                piece += 1;
                if piece == pieces.len() {
                    return true;
                }
                retry = Some((piece, segment));
                continue;
            }
            (Some(Piece::One), Some(_)) => true,
            (Some(Piece::Literal(literal)), Some(text)) => **literal == *text,
            // The path is over, and this piece needs a segment. A longer `Many` only makes it worse.
            (Some(Piece::One | Piece::Literal(_)), None) => return false,
        };
        if fits {
            piece += 1;
            segment += 1;
            continue;
        }
        let Some((behind_many, begin)) = retry else {
            return false;
        };
        retry = Some((behind_many, begin + 1));
        piece = behind_many;
        segment = begin + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RequestPath {
        RequestPath::from_segments(text.split('/')).unwrap()
    }

    #[test]
    fn patterns_match_what_they_say_and_nothing_else() {
        for (pattern, yes, no) in [
            ("bot", "bot", "Bot bots bot/a a/bot"),
            ("bot/*", "bot/a bot/* bot/**", "bot bot/a/b bo/a"),
            (
                "bot/*/fetch",
                "bot/a/fetch",
                "bot/fetch bot/a/b/fetch bot/a/fetc",
            ),
            ("bot/**", "bot/a bot/a/b/c", "bot bots/a a/bot/b"),
            ("**", "a bot bot/a/b/c", ""),
            ("*", "a", "a/b"),
            (
                "**/list",
                "list bot/list a/b/list list/list",
                "list/a lists bot/a",
            ),
            (
                "bot/**/usage/fetch",
                "bot/usage/fetch bot/b/usage/fetch bot/a/b/usage/fetch bot/usage/fetch/usage/fetch",
                "usage/fetch bot/usage bot/fetch bot/usage/a/fetch bot/usage/fetch/a",
            ),
            (
                "a/**/b/**",
                "a/b/c a/x/b/c a/b/b a/x/b/y/z",
                "a/b a/c b/c a/x/y",
            ),
            ("**/a/**/b", "a/b x/a/b a/x/b a/a/b/b", "a b b/a a/b/c"),
            ("**/a/*/b", "a/x/b y/a/x/b a/a/x/b a/b/a/b/b", "a/b a/x/y/b"),
            ("**/a/b/**/a/b", "a/b/a/b a/a/b/x/a/b", "a/b a/b/a/a a/b/b"),
            ("*/**", "a/b a/b/c", "a"),
            ("*/**/a", "b/a a/a b/c/a", "a b"),
            ("caf\u{e9}/*", "caf\u{e9}/a", "cafe\u{301}/a cafe/a"),
            ("event/**", "event/a/b", "events/a event platform/event/a"),
        ] {
            let parsed = RoutePattern::parse(pattern).unwrap();
            for text in yes.split_whitespace() {
                assert!(parsed.matches("GET", &path(text)), "{pattern} {text}");
            }
            for text in no.split_whitespace() {
                assert!(!parsed.matches("GET", &path(text)), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn methods_are_compared_exactly() {
        for (pattern, yes, no) in [
            ("bot", "GET HEAD get FOO PROPFIND", ""),
            ("GET bot", "GET", "HEAD get Get POST FOO GETT"),
            ("get,head bot", "GET HEAD", "get head POST"),
            (
                "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE bot",
                "CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE",
                "FOO post QUERY",
            ),
        ] {
            let parsed = RoutePattern::parse(pattern).unwrap();
            for method in yes.split_whitespace() {
                assert!(parsed.matches(method, &path("bot")), "{pattern} {method}");
            }
            for method in no.split_whitespace() {
                assert!(!parsed.matches(method, &path("bot")), "{pattern} {method}");
            }
        }
    }
}
