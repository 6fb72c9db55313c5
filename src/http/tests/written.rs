use axum::http::HeaderMap;

use super::*;

/// A value that would end its line is refused, so that nobody writes a second answer.
#[test]
fn only_visible_values_are_written() {
    const NAME: HeaderName = HeaderName::from_static("x-a");
    for byte in 0..=u8::MAX {
        let value = char::from(byte).to_string();
        let mut written = Written::new();
        written.ok(b"");
        let taken = written.field(&NAME, &value);
        let mut map = HeaderMap::new();
        assert_eq!(taken, map.field(&NAME, &value), "{byte}");
        let bytes = written.end(false, false, false);
        let lines = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(lines.contains(&format!("x-a: {value}\r\n")), taken.is_ok());
        assert_eq!(
            lines.matches("\r\n").count(),
            4 + usize::from(taken.is_ok())
        );
    }
}

#[test]
fn the_last_answer_of_a_connection_says_so() {
    let mut written = Written::new();
    written.ok(b"");
    let last = String::from_utf8(written.end(false, false, true).to_vec()).unwrap();
    assert!(last.contains("\r\nconnection: close\r\n"), "{last}");
}
