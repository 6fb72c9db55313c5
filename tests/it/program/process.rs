//! Runs the program in a folder of its own. Nothing here waits without a bound, and nothing sleeps:
//! what is waited for are lines of the program's own streams, and answers.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

use crate::support::database::{Kind, TestDatabase};

/// Long enough for a machine under load; nothing waits for it unless a test fails.
pub(crate) const LONG: Duration = Duration::from_mins(2);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_hallpass");

/// Runs a future in a test that is not one.
pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A folder to work in, with an empty database.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) database: TestDatabase,
}

impl Place {
    /// `None` for PostgreSQL when there is none to test with.
    pub(crate) fn new(kind: Kind) -> Option<Self> {
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
            database: wait_for(TestDatabase::fresh(kind))?,
        })
    }

    pub(crate) fn sqlite() -> Self {
        Self::new(Kind::Sqlite).unwrap()
    }

    /// One that was set up before, with its first key.
    pub(crate) fn set_up(kind: Kind) -> Option<(Self, String)> {
        let place = Self::new(kind)?;
        let ran = place.run(&["init"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let key = ran.out.lines().next().unwrap().to_owned();
        Some((place, key))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Where the key file is that the first start makes.
    pub(crate) fn master_key(&self) -> PathBuf {
        self.path("keys").join("master.key")
    }

    /// A program in this folder, with no variables but its own.
    pub(crate) fn any(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HALLPASS_DATABASE_URL", self.database.url())
            .env("HALLPASS_LISTEN", "127.0.0.1:0")
            // Else it would have the port, which the commands on the database do not know.
            .env("HALLPASS_ISSUER", "http://hallpass.test")
            .env("HALLPASS_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn hallpass(&self, args: &[&str]) -> Command {
        let mut command = self.any(PROGRAM);
        command.args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(&mut self.hallpass(args))
    }

    /// Runs a command that must succeed with an answer in JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.run(args).json()
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start(&mut self.hallpass(&[]))
    }

    /// The keys and the signing keys, to be compared.
    pub(crate) fn contents(&self) -> (Value, Value) {
        (
            self.json(&["token", "list", "--all"]),
            self.json(&["signing-key", "list", "--all"]),
        )
    }
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// A clear refusal: words on standard error, nothing on standard output, no panic.
    pub(crate) fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word}: {self:?}");
        }
    }
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let mut child = Running(command.spawn().unwrap());
    let out = lines(child.0.stdout.take().unwrap());
    let err = lines(child.0.stderr.take().unwrap());
    let (out, err) = (rest(&out), rest(&err));
    let code = child.0.wait().unwrap().code();
    Ran { code, out, err }
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn rest(lines: &Receiver<String>) -> String {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(LONG) {
            Ok(line) => {
                text.push_str(&line);
                text.push('\n');
            }
            Err(RecvTimeoutError::Disconnected) => return text,
            Err(RecvTimeoutError::Timeout) => panic!("the program does not end; so far: {text}"),
        }
    }
}

/// What the first start prints.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    pub(crate) key: String,
    pub(crate) curl: String,
    pub(crate) another: String,
}

impl Announcement {
    pub(crate) fn read(lines: &[&str]) -> Self {
        let [key, "", curl, "", remark, another] = lines else {
            panic!("{lines:?}");
        };
        assert!(remark.starts_with("# "), "{remark}");
        Self {
            key: (*key).to_owned(),
            curl: (*curl).to_owned(),
            another: another.strip_prefix("# ").unwrap().to_owned(),
        }
    }
}

