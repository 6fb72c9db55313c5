//! The arguments that all lists have.

use clap::{Args, ValueEnum};

use super::request::{Plan, Request, View};
use super::values::Pair;

/// In which order a list comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

impl Order {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }
}

/// Which page of a list.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// Where to go on: the cursor of the page before.
    #[arg(long)]
    cursor: Option<String>,
    /// How many items, 1 to 100.
    #[arg(long, value_name = "N")]
    take: Option<u32>,
    /// Oldest or newest first.
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// Follow the cursor to the last page.
    #[arg(long)]
    all: bool,
}

impl PageArgs {
    /// The list at `path`, filtered, with these columns.
    pub(super) fn plan(
        &self,
        path: impl Into<String>,
        filter: Filter,
        columns: &'static [&'static str],
    ) -> Plan {
        let mut query = Filter::default();
        query.put("cursor", self.cursor.as_deref());
        query.put("order", self.order.map(Order::as_str));
        let take = self.take.map(|take| take.to_string());
        query.put("take", take.as_deref());
        query.0.extend(filter.0);
        Plan {
            request: Request::get(path).with_query(query.0),
            view: View::Rows(columns),
            all_pages: self.all,
        }
    }
}

/// Names and values of a query.
#[derive(Debug, Default)]
pub struct Filter(Vec<(String, String)>);

impl Filter {
    /// Adds a condition, if there is one.
    pub(super) fn put(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Adds conditions on members of `meta`.
    pub(super) fn put_meta(&mut self, pairs: &[Pair]) {
        for Pair { name, value } in pairs {
            self.0.push((format!("meta.{name}"), value.clone()));
        }
    }
}
