//! The route language against an oracle that was written apart from it: the matcher, the prover and
//! the intersection must agree with a naive reading of the pattern's text, and, where the languages
//! overlap, with globset.
//!
//! A *triple* is a ceiling, a wanted set and a request. The normal run judges some millions of them.
//! `HALLPASS_TRIPLES=100000000 cargo test --release --test it route_properties` judges as many as
//! it says. Every test prints its seed, and `HALLPASS_SEED` repeats a run. The lists of hostile
//! paths are read from `../shared/corpora`, or from the folder that `HALLPASS_CORPORA` names.

use std::collections::BTreeSet;
use std::path::PathBuf;

use globset::GlobBuilder;
use hallpass::domain::route::{
    Mount, NotCovered, PathError, RequestPath, RoutePattern, RouteSet, RouteSetError,
    TrailingSlash, covers,
};

/// The segments of the requests: `a` and `b` occur in patterns, `x` does not.
const LETTERS: [&str; 3] = ["a", "b", "x"];
/// Requests of the exhaustive check have at most so many segments.
const SHORT_MAX: usize = 4;
/// `PURGE` is a method that no pattern can name.
const METHODS: [&str; 3] = ["GET", "POST", "PURGE"];

// ---------------------------------------------------------------------------------------------
// The oracle.

/// Whether a pattern allows a request, read off its text by trying everything.
fn oracle(pattern: &str, method: &str, path: &[&str]) -> bool {
    let (methods, segments) = pattern.split_once(' ').unwrap_or(("", pattern));
    let about_method = methods.is_empty() || methods.split(',').any(|name| name == method);
    let segments: Vec<&str> = segments.split('/').collect();
    about_method && takes(&segments, path)
}

fn takes(pattern: &[&str], path: &[&str]) -> bool {
    match pattern {
        [] => path.is_empty(),
        ["**"] => !path.is_empty(),
        ["**", rest @ ..] => (0..=path.len()).any(|skip| takes(rest, &path[skip..])),
        [head, rest @ ..] => {
            path.first()
                .is_some_and(|first| *head == "*" || head == first)
                && takes(rest, &path[1..])
        }
    }
}

fn oracle_set<T: AsRef<str>>(patterns: &[T], method: &str, path: &[&str]) -> bool {
    patterns
        .iter()
        .any(|pattern| oracle(pattern.as_ref(), method, path))
}

/// All requests with at most so many segments, shortest first.
fn requests(segments_max: usize) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut paths: Vec<Vec<&str>> = vec![Vec::new()];
    let mut begin = 0;
    for _ in 0..segments_max {
        let end = paths.len();
        for index in begin..end {
            for letter in LETTERS {
                let mut path = paths[index].clone();
                path.push(letter);
                paths.push(path);
            }
        }
        begin = end;
    }
    let paths = paths.into_iter().skip(1);
    paths
        .flat_map(|path| METHODS.map(|method| (method, path.clone())))
        .collect()
}

fn request_path(segments: &[&str]) -> RequestPath {
    RequestPath::from_segments(segments.iter().copied()).unwrap()
}

// ---------------------------------------------------------------------------------------------
// Chance.

/// `SplitMix64`. The same seed gives the same tests on every machine.
struct Chance(u64);

