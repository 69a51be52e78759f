//! Searching, for every kind of object alike.
//!
//! A capability describes what can be searched of its objects as an [`Entity`]: attributes, and
//! the tables that hold metrics, params and tags. Conditions and orders are data
//! ([`Condition`], [`Order`]), which a grammar makes from text; [`page`] compiles them to bound
//! SQL and reads one page. Pages continue after a sort key, so that rows added meanwhile shift
//! nothing.

mod compile;
mod driver;
mod entity;
mod lacking;
mod marks;
mod order;
mod page;
mod query;
mod scan;
mod select;
mod tallies;
#[cfg(test)]
mod tests;
mod ties;
mod token;
mod traces;

pub use compile::{Owner, conditions, measured_on, scope};
pub use entity::{Attribute, Child, Entity, Indexed, Kind};
pub use page::{Page, page, page_of_any};
pub use query::{
    Condition, DatasetField, DatasetScope, Field, Key, Op, Operand, Order, Position, Query, Sorted,
};
pub use select::Base;
pub use token::{PageTokenError, QueryId};
pub use traces::{SOURCE_RUN, TraceField};
