//! The `hallpass` program.

use std::process::ExitCode;

use hallpass::cli;
use hallpass::clock::SystemClock;
use hallpass::service::SERVICE;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main(SERVICE, &SystemClock::new()).await
}
