//! The `hallpass` program.

use std::process::ExitCode;

use hallpass::cli;
use hallpass::clock::SystemClock;
use hallpass::service::SERVICE;

/// Chosen by measurement (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main(SERVICE, &SystemClock::new()).await
}
