//! Lines of the log on their way out. On a busy service a moment's lines leave with one system call.
//!
//! A line that is first for a while leaves at once, and one at WARN or ERROR takes all before it along at
//! once. What waits besides leaves within [`LINGER`], when the program ends, or when a thread panics; a
//! process that is killed takes no more with it than that.

use std::fmt;
use std::io::{self, Write};
use std::panic;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::clock::Clock;

/// How long a line waits for others.
const LINGER: Duration = Duration::from_millis(LINGER_MS.unsigned_abs());
const LINGER_MS: i64 = 50;
/// So many bytes do not wait any longer: as many as a pipe has room for several times.
const ROOM: usize = 16 * 1024;

/// Where lines are put. Its clones lead to the same place.
#[derive(Debug, Clone)]
pub(super) struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// Told when the first line begins to wait.
    begun: Condvar,
    clock: Arc<dyn Clock>,
}

struct Waiting {
    out: Box<dyn Write + Send>,
    bytes: Vec<u8>,
    left_at_ms: Option<i64>,
    /// Nobody looks after lines that wait.
    ended: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Lines are for those who read the log.
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Waiting {
    /// Whether something begins to wait, for which somebody must look.
    fn add(&mut self, line: &[u8], urgent: bool, now_ms: i64) -> bool {
        let first = self.bytes.is_empty();
        self.bytes.extend_from_slice(line);
        let quiet = |left_at_ms| now_ms - left_at_ms >= LINGER_MS;
        let wait =
            !urgent && !self.ended && self.bytes.len() < ROOM && !self.left_at_ms.is_none_or(quiet);
        if wait {
            return first;
        }
        self.leave(now_ms);
        !self.bytes.is_empty()
    }

    fn leave(&mut self, now_ms: i64) {
        self.left_at_ms = Some(now_ms);
        let mut taken = 0;
        while let Some(rest) = self.bytes.get(taken..)
            && !rest.is_empty()
        {
            match self.out.write(rest) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever shares standard error may have made it so.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.bytes.drain(..taken);
                    return self.cut();
                }
                // There is nobody to whom a log that cannot be written could be told.
                Ok(0) | Err(_) => break,
                Ok(more) => taken += more,
            }
        }
        self.bytes.clear();
    }

    /// Drops the newest lines for which there is no room, and no part of a line.
    fn cut(&mut self) {
        let ends = |byte: &u8| *byte == b'\n';
        if self.bytes.len() > ROOM {
            let within = self.bytes.get(..ROOM).unwrap_or_default();
            let end = within.iter().rposition(ends);
            let end = end.or_else(|| self.bytes.iter().position(ends));
            self.bytes.truncate(end.map_or(0, |end| end + 1));
        }
    }
}

impl Lines {
    pub(super) fn to(out: impl Write + Send + 'static, clock: Arc<dyn Clock>) -> Self {
        let waiting = Waiting {
            out: Box::new(out),
            bytes: Vec::with_capacity(ROOM),
            left_at_ms: None,
            ended: false,
        };
        Self(Arc::new(Shared {
            waiting: Mutex::new(waiting),
            begun: Condvar::new(),
            clock,
        }))
    }

