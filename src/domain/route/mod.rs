//! The route language (`docs/routes.md`): what a credential may call, and what it may hand on.
//!
//! - [`RoutePattern`] is one scope glob, [`RouteSet`] a bounded set of them.
//! - [`RequestPath`] is a path that was parsed and found unambiguous. Nothing else is matched.
//! - [`covers`] proves that one set lies within another, or gives a counter-example.
//! - [`RouteTemplate`] is a pattern with named gaps, for profiles and for key templates.

mod automaton;
mod cover;
mod intersection;
pub mod limits;
mod matcher;
mod method;
mod mount;
mod path;
mod pattern;
mod set;
mod syntax;
mod template;

pub use cover::{NotCovered, covers};
pub use intersection::Intersected;
pub use method::{Method, MethodSet, Methods};
pub use mount::{Mount, MountError};
pub use path::{PathError, RequestPath, TrailingSlash};
pub use pattern::RoutePattern;
pub use set::{RouteSet, RouteSetError};
pub use syntax::RoutePatternError;
pub use template::{FillError, PlaceholderValue, PlaceholderValueError, RouteTemplate};
