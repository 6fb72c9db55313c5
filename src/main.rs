//! The `hallpass` program.

use std::process::ExitCode;

use hallpass::cli::{self, Service};
use hallpass::clock::SystemClock;

/// The service is not part of this build: what needs it says so.
#[derive(Debug, thiserror::Error)]
#[error("this build of hallpass has no service; give --url to work against a server")]
struct NoService;

#[tokio::main]
async fn main() -> ExitCode {
    let service = Service {
        serve: |_, _| Box::pin(async { Err(NoService.into()) }),
        init: |_, _| Box::pin(async { Err(NoService.into()) }),
        open: |_| Box::pin(async { Err(NoService.into()) }),
        rewrap: |_, _| Box::pin(async { Err(NoService.into()) }),
    };
    cli::main(service, &SystemClock::new()).await
}
