//! Where chance comes from. Only this file asks the machine for random bytes.

use std::cell::RefCell;
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

    /// Fills `bytes` with random bytes that may have been fetched a while ago, many at a time. For
    /// names that are told to everybody and written nowhere as a key, such as that of a request;
    /// never for secrets, and never for what must differ in two copies of a machine.
    ///
    /// # Errors
    /// [`NoEntropy`].
    fn fill_from_stock(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.fill(bytes)
    }
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

    fn fill_from_stock(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        STOCK.with_borrow_mut(|stock| {
            if stock.left() < bytes.len() {
                // Nothing of it is given out if it cannot be filled.
                stock.taken = STOCK_BYTES;
                self.fill(&mut stock.bytes)?;
                stock.taken = 0;
            }
            match stock.take(bytes.len()) {
                Some(taken) => {
                    bytes.copy_from_slice(taken);
                    Ok(())
                }
                None => self.fill(bytes),
            }
        })
    }
}

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; STOCK_BYTES], taken: STOCK_BYTES }) };
}

/// As many as a hundred names need. To ask the generator costs the same for one name.
const STOCK_BYTES: usize = 1_000;

/// Random bytes of one thread. Each is given out once.
struct Stock {
    bytes: [u8; STOCK_BYTES],
    taken: usize,
}

impl Stock {
    fn left(&self) -> usize {
        STOCK_BYTES - self.taken
    }

    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let from = self.taken;
        let taken = self.bytes.get(from..from.checked_add(len)?)?;
        self.taken = from + len;
        Some(taken)
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_stock_gives_each_byte_once_and_what_is_too_long_for_it_as_well() {
        let entropy = SystemEntropy::new();
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let mut name = [0; 10];
            entropy.fill_from_stock(&mut name).unwrap();
            assert!(seen.insert(name));
        }

        let mut long = [0; 2 * STOCK_BYTES];
        entropy.fill_from_stock(&mut long).unwrap();
        let (one, other) = long.split_at(STOCK_BYTES);
        assert_ne!(one, other);
        assert_ne!(one, [0; STOCK_BYTES]);
    }
}