/// The program as it serves.
pub(crate) struct Server {
    child: Running,
    out: Receiver<String>,
    err: Receiver<String>,
    log: String,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it and waits until it is ready. It must log as JSON.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = Running(command.spawn().unwrap());
        let out = lines(child.0.stdout.take().unwrap());
        let err = lines(child.0.stderr.take().unwrap());
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Self {
            child,
            out,
            err,
            log: String::new(),
            address,
        };
        let ready = server.wait_for_log("ready");
        let listen = ready["listen"].as_str().unwrap();
        server.address = listen.parse().unwrap();
        server
    }

    /// The next log line with this message.
    pub(crate) fn wait_for_log(&mut self, message: &str) -> Value {
        loop {
            let line = self.err.recv_timeout(LONG);
            let line = line.unwrap_or_else(|_| panic!("no line `{message}` in: {}", self.log));
            self.log.push_str(&line);
            self.log.push('\n');
            let read: Value = serde_json::from_str(&line).unwrap_or_default();
            if read["message"] == message {
                return read;
            }
        }
    }

    /// What the first start printed.
    pub(crate) fn announcement(&self) -> Announcement {
        let line = || self.out.recv_timeout(LONG).unwrap();
        let lines: Vec<String> = (0..6).map(|_| line()).collect();
        Announcement::read(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends SIGTERM, SIGINT or SIGKILL by its short name.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -s {name} {}", self.child.0.id());
        let sent = Command::new("sh").args(["-c", &command]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ran {
        let out = rest(&self.out);
        let err = self.log.clone() + &rest(&self.err);
        let code = self.child.0.wait().unwrap().code();
        Ran { code, out, err }
    }

    pub(crate) fn stop(self) -> Ran {
        self.signal("TERM");
        let ran = self.end();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.address, LONG).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str, key: &str) -> Answer {
        self.send("GET", path, key, None).unwrap()
    }

    pub(crate) fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.send("POST", path, key, Some(body)).unwrap()
    }

    /// Sends one request; an empty key is none. The error is that of a connection that broke.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> std::io::Result<Answer> {
        send(self.address, method, path, key, body)
    }
}

/// One request on a connection of its own.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: &str,
    body: Option<&Value>,
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, LONG)?;
    stream.set_read_timeout(Some(LONG))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    stream.write_all(request(method, path, key, &body).as_bytes())?;
    Answer::read(&mut stream)
}

/// The text of a request.
pub(crate) fn request(method: &str, path: &str, key: &str, body: &str) -> String {
    let credential = if key.is_empty() {
        String::new()
    } else {
        format!("Authorization: Bearer {key}\r\n")
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{credential}Content-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Reads until the other side closes. An answer that breaks off is an error.
    pub(crate) fn read(stream: &mut TcpStream) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Err(ended.err().unwrap_or_else(broken));
        };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length: Option<usize> = length.map(|rest| {
            let digits = rest.split("\r\n").next();
            digits.unwrap().parse().unwrap()
        });
        if length.is_some_and(|length| length != body.len()) {
            return Err(broken());
        }
        Ok(Self {
            status: head.get(9..12).unwrap().parse().unwrap(),
            head,
            body: body.to_owned(),
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The JSON of an answer that must be a success.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// A refusal in the one shape, with the request id in body and header.
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        assert_eq!(body["error"]["code"], code, "{self:?}");
        assert_eq!(body["message"], body["error"]["message"], "{self:?}");
        assert!(body["code"].is_string(), "{self:?}");
        let id = body["error"]["requestId"].as_str().unwrap();
        assert!(
            self.head.contains(&format!("\r\nx-request-id: {id}")),
            "{self:?}"
        );
    }
}

/// The mode of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Declares each of these tests, `fn name(place: &Place)`, for SQLite and for PostgreSQL.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[test]
                fn $name() {
                    let kind = crate::support::database::Kind::Sqlite;
                    super::$name(&super::Place::new(kind).unwrap());
                }
            )+
        }
        mod postgres {
            $(
                #[test]
                fn $name() {
                    let kind = crate::support::database::Kind::Postgres;
                    if let Some(place) = super::Place::new(kind) {
                        super::$name(&place);
                    }
                }
            )+
        }
    };
}
pub(crate) use on_both;
