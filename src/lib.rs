//! hallpass turns long-lived API keys into short-lived signed JWT sessions, and lets a parent
//! account act as its children.
//!
//! `docs/ARCHITECTURE.md` is the map. `cli`, `http` → `app` → `store`, `token` → `domain`;
//! `verifier` → `token` → `domain`. Nothing points back.

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod cli;
pub mod clock;
#[cfg(feature = "server")]
pub mod doctor;
pub mod domain;
pub mod entropy;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod logging;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "server")]
pub mod settings;
#[cfg(feature = "server")]
pub mod store;
pub mod token;
#[cfg(feature = "verifier")]
pub mod verifier;

#[cfg(feature = "verifier")]
pub use token::webhook::{WEBHOOK_TOLERANCE_SECS, WebhookError, WebhookHeaders, verify_webhook};
