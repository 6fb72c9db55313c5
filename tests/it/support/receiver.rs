//! Somebody who receives webhooks, well or badly, on a free port of this machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hallpass::domain::time::Timestamp;
use hallpass::token::{WebhookError, WebhookHeaders, verify_webhook};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// What it does with what comes.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Answers with this status.
    Answer(u16),
    /// Sends on to somewhere else.
    Redirect(String),
    /// Takes it and says nothing.
    Hang,
    /// Answers 200 with ten mebibytes.
    Flood,
    /// Takes it and goes away.
    Close,
}

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// What happened.
    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    pub(crate) fn verify(&self, secret: &str, now_ms: i64) -> Result<(), WebhookError> {
        let headers = WebhookHeaders {
            id: &self.headers["webhook-id"],
            timestamp: &self.headers["webhook-timestamp"],
            signature: &self.headers["webhook-signature"],
        };
        let now = Timestamp::from_millis(now_ms);
        verify_webhook(secret, headers, &self.body, now, 300)
    }
}

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    behaviour: Arc<Mutex<Behaviour>>,
    got: Arc<Mutex<Vec<Got>>>,
    task: AbortHandle,
}

impl Receiver {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let behaviour = Arc::new(Mutex::new(Behaviour::Answer(200)));
        let got = Arc::new(Mutex::new(Vec::new()));
        let (acts, keeps) = (Arc::clone(&behaviour), Arc::clone(&got));
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (acts, keeps) = (Arc::clone(&acts), Arc::clone(&keeps));
                tokio::spawn(async move { serve(stream, &acts, &keeps).await });
            }
        });
        Self {
            url,
            behaviour,
            got,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// What came since the last call.
    pub(crate) fn take(&self) -> Vec<Got> {
        std::mem::take(&mut self.got.lock().unwrap())
    }

    /// What happened, of what came since the last call.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.take().iter().map(Got::kind).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, acts: &Mutex<Behaviour>, keeps: &Mutex<Vec<Got>>) {
    let Some(got) = read(&mut stream).await else {
        return;
    };
    keeps.lock().unwrap().push(got);
    let behaviour = acts.lock().unwrap().clone();
    let head = |status: u16, more: &str| {
        format!("HTTP/1.1 {status} X\r\n{more}connection: close\r\n\r\n").into_bytes()
    };
    let answer = match behaviour {
        Behaviour::Answer(status) => head(status, "content-length: 0\r\n"),
        Behaviour::Redirect(to) => head(307, &format!("location: {to}\r\ncontent-length: 0\r\n")),
        Behaviour::Flood => {
            let mut answer = head(200, "content-length: 10485760\r\n");
            answer.resize(answer.len() + 10_485_760, b'x');
            answer
        }
        Behaviour::Close => return,
        Behaviour::Hang => return std::future::pending().await,
    };
    // Who does not read a flood to its end closes before it is over.
    let _unread = stream.write_all(&answer).await;
}

async fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let len = stream.read(&mut chunk).await.ok().filter(|len| *len > 0)?;
        bytes.extend_from_slice(&chunk[..len]);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let headers: BTreeMap<String, String> = head
        .lines()
        .skip(1)
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let len: usize = headers["content-length"].parse().unwrap();
    while bytes.len() < end + 4 + len {
        let read = stream.read(&mut chunk).await.ok().filter(|len| *len > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
    }
    let body = bytes[end + 4..].to_vec();
    Some(Got { headers, body })
}
