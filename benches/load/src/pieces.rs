//! What no design can save: a bare signature and a bare verification.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::sign::Signer;

const LASTS: Duration = Duration::from_millis(400);

/// Prints nanoseconds for each algorithm, over a message as long as a token's.
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
        let sign = nanos(|| signer.sign(black_box(&message)).is_ok());
        let verify = nanos(|| verifies(black_box(&message), black_box(&signature)));
        line.push(format!(
            "sign_{algorithm}={sign} verify_{algorithm}={verify}"
        ));
    }
    println!("{}", line.join(" "));
    Ok(())
}

fn nanos(act: impl Fn() -> bool) -> u128 {
    let begin = Instant::now();
    let mut count = 0_u128;
    while begin.elapsed() < LASTS {
        black_box(act());
        count += 1;
    }
    begin.elapsed().as_nanos() / count.max(1)
}
