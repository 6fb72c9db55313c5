//! Where chance comes from. Only this file asks the machine for random bytes.

use std::fmt;
use std::sync::Mutex;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SecureRandom as _;

/// Random bytes, as an argument.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` with random bytes.
    ///
    /// # Errors
    /// [`NoEntropy`] when the machine has none to give; nothing may be made from `bytes` then.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The machine could not give random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoEntropy;

impl dyn Entropy {
    /// `N` random bytes.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoEntropy> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

/// The random number generator of the machine.
#[derive(Debug)]
pub struct SystemEntropy {
    random: aws_lc_rs::rand::SystemRandom,
}

impl SystemEntropy {
    /// The generator of the machine.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    pub fn new() -> Self {
        Self {
            random: aws_lc_rs::rand::SystemRandom::new(),
        }
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.random.fill(bytes).map_err(|_| NoEntropy)
    }
}

/// The same bytes for the same seed, for tests: SHA-256 over seed and counter.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: Mutex<u64>,
}

impl SeededEntropy {
    /// A generator that repeats itself for the same seed. Never for anything but tests.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            counter: Mutex::new(0),
        }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        let mut counter = self.counter.lock().map_err(|_| NoEntropy)?;
        for chunk in bytes.chunks_mut(digest::SHA256_OUTPUT_LEN) {
            *counter += 1;
            let mut context = digest::Context::new(&digest::SHA256);
            context.update(&self.seed.to_be_bytes());
            context.update(&counter.to_be_bytes());
            for (byte, random) in chunk.iter_mut().zip(context.finish().as_ref()) {
                *byte = *random;
            }
        }
        Ok(())
    }
}
