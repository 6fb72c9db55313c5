//! What no design can save: a bare signature and a bare verification.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::sign::Signer;

const LASTS: Duration = Duration::from_millis(400);

/// Prints nanoseconds of CPU time for each algorithm, over a message as long as a token's.
pub(crate) fn print() -> Result<()> {
    let message = [b'x'; 600];
    let mut line = Vec::new();
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let signer = Signer::generate(algorithm)?;
        let verifies = signer.verifier()?;
        let signature = signer.sign(&message)?;
        ensure!(
            verifies(&message, &signature),
            "a signature that is not right"
        );
        let sign = nanos(|| signer.sign(black_box(&message)).is_ok())?;
        let verify = nanos(|| verifies(black_box(&message), black_box(&signature)))?;
        line.push(format!(
            "sign_{algorithm}={sign} verify_{algorithm}={verify}"
        ));
    }
    println!("{}", line.join(" "));
    Ok(())
}

/// CPU time and not the clock's, as it is set against the CPU time of servers.
fn nanos(act: impl Fn() -> bool) -> Result<u64> {
    let (begin, spent) = (Instant::now(), cpu_nanos()?);
    let mut count = 0_u64;
    while begin.elapsed() < LASTS {
        black_box(act());
        count += 1;
    }
    Ok((cpu_nanos()? - spent) / count.max(1))
}

/// What this thread has used so far; the kernel keeps it in nanoseconds.
fn cpu_nanos() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next();
    Ok(first.context("an empty schedstat")?.parse()?)
}
