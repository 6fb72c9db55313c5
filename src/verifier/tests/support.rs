//! An issuer that answers as a test tells it to, and counts who asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::ManualClock;
use crate::domain::feed::{Cursor, Entries};
use crate::domain::liveness::{LogId, Position, Rev, Tag};
use crate::domain::time::Timestamp;
use crate::entropy::SeededEntropy;
use crate::token::jws::sign_compact;
use crate::token::revocations::{ENTRIES_MAX, Revocations, sign_revocations};
use crate::token::verify::SESSION_TYP;
use crate::token::{Algorithm, Jwks, PrivateKey};
use crate::verifier::{Verifier, VerifierBuilder};

pub(in crate::verifier) const NOW: Timestamp = Timestamp::from_secs(1_900_000_000);
pub(in crate::verifier) const AUDIENCE: &str = "https://api.example.com";
pub(in crate::verifier) const LOG: LogId = LogId::from_i64(0);
pub(in crate::verifier) const JWKS_PATH: &str = "/.well-known/jwks.json";
pub(in crate::verifier) const FEED_PATH: &str = "/v1/revocations";
pub(in crate::verifier) const VERIFY_PATH: &str = "/v1/session/verify";

/// What a path answers: from the query to a whole HTTP answer.
type Handler = Box<dyn FnMut(&BTreeMap<String, String>) -> Vec<u8> + Send>;

#[derive(Clone)]
pub(in crate::verifier) struct Issuer {
    pub(in crate::verifier) url: String,
    pub(in crate::verifier) clock: Arc<ManualClock>,
    handlers: Arc<Mutex<BTreeMap<String, Handler>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    pub(in crate::verifier) async fn start(keys: &[&PrivateKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            clock: Arc::new(ManualClock::at(NOW)),
            handlers: Arc::default(),
            asked: Arc::default(),
        };
        issuer.publish(keys);
        let serving = issuer.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(socket));
            }
        });
        issuer
    }

    async fn serve(self, mut socket: TcpStream) {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            match socket.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(length) => head.extend_from_slice(&buffer[..length]),
            }
        }
        let head = String::from_utf8_lossy(&head);
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if path == JWKS_PATH {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        let answer = match self.handlers.lock().unwrap().get_mut(path) {
            Some(handler) => handler(&query),
            None => http("404 Not Found", b""),
        };
        // A client that has read enough may have gone away.
        drop(socket.write_all(&answer).await);
        drop(socket.shutdown().await);
    }

    pub(in crate::verifier) fn on(
        &self,
        path: &str,
        handler: impl FnMut(&BTreeMap<String, String>) -> Vec<u8> + Send + 'static,
    ) {
        let handler: Handler = Box::new(handler);
        self.handlers
            .lock()
            .unwrap()
            .insert(path.to_owned(), handler);
    }

    pub(in crate::verifier) fn publish(&self, keys: &[&PrivateKey]) {
        let jwks = Jwks::new(keys.iter().map(|key| key.public().jwk()));
        self.answer(JWKS_PATH, "200 OK", &jwks.render().unwrap().body);
    }

    pub(in crate::verifier) fn answer(&self, path: &str, status: &str, body: &[u8]) {
        let answer = http(status, body);
        self.on(path, move |_| answer.clone());
    }

    /// How often the keys were asked for.
    pub(in crate::verifier) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(in crate::verifier) fn builder(&self) -> VerifierBuilder {
        let clock = Arc::<ManualClock>::clone(&self.clock);
        Verifier::builder(&self.url)
            .audience(AUDIENCE)
            .clock(clock)
            .entropy(Arc::new(SeededEntropy::new(1)))
    }

    /// A verifier that judges signatures and claims alone.
    pub(in crate::verifier) fn verifier(&self) -> Verifier {
        self.builder()
            .dangerously_without_revocation()
            .assemble()
            .unwrap()
    }

    pub(in crate::verifier) fn token(&self, key: &PrivateKey, changes: &[(&str, Value)]) -> String {
        let mut claims = json!({
            "iss": self.url,
            "sub": "usr_01hzy0000000000000000000aa",
            "aud": AUDIENCE,
            "iat": NOW.secs_floor(),
            "nbf": NOW.secs_floor(),
            "exp": NOW.secs_floor() + 86_400,
            "jti": "ses_01hzy0000000000000000000aa",
            "client_id": "key_01hzy0000000000000000000aa",
            "allowedRoutes": ["GET bot/**", "conversation/*"],
            "lin": tag(1).encode(),
            "rev": rev(10).encode(),
        });
        for (name, value) in changes {
            claims[name] = value.clone();
        }
        sign_compact(SESSION_TYP, claims.to_string().as_bytes(), key).unwrap()
    }
}

pub(in crate::verifier) fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\nlocation: /elsewhere\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

pub(in crate::verifier) fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).unwrap()
}

pub(in crate::verifier) fn tag(number: i64) -> Tag {
    Tag::from_i64(number)
}

pub(in crate::verifier) fn rev(position: i64) -> Rev {
    Rev {
        log: LOG,
        position: Position::new(position),
    }
}

/// A log that a test writes.
#[derive(Clone)]
pub(in crate::verifier) struct Log {
    pub(in crate::verifier) issuer: String,
    pub(in crate::verifier) id: LogId,
    pub(in crate::verifier) position: i64,
    pub(in crate::verifier) floor: i64,
    pub(in crate::verifier) entries: Vec<(i64, i64)>,
    pub(in crate::verifier) revoked: Vec<String>,
    pub(in crate::verifier) page_len: usize,
}

impl Log {
    pub(in crate::verifier) fn of(issuer: &Issuer) -> Self {
        Self {
            issuer: issuer.url.clone(),
            id: LOG,
            position: 10,
            floor: 0,
            entries: Vec::new(),
            revoked: Vec::new(),
            page_len: ENTRIES_MAX,
        }
    }

    pub(in crate::verifier) fn end(&mut self, tag: i64, position: i64) {
        self.position = position;
        self.entries.push((position, tag));
    }

    /// What it says to a question.
    pub(in crate::verifier) fn document(
        &self,
        since: Option<Cursor>,
        nonce: Option<&str>,
    ) -> Revocations {
        let mut entries = Entries::default();
        let list: Vec<_> = self
            .entries
            .iter()
            .map(|(at, number)| (tag(*number), Position::new(*at)))
            .collect();
        entries.append(Position::new(0), Position::new(self.position), &list);
        let known = Rev {
            log: self.id,
            position: Position::new(self.position),
        };
        Revocations {
            issuer: self.issuer.clone(),
            page: entries.page(since, known, Position::new(self.floor), self.page_len),
            revoked_keys: self.revoked.clone(),
            nonce: nonce.map(str::to_owned),
        }
    }

    pub(in crate::verifier) fn document_for(
        &self,
        query: &BTreeMap<String, String>,
    ) -> Revocations {
        let since = query.get("since").map(|text| Cursor::decode(text).unwrap());
        self.document(since, query.get("nonce").map(String::as_str))
    }
}

pub(in crate::verifier) fn answer(document: &Revocations, key: &PrivateKey) -> Vec<u8> {
    let signed = sign_revocations(&document.to_json().unwrap(), key).unwrap();
    http(
        "200 OK",
        json!({ "document": signed }).to_string().as_bytes(),
    )
}
