//! How large things may become. Every limit is here, with its reason.

/// Patterns in one set. One machine word can then say which patterns of a set a method concerns.
pub const PATTERNS_PER_SET_MAX: usize = 64;

/// Segments in one pattern, as it is written. A pattern then fits into one machine word of the
/// automaton (two more bits are its end and the second half of a trailing `**`).
pub const SEGMENTS_PER_PATTERN_MAX: usize = 32;

/// `**` in one pattern, as it is written. The cost of containment grows with each.
pub const DOUBLE_STARS_PER_PATTERN_MAX: usize = 3;

/// Characters (not bytes) in one pattern, methods and leading slash included.
pub const PATTERN_CHARS_MAX: usize = 256;

/// Bytes of a path as it was sent: mount included, query not.
pub const PATH_BYTES_MAX: usize = 2048;

/// Segments of a path behind its mount.
pub const PATH_SEGMENTS_MAX: usize = 64;

/// Characters in the name of a placeholder.
pub const PLACEHOLDER_NAME_CHARS_MAX: usize = 64;

/// Characters in a value that fills a placeholder.
pub const PLACEHOLDER_VALUE_CHARS_MAX: usize = 128;

/// Work that one question of containment may cost, in machine words of subset states that are
/// computed or compared. It is some milliseconds.
pub const COVER_WORK_MAX: u64 = 1 << 22;

/// Work that a set may cost when it is brought into its canonical form and compared with itself,
/// in the same unit. It is lower than [`COVER_WORK_MAX`], so that what was stored leaves room for
/// being compared with something else.
pub const SET_WORK_MAX: u64 = 1 << 20;

/// Work that an intersection may cost, in pieces of patterns that are written, before its outcome
/// is brought into canonical form. It bounds the memory, too: some megabytes.
pub const INTERSECTION_WORK_MAX: u64 = 1 << 18;