impl Chance {
    fn new(test: &str) -> Self {
        let seed = std::env::var("HALLPASS_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or(0x68_61_6c_6c_70_61_73_73);
        println!("{test}: HALLPASS_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn pick<'t, T>(&mut self, things: &'t [T]) -> &'t T {
        &things[self.below(things.len())]
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// A pattern of at most so many segments.
fn random_pattern(chance: &mut Chance, segments_max: usize) -> String {
    let count = 1 + chance.below(segments_max);
    let mut double_stars = 0;
    let mut segments = Vec::new();
    for _ in 0..count {
        let mut segment = *chance.pick(&["a", "a", "b", "*", "*", "**", "**"]);
        if segment == "**" {
            double_stars += 1;
            if double_stars > 3 {
                segment = "*";
            }
        }
        segments.push(segment);
    }
    let methods = *chance.pick(&["", "", "", "", "", "GET ", "POST ", "GET,POST "]);
    format!("{methods}{}", segments.join("/"))
}

/// A pattern that means a part of what the given one means, or nearly so.
fn narrowed(chance: &mut Chance, pattern: &str) -> String {
    let (methods, path) = pattern.split_once(' ').unwrap_or(("", pattern));
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "*" if chance.one_in(2) => segments.push(*chance.pick(&["a", "b"])),
            "**" if chance.one_in(2) => {
                for _ in 0..chance.below(3) {
                    segments.push(*chance.pick(&["a", "b", "*"]));
                }
                if chance.one_in(2) {
                    segments.push("**");
                }
            }
            segment => segments.push(segment),
        }
    }
    if segments.is_empty() {
        segments.push("*");
    }
    let methods = match methods {
        "" if chance.one_in(4) => "GET",
        "GET,POST" if chance.one_in(2) => "POST",
        methods => methods,
    };
    let space = if methods.is_empty() { "" } else { " " };
    format!("{methods}{space}{}", segments.join("/"))
}

/// Some patterns that have to do with each other, and what the oracle says of each and of every
/// short request.
struct Family {
    patterns: Vec<String>,
    verdicts: Vec<Vec<bool>>,
}

impl Family {
    /// So many random patterns, and two narrower ones for each.
    fn new(chance: &mut Chance, roots: usize, requests: &[(&str, Vec<&str>)]) -> Self {
        let mut patterns: Vec<String> = (0..roots).map(|_| random_pattern(chance, 4)).collect();
        for index in 0..roots * 2 {
            let pattern = narrowed(chance, &patterns[index % roots]);
            patterns.push(pattern);
        }
        let verdicts = patterns
            .iter()
            .map(|pattern| {
                let verdict = |(method, path): &(&str, Vec<&str>)| oracle(pattern, method, path);
                requests.iter().map(verdict).collect()
            })
            .collect();
        Self { patterns, verdicts }
    }

    /// A few of its patterns: the set, its texts, and the verdicts on it.
    fn set(&self, chance: &mut Chance, count_max: usize) -> (RouteSet, Vec<&str>, Vec<bool>) {
        let mut texts: Vec<&str> = Vec::new();
        let mut verdicts = vec![false; self.verdicts[0].len()];
        for _ in 0..=chance.below(count_max) {
            let index = chance.below(self.patterns.len());
            texts.push(&self.patterns[index]);
            for (verdict, more) in verdicts.iter_mut().zip(&self.verdicts[index]) {
                *verdict |= more;
            }
        }
        (RouteSet::parse(&texts).unwrap(), texts, verdicts)
    }
}

// ---------------------------------------------------------------------------------------------
// The properties.

#[test]
fn the_matcher_agrees_with_the_oracle() {
    let mut chance = Chance::new("matcher");
    let requests = requests(SHORT_MAX);
    let paths: Vec<RequestPath> = requests
        .iter()
        .map(|(_, path)| request_path(path))
        .collect();

    for _ in 0..300 {
        let text = random_pattern(&mut chance, 6);
        let pattern = RoutePattern::parse(&text).unwrap();
        let set = RouteSet::from_patterns(vec![pattern.clone()]).unwrap();
        for ((method, segments), path) in requests.iter().zip(&paths) {
            let expected = oracle(&text, method, segments);
            assert_eq!(
                pattern.matches(method, path),
                expected,
                "{text} {method} {path}"
            );
            assert_eq!(
                set.matches(method, path).is_some(),
                expected,
                "{text} {method} {path}"
            );
        }
    }
}

#[test]
fn the_matcher_agrees_with_the_oracle_on_long_paths() {
    let mut chance = Chance::new("long paths");
    let mut matched = 0;
    for _ in 0..3_000 {
        let text = random_pattern(&mut chance, 12);
        let pattern = RoutePattern::parse(&text).unwrap();
        for _ in 0..4 {
            let count = 1 + chance.below(16);
            let segments: Vec<&str> = (0..count).map(|_| *chance.pick(&LETTERS)).collect();
            let expected = oracle(&text, "GET", &segments);
            assert_eq!(
                pattern.matches("GET", &request_path(&segments)),
                expected,
                "{text} {segments:?}"
            );
            matched += usize::from(expected);
        }
    }
    assert!(matched > 500, "{matched} matches prove too little");
}

#[test]
fn the_matcher_agrees_with_globset() {
    let mut chance = Chance::new("globset");
    let requests = requests(SHORT_MAX);
    for _ in 0..300 {
        let text = random_pattern(&mut chance, 5);
        let glob_text = text.split_once(' ').map_or(text.as_str(), |(_, path)| path);
        let glob = GlobBuilder::new(glob_text)
            .literal_separator(true)
            .case_insensitive(false)
            .backslash_escape(false)
            .build()
            .unwrap()
            .compile_matcher();
        let pattern = RoutePattern::parse(glob_text).unwrap();
        for (method, segments) in &requests {
            assert_eq!(
                pattern.matches(method, &request_path(segments)),
                glob.is_match(segments.join("/")),
                "{glob_text} {segments:?}"
            );
        }
    }
}

#[test]
fn containment_is_exact() {
    let mut chance = Chance::new("containment");
    let goal: u64 = match std::env::var("HALLPASS_TRIPLES") {
        Ok(triples) => triples.parse().expect("HALLPASS_TRIPLES is a number"),
        Err(_) => 3_000_000,
    };
    let requests = requests(SHORT_MAX);
    let (mut triples, mut covered, mut refused, mut beyond) = (0, 0_u64, 0_u64, 0_u64);

    while triples < goal {
        // Now and then the sets are large, so that the automata have several machine words.
        let (roots, count_max) = if chance.one_in(10) { (20, 25) } else { (5, 5) };
        let family = Family::new(&mut chance, roots, &requests);
        for _ in 0..50 {
            let (ceiling, ceiling_texts, allowed) = family.set(&mut chance, count_max);
            let (wanted, wanted_texts, wished) = family.set(&mut chance, 3);
            let outside = wished
                .iter()
                .zip(&allowed)
                .position(|(wished, allowed)| *wished && !*allowed);
            let shortest = outside.map(|index| requests[index].1.len());

            match covers(&ceiling, &wanted) {
                Ok(()) => {
                    covered += 1;
                    assert_eq!(shortest, None, "{ceiling:?} does not cover {wanted:?}");
                }
                Err(NotCovered::CounterExample { method, path }) => {
                    refused += 1;
                    let path: Vec<&str> = path.split('/').collect();
                    assert!(
                        oracle_set(&wanted_texts, &method, &path)
                            && !oracle_set(&ceiling_texts, &method, &path),
                        "{method} {path:?} is no counter-example to {ceiling:?} {wanted:?}"
                    );
                    if let Some(shortest) = shortest {
                        assert_eq!(path.len(), shortest, "{ceiling:?} {wanted:?}");
                    } else {
                        beyond += 1;
                        assert!(path.len() > SHORT_MAX, "{ceiling:?} {wanted:?} {path:?}");
                    }
                }
                Err(NotCovered::TooComplex) => panic!("{ceiling:?} {wanted:?}"),
            }
            triples += u64::try_from(requests.len()).unwrap();
        }
    }
    println!("{triples} triples, {covered} covered, {refused} not ({beyond} by a long path)");
    assert!(covered * 10 > refused && refused * 10 > covered && beyond > 0);
}

#[test]
fn what_is_covered_is_covered_on_long_paths_too() {
    let mut chance = Chance::new("long containment");
    let short = requests(1);
    let (mut covered, mut judged) = (0, 0);
    while judged < 60_000 {
        let family = Family::new(&mut chance, 5, &short);
        let (ceiling, ceiling_texts, _) = family.set(&mut chance, 6);
        let (wanted, wanted_texts, _) = family.set(&mut chance, 2);
        if covers(&ceiling, &wanted).is_err() {
            continue;
        }
        covered += 1;
        for _ in 0..200 {
            let count = SHORT_MAX + 1 + chance.below(5);
            let path: Vec<&str> = (0..count).map(|_| *chance.pick(&LETTERS)).collect();
            let method = *chance.pick(&METHODS);
            if oracle_set(&wanted_texts, method, &path) {
                judged += 1;
                assert!(
                    oracle_set(&ceiling_texts, method, &path),
                    "{ceiling:?} {wanted:?} {method} {path:?}"
                );
            }
        }
    }
    println!("{covered} pairs, {judged} long requests");
}

#[test]
fn containment_is_reflexive_transitive_and_closed_under_union() {
    let mut chance = Chance::new("order");
    let short = requests(1);
    let mut chains = 0;
    for _ in 0..400 {
        let family = Family::new(&mut chance, 5, &short);
        let (a, a_texts, _) = family.set(&mut chance, 3);
        let (b, b_texts, _) = family.set(&mut chance, 3);
        let (c, _, _) = family.set(&mut chance, 2);

        assert_eq!(covers(&a, &a), Ok(()));
        assert_eq!(covers(&RouteSet::everything(), &a), Ok(()));
        assert_eq!(covers(&a, &RouteSet::empty()), Ok(()));
        if covers(&a, &b).is_ok() && covers(&b, &c).is_ok() {
            chains += 1;
            assert_eq!(covers(&a, &c), Ok(()), "{a:?} {b:?} {c:?}");
        }
        let union = RouteSet::parse([a_texts, b_texts].concat()).unwrap();
        assert_eq!(covers(&union, &a), Ok(()));
        assert_eq!(covers(&union, &b), Ok(()));
        let both = covers(&c, &a).is_ok() && covers(&c, &b).is_ok();
        assert_eq!(covers(&c, &union).is_ok(), both, "{a:?} {b:?} {c:?}");
    }
    assert!(chains > 10, "{chains}");
}

#[test]
fn intersections_are_exact() {
    let mut chance = Chance::new("intersection");
    let requests = requests(SHORT_MAX);
    let (mut exact, mut inexpressible) = (0, 0);
    for round in 0..600 {
        let segments_max = 3 + round % 4;
        let mut texts = |count_max: usize| -> Vec<String> {
            (0..=chance.below(count_max))
                .map(|_| match chance.below(3) {
                    0 => format!(
                        "**/{}/**/{}/**",
                        chance.pick(&LETTERS),
                        chance.pick(&LETTERS)
                    ),
                    _ => random_pattern(&mut chance, segments_max),
                })
                .collect()
        };
        let (left_texts, right_texts) = (texts(3), texts(3));
        let left = RouteSet::parse(&left_texts).unwrap();
        let right = RouteSet::parse(&right_texts).unwrap();
        let common = match left.intersection(&right) {
            Ok(common) => common,
            Err(RouteSetError::Inexpressible(_) | RouteSetError::TooManyPatterns) => {
                inexpressible += 1;
                continue;
            }
            Err(error) => panic!("{error}: {left:?} {right:?}"),
        };
        exact += 1;

        let common_texts = common.to_strings();
        let long = (0..40).map(|_| {
            let count = SHORT_MAX + 1 + chance.below(6);
            let path = (0..count).map(|_| *chance.pick(&LETTERS)).collect();
            (*chance.pick(&METHODS), path)
        });
        for (method, path) in requests.iter().cloned().chain(long) {
            assert_eq!(
                oracle_set(&common_texts, method, &path),
                oracle_set(&left_texts, method, &path) && oracle_set(&right_texts, method, &path),
                "{left:?} {right:?} {common:?} {method} {path:?}"
            );
        }
        // The prover agrees, on all paths.
        assert_eq!(covers(&left, &common), Ok(()));
        assert_eq!(covers(&right, &common), Ok(()));
        assert_eq!(
            right
                .intersection(&left)
                .map(|other| covers(&other, &common)),
            Ok(Ok(()))
        );
    }
    println!("{exact} intersections, {inexpressible} inexpressible");
    assert!(exact > 300 && inexpressible > 0, "{exact} {inexpressible}");
}

#[test]
fn the_sure_part_of_a_wish_is_within_both_and_the_cut_is_what_is_not_covered() {
    let mut chance = Chance::new("within");
    let short = requests(1);
    for _ in 0..500 {
        let family = Family::new(&mut chance, 5, &short);
        let (wish, _, _) = family.set(&mut chance, 4);
        let (ceiling, _, _) = family.set(&mut chance, 4);

        let outcome = wish.within(&ceiling);

        assert_eq!(covers(&wish, &outcome.kept), Ok(()));
        assert_eq!(covers(&ceiling, &outcome.kept), Ok(()));
        for pattern in wish.patterns() {
            let alone = RouteSet::from_patterns(vec![pattern.clone()]).unwrap();
            let is_cut = outcome.cut.iter().any(|text| text == pattern.as_str());
            assert_eq!(covers(&ceiling, &alone).is_err(), is_cut);
            assert!(is_cut || covers(&outcome.kept, &alone).is_ok());
        }
        assert_eq!(outcome.cut.is_empty(), covers(&ceiling, &wish).is_ok());
    }
}

#[test]
fn canonical_form_keeps_the_language_and_has_nothing_superfluous() {
    let mut chance = Chance::new("canonical form");
    let requests = requests(SHORT_MAX);
    for _ in 0..60 {
        let family = Family::new(&mut chance, 5, &requests);
        for _ in 0..10 {
            let (set, mut texts, verdicts) = family.set(&mut chance, 6);
            let canonical = set.to_strings();
            for ((method, path), verdict) in requests.iter().zip(&verdicts) {
                assert_eq!(
                    oracle_set(&canonical, method, path),
                    *verdict,
                    "{texts:?} {set:?}"
                );
            }

            // Printing and reading is the identity, and so is any other order.
            assert_eq!(RouteSet::parse(&canonical).as_ref(), Ok(&set));
            texts.reverse();
            assert_eq!(RouteSet::parse(&texts).as_ref(), Ok(&set));
            let json = serde_json::to_string(&set).unwrap();
            assert_eq!(serde_json::from_str::<RouteSet>(&json).unwrap(), set);

            assert!(canonical.is_sorted_by(|one, next| one < next));
            for pattern in set.patterns() {
                let alone = RouteSet::from_patterns(vec![pattern.clone()]).unwrap();
                for other in set.patterns().iter().filter(|other| *other != pattern) {
                    let other = RouteSet::from_patterns(vec![other.clone()]).unwrap();
                    assert!(
                        covers(&other, &alone).is_err(),
                        "{other:?} covers {alone:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn equal_languages_of_single_patterns_have_equal_texts() {
    // Every pattern of up to four segments over two literals, judged on requests of up to five.
    let requests: Vec<Vec<&str>> = requests(5)
        .into_iter()
        .filter(|(method, _)| *method == "GET")
        .map(|(_, path)| path)
        .collect();
    let mut canonical = BTreeSet::new();
    let mut texts: Vec<String> = vec![String::new()];
    for _ in 0..4 {
        let longer = texts.iter().flat_map(|text| {
            let slash = if text.is_empty() { "" } else { "/" };
            ["a", "b", "*", "**"].map(|segment| format!("{text}{slash}{segment}"))
        });
        texts = longer.collect();
        for text in &texts {
            if let Ok(pattern) = RoutePattern::parse(text) {
                canonical.insert(pattern.to_string());
            }
        }
    }
    let languages: BTreeSet<Vec<bool>> = canonical
        .iter()
        .map(|text| {
            requests
                .iter()
                .map(|path| oracle(text, "GET", path))
                .collect()
        })
        .collect();
    assert_eq!(languages.len(), canonical.len());
}

// ---------------------------------------------------------------------------------------------
// Paths.

fn parse(target: &[u8]) -> Result<RequestPath, PathError> {
    RequestPath::parse(target, &Mount::default(), TrailingSlash::Equal)
}

/// Percent-decoding that believes everything, as careless programs do.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let pair = tail
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let value = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (first, value) {
            (b'%', Some(value)) => {
                decoded.push(value);
                rest = &tail[2..];
            }
            (byte, _) => {
                decoded.push(*byte);
                rest = tail;
            }
        }
    }
    decoded
}

/// What careless programs make of a path: backslashes are slashes, parameters are dropped, empty
/// and `.` segments are dropped, `..` goes up.
fn normalise(path: &[u8]) -> Vec<Vec<u8>> {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        let segment = segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment.to_vec()),
        }
    }
    segments
}

/// If a target is accepted, then careless programs must read the very same segments.
fn check_target(target: &[u8]) -> bool {
    let Ok(path) = parse(target) else {
        return false;
    };
    let ours: Vec<Vec<u8>> = ["v1"]
        .into_iter()
        .chain(path.segments())
        .map(|segment| segment.as_bytes().to_vec())
        .collect();
    let raw = target
        .split(|byte| matches!(byte, b'?' | b'#'))
        .next()
        .unwrap_or_default();
    let shown = String::from_utf8_lossy(target);

    let normalised_then_decoded: Vec<Vec<u8>> = normalise(raw)
        .iter()
        .map(|segment| decode(segment))
        .collect();
    assert_eq!(normalised_then_decoded, ours, "{shown}");
    assert_eq!(normalise(&decode(raw)), ours, "{shown}");
    assert_eq!(normalise(&decode(&decode(raw))), ours, "{shown}");
    // The query mark must not be found later, either.
    assert!(
        !decode(raw)
            .iter()
            .any(|byte| matches!(byte, b'?' | b'#' | 0)),
        "{shown}"
    );

    // Known segments give the same path.
    assert_eq!(
        RequestPath::from_segments(path.segments()).as_ref(),
        Ok(&path),
        "{shown}"
    );
    true
}

#[test]
fn no_bytes_panic_and_accepted_paths_have_one_reading() {
    let mut chance = Chance::new("paths");
    let bits = [
        "/",
        "/",
        "/",
        "a",
        "b1",
        "%20",
        "%61",
        "%2e",
        "%2F",
        "%5c",
        "%25",
        "%00",
        "%c3%a9",
        "%c3",
        "%c0%af",
        "%",
        "%4",
        ".",
        "..",
        "...",
        "*",
        "**",
        ";",
        "?",
        "#",
        "\\",
        " ",
        "\u{e9}",
        "@",
        "%40",
        "~",
        "v1",
        "//",
        "/../",
        "\0",
        "\n",
        "[",
        "{",
        "|",
        ":",
        "+",
        "&",
        "%ed%a0%80",
    ];
    let mut accepted = 0;
    for _ in 0..60_000 {
        let mut target = b"/v1/".to_vec();
        for _ in 0..chance.below(8) {
            target.extend_from_slice(chance.pick(&bits).as_bytes());
        }
        accepted += usize::from(check_target(&target));
    }
    assert!(accepted > 1_000, "{accepted}");

    for _ in 0..60_000 {
        let mut target = if chance.one_in(2) {
            b"/v1/".to_vec()
        } else {
            Vec::new()
        };
        for _ in 0..chance.below(12) {
            target.push(u8::try_from(chance.below(256)).unwrap());
        }
        check_target(&target);
    }
}

#[test]
fn every_single_byte_has_one_reading() {
    for byte in 0..=u8::MAX {
        check_target(&[b"/v1/a", [byte].as_slice(), b"b/c"].concat());
        check_target(&[b"/v1/", [byte].as_slice(), b"/c"].concat());
        check_target(format!("/v1/a%{byte:02x}b/c").as_bytes());
        check_target(format!("/v1/%{byte:02X}/c").as_bytes());
        for second in 0..=u8::MAX {
            check_target(format!("/v1/%{byte:02x}%{second:02x}").as_bytes());
        }
    }
}

#[test]
fn hostile_paths_of_the_corpora_never_leave_their_place() {
    let corpora = std::env::var_os("HALLPASS_CORPORA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"),
        PathBuf::from,
    );
    let files = [
        "nomore403/midpaths",
        "nomore403/endpaths",
        "payloads-all-the-things/Directory_Traversal_Intruder_deep_traversal.txt",
        "payloads-all-the-things/Directory_Traversal_Intruder_directory_traversal.txt",
        "payloads-all-the-things/Directory_Traversal_Intruder_traversals-8-deep-exotic-encoding.txt",
        "blns/blns.txt",
    ];
    let routes = RouteSet::parse(["bot/**"]).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for file in files {
        let Ok(list) = std::fs::read(corpora.join(file)) else {
            println!("skipped: {} is not there", corpora.join(file).display());
            continue;
        };
        for payload in list
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            for (before, behind) in [
                ("/v1/bot/", ""),
                ("/v1/bot/", "/key/create"),
                ("/v1/bot", ""),
                ("/v1/", "/bot/x"),
            ] {
                let target = [before.as_bytes(), payload, behind.as_bytes()].concat();
                if !check_target(&target) {
                    refused += 1;
                    continue;
                }
                accepted += 1;
                // `check_target` has shown that nothing goes up, so what begins below `bot` stays.
                let path = parse(&target).unwrap();
                let below = before == "/v1/bot/" && path.segments().count() > 1;
                assert!(!below || routes.matches("GET", &path).is_some());
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
}