    /// Looks after lines that wait from now on, until what is returned is dropped.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(super) fn tend(&self) -> io::Result<Tended> {
        let lines = self.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || lines.send_on())?;
        Ok(Tended(self.clone()))
    }

    /// Lets what waits leave before a panic is told from now on: it may say what led there.
    pub(super) fn leave_before_panics(&self) {
        let lines = self.clone();
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            lines.send();
            tell(panicked);
        }));
    }

    /// Lets what waits leave.
    fn send(&self) {
        let mut waiting = self.waiting();
        if !waiting.bytes.is_empty() {
            waiting.leave(self.0.clock.monotonic_ms());
        }
    }

    fn send_on(&self) {
        loop {
            let mut waiting = self.waiting();
            while waiting.bytes.is_empty() && !waiting.ended {
                let woken = self.0.begun.wait(waiting);
                waiting = woken.unwrap_or_else(PoisonError::into_inner);
            }
            if waiting.ended {
                return;
            }
            drop(waiting);
            thread::sleep(LINGER);
            self.send();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that is done under the lock panics.
        let waiting = self.0.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as this is kept, lines may wait. Later ones leave at once.
#[derive(Debug)]
#[must_use = "lines wait only as long as this is kept"]
pub struct Tended(Lines);

impl Drop for Tended {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.ended = true;
        waiting.leave(self.0.0.clock.monotonic_ms());
        self.0.0.begun.notify_all();
    }
}

/// Takes one line after the other.
pub(super) struct Line<'l> {
    lines: &'l Lines,
    urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now_ms = self.lines.0.clock.monotonic_ms();
        let mut waiting = self.lines.waiting();
        let begins = waiting.add(bytes, self.urgent, now_ms);
        drop(waiting);
        if begins {
            self.lines.0.begun.notify_one();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'l> MakeWriter<'l> for Lines {
    type Writer = Line<'l>;

    fn make_writer(&'l self) -> Self::Writer {
        Line {
            lines: self,
            urgent: true,
        }
    }

    fn make_writer_for(&'l self, meta: &Metadata<'_>) -> Self::Writer {
        Line {
            lines: self,
            urgent: *meta.level() <= Level::WARN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::time::Timestamp;

    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<String>>>);

    impl Out {
        /// What was written, by the call.
        fn writes(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            self.0.lock().unwrap().push(text);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(Timestamp::from_millis(0)))
    }

    fn lines() -> (Out, Lines) {
        let out = Out::default();
        (out.clone(), Lines::to(out, clock()))
    }

    /// One that left just now: the next is not the first for a while.
    fn lines_after_one() -> (Out, Lines) {
        let (out, lines) = lines();
        line(&lines).write_all(b"0\n").unwrap();
        (out, lines)
    }

    fn line(lines: &Lines) -> Line<'_> {
        Line {
            lines,
            urgent: false,
        }
    }

    #[test]
    fn the_first_line_for_a_while_leaves_at_once_and_the_next_wait_for_each_other() {
        let (out, lines) = lines();
        let start = 1_000;

        assert!(!lines.waiting().add(b"1\n", false, start));
        // Somebody must look for it, and is told once.
        assert!(lines.waiting().add(b"2\n", false, start));
        assert!(!lines.waiting().add(b"3\n", false, start + LINGER_MS - 1));
        assert_eq!(out.writes(), ["1\n"]);
        assert!(!lines.waiting().add(b"4\n", false, start + LINGER_MS));

        assert_eq!(out.writes(), ["1\n", "2\n3\n4\n"]);
    }

    #[test]
    fn a_line_that_is_urgent_takes_those_before_it_along() {
        let (out, lines) = lines();
        let start = 1_000;

        assert!(!lines.waiting().add(b"1\n", false, start));
        assert!(lines.waiting().add(b"2\n", false, start));
        assert!(!lines.waiting().add(b"3\n", true, start));

        assert_eq!(out.writes(), ["1\n", "2\n3\n"]);
    }

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let (out, lines) = lines();
        let start = 1_000;
        let line = "x".repeat(ROOM / 4 - 1) + "\n";

        for _ in 0..9 {
            lines.waiting().add(line.as_bytes(), false, start);
        }

        let long: Vec<usize> = out.writes().iter().map(String::len).collect();
        assert_eq!(long, [ROOM / 4, ROOM, ROOM]);
    }

    #[test]
    fn warnings_are_urgent_and_what_is_usual_is_not() {
        let (out, lines) = lines_after_one();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(lines)
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .finish();

        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("usual");
            assert_eq!(out.writes(), ["0\n"]);
            tracing::warn!("strange");
            assert_eq!(out.writes(), ["0\n", " INFO usual\n WARN strange\n"]);
            tracing::info!("usual again");
            tracing::error!("broken");
        });

        assert_eq!(out.writes().len(), 3);
    }

    #[test]
    fn what_waits_leaves_by_itself() {
        struct Told(std::sync::mpsc::Sender<Vec<u8>>);

        impl Write for Told {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.send(bytes.to_vec()).unwrap();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let (sender, told) = std::sync::mpsc::channel();
        let lines = Lines::to(Told(sender), clock());
        let _tended = lines.tend().unwrap();
        // The clock stands still, so only the first is the first for a while.
        for text in ["1\n", "2\n", "3\n"] {
            line(&lines).write_all(text.as_bytes()).unwrap();
            let left = told.recv_timeout(Duration::from_secs(20));
            assert_eq!(left.unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn what_waits_stands_before_a_panic() {
        let (out, lines) = lines_after_one();
        let (told, tell) = (out.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |panicked| {
            // Other tests may panic meanwhile.
            if panicked.payload().downcast_ref() == Some(&"on purpose") {
                told.clone().write_all(b"panicked").unwrap();
            }
            tell(panicked);
        }));
        lines.leave_before_panics();
        line(&lines).write_all(b"1\n").unwrap();

        let panicked = panic::catch_unwind(|| panic!("on purpose"));

        assert!(panicked.is_err());
        assert_eq!(out.writes(), ["0\n", "1\n", "panicked"]);
    }

    /// Takes so many bytes, and then nothing for the moment.
    struct Full(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (room, taken) = &mut *self.0.lock().unwrap();
            if *room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let (now, _) = bytes.split_at((*room).min(bytes.len()));
            *room -= now.len();
            taken.extend_from_slice(now);
            Ok(now.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_not_taken_for_the_moment_is_kept_and_no_line_is_torn() {
        let state = Arc::new(Mutex::new((5, Vec::new())));
        let lines = Lines::to(Full(Arc::clone(&state)), clock());
        let add = |line: &str| lines.waiting().add(line.as_bytes(), true, 0);

        assert!(add("first\n"));
        assert!(add("second\n"));
        let long = "x".repeat(ROOM / 2) + "\n";
        for _ in 0..4 {
            assert!(add(&long));
        }
        state.lock().unwrap().0 = usize::MAX;
        assert!(!add("last\n"));

        let taken = String::from_utf8(state.lock().unwrap().1.clone()).unwrap();
        assert_eq!(taken, format!("first\nsecond\n{long}last\n"));
    }

    #[test]
    fn what_can_never_be_written_is_not_kept() {
        struct Closed;

        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let lines = Lines::to(Closed, clock());

        assert!(!lines.waiting().add(b"1\n", true, 0));
        assert!(lines.waiting().bytes.is_empty());
    }

    #[test]
    fn what_waits_at_the_end_leaves_and_nothing_waits_after_it() {
        let (out, lines) = lines_after_one();
        let tended = lines.tend().unwrap();

        line(&lines).write_all(b"1\n").unwrap();
        drop(tended);
        assert_eq!(out.writes().concat(), "0\n1\n");
        line(&lines).write_all(b"2\n").unwrap();

        assert_eq!(out.writes().concat(), "0\n1\n2\n");
    }
}
