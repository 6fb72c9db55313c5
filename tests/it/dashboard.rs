//! The dashboard over HTTP: who is signed in, that forms are ours, and that each request is judged
//! as the key that signed in, at that moment. What a browser sees is in `tests/browser`.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

mod acting;
mod browser;
mod forms;
mod pages;
mod signing_in;
mod webhooks;
