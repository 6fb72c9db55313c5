//! The whole program: the built binary, its files, its streams, its signals.

mod commands;
mod crash;
mod first_start;
mod limits;
mod observed;
mod outward;
mod process;
mod refusals;
mod restore;
mod revocation;
mod rules;
mod stopping;
