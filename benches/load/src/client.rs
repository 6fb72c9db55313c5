//! Clients that `wrk` cannot be: at a fixed rate, each request once, and one that keeps the answers.

use std::fs;
use std::io::{BufWriter, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Reads a file of requests: each is its length, a line feed, and its bytes.
pub(crate) fn read_requests(file: &str) -> Result<Vec<Vec<u8>>> {
    let bytes = fs::read(file).with_context(|| file.to_owned())?;
    let mut rest = bytes.as_slice();
    let mut requests = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (length, behind) = rest.split_at(end.context("a length without its end")?);
        let length: usize = std::str::from_utf8(length)?.parse()?;
        let behind = &behind[1..];
        ensure!(behind.len() >= length, "the file ends within a request");
        let (request, behind) = behind.split_at(length);
        requests.push(request.to_vec());
        rest = behind;
    }
    ensure!(!requests.is_empty(), "there are no requests in {file}");
    Ok(requests)
}

/// A connection that is kept alive, with one request at a time.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(to: &str) -> Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(8192),
        })
    }

    /// Status and body of the answer. The server must give its length.
    fn call(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.buffer.clear();
        self.stream.write_all(request)?;
        let mut head = None;
        loop {
            if head.is_none() {
                head = self.head()?;
            }
            if let Some((status, start, end)) = head
                && self.buffer.len() >= end
            {
                return Ok((status, &self.buffer[start..end]));
            }
            let mut chunk = [0; 8192];
            let count = self.stream.read(&mut chunk)?;
            ensure!(count > 0, "the server closed the connection");
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    /// Status, and where the body starts and ends, once the head is there.
    fn head(&self) -> Result<Option<(u16, usize, usize)>> {
        let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&self.buffer[..end])?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>())
        });
        let length = length.context("an answer without its length")??;
        Ok(Some((status, end + 4, end + 4 + length)))
    }
}

/// A load that does not wait for the server: request n is due at its time, and its latency counts
/// from then, whether or not a connection was free.
pub(crate) struct Paced<'a> {
    pub(crate) to: &'a str,
    pub(crate) requests: &'a [Vec<u8>],
    pub(crate) per_second: f64,
    pub(crate) seconds: f64,
    pub(crate) connections: usize,
    pub(crate) samples: Option<&'a str>,
}

/// When a request was due, and how long after that its answer was there, in microseconds.
struct Sample {
    due: u128,
    took: u128,
    failed: bool,
}

pub(crate) fn paced(load: &Paced<'_>) -> Result<()> {
    ensure!(load.per_second > 0.0 && load.connections > 0, "no load");
    let between = Duration::from_secs_f64(1.0 / load.per_second);
    let lasts = Duration::from_secs_f64(load.seconds);
    // The threads have this long to start.
    let begin = Instant::now() + Duration::from_millis(200);
    let begin_unix = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_millis(200);
    let mut samples = thread::scope(|scope| {
        let clients: Vec<_> = (0..load.connections)
            .map(|place| scope.spawn(move || one_paced(load, place, begin, between, lasts)))
            .collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    let failed = samples.iter().filter(|sample| sample.failed).count();
    if let Some(file) = load.samples {
        let mut out = BufWriter::new(fs::File::create(file)?);
        writeln!(out, "{}", begin_unix.as_micros())?;
        for sample in &samples {
            writeln!(out, "{} {}", sample.due, sample.took)?;
        }
        out.flush()?;
    }
    samples.sort_unstable_by_key(|sample| sample.took);
    let at = |per_mille: usize| {
        let index = (samples.len() * per_mille / 1000).min(samples.len().saturating_sub(1));
        samples.get(index).map_or(0, |sample| sample.took)
    };
    println!(
        "requests={} failed={failed} p50_us={} p90_us={} p99_us={} p999_us={} max_us={}",
        samples.len(),
        at(500),
        at(900),
        at(990),
        at(999),
        at(1000),
    );
    Ok(())
}

fn one_paced(
    load: &Paced<'_>,
    place: usize,
    begin: Instant,
    between: Duration,
    lasts: Duration,
) -> Result<Vec<Sample>> {
    let mut connection = Connection::open(load.to)?;
    let mut samples = Vec::new();
    let mut number = place;
    loop {
        let due = between.mul_f64(number as f64);
        if due >= lasts {
            return Ok(samples);
        }
        let wait = (begin + due).saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        let request = &load.requests[number % load.requests.len()];
        let (status, _) = connection.call(request)?;
        samples.push(Sample {
            due: due.as_micros(),
            took: (begin + due).elapsed().as_micros(),
            failed: !(200..300).contains(&status),
        });
        number += load.connections;
    }
}

/// Sends each request once, as fast as the server takes them.
pub(crate) fn once(to: &str, requests: &[Vec<u8>], connections: usize) -> Result<()> {
    let begin = Instant::now();
    let failed = each(to, connections, requests.len(), |number, connection| {
        let (status, _) = connection.call(&requests[number])?;
        Ok((200..300).contains(&status).then_some(()))
    })?
    .into_iter()
    .filter(Option::is_none)
    .count();
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "requests={} failed={failed} seconds={seconds:.3}",
        requests.len()
    );
    Ok(())
}

/// Mints tokens, and writes them to a file, one a line.
pub(crate) fn tokens(
    to: &str,
    requests: &[Vec<u8>],
    count: usize,
    connections: usize,
    out: &str,
) -> Result<()> {
    let begin = Instant::now();
    let tokens = each(to, connections, count, |number, connection| {
        let (status, body) = connection.call(&requests[number % requests.len()])?;
        if !(200..300).contains(&status) {
            bail!("{status}: {}", String::from_utf8_lossy(body));
        }
        let answer: serde_json::Value = serde_json::from_slice(body)?;
        let token = answer.get("token").and_then(|token| token.as_str());
        Ok(token.context("an answer without token")?.to_owned())
    })?;
    let mut file = BufWriter::new(fs::File::create(out)?);
    for token in &tokens {
        writeln!(file, "{token}")?;
    }
    file.flush()?;
    let seconds = begin.elapsed().as_secs_f64();
    println!("requests={} failed=0 seconds={seconds:.3}", tokens.len());
    Ok(())
}

/// Does something for each number below `count`, on so many connections.
fn each<T: Send>(
    to: &str,
    connections: usize,
    count: usize,
    act: impl Fn(usize, &mut Connection) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(to)?;
                    let mut done = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return anyhow::Ok(done);
                        }
                        done.push(act(number, &mut connection)?);
                    }
                })
            })
            .collect();
        let mut all = Vec::with_capacity(count);
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        Ok(all)
    })
}
