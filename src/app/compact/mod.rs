//! What very many small things are kept in: flat tables without an allocation for each of them, and
//! pools of what many of them have in common.

mod pool;
mod table;

pub(crate) use pool::Pool;
pub(crate) use table::{Named, Table};
