//! A search as data.

use super::{Attribute, Kind, QueryId, TraceField, select::Phase};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    Attribute(&'static Attribute),
    Metric(String),
    Param(String),
    Tag(String),
    Dataset(DatasetField),
    Trace(TraceField),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetField {
    Name,
    Digest,
    /// The tag `mlflow.data.context` of the use.
    Context,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Like,
    Ilike,
    /// A regular expression matches some of it.
    Rlike,
    In,
    NotIn,
    IsNull,
    IsNotNull,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// Of `IS NULL` and `IS NOT NULL`.
    Nothing,
    Text(String),
    Int(i64),
    Float(f64),
    Texts(Vec<String>),
    Ints(Vec<i64>),
}

impl Operand {
    /// Values of a list.
    pub fn listed(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Ints(numbers) => numbers.len(),
            Self::Nothing | Self::Text(_) | Self::Int(_) | Self::Float(_) => 0,
        }
    }
}

/// One comparison. All of a query's conditions must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub field: Field,
    pub op: Op,
    pub operand: Operand,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub field: Field,
    pub ascending: bool,
    /// Of metrics that are measured on datasets: which one counts.
    pub dataset: Option<DatasetScope>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetScope {
    /// One of both is given at least; MLflow takes a digest alone to order by.
    pub name: Option<String>,
    pub digest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    pub conditions: Vec<Condition>,
    pub orders: Vec<Order>,
    /// Experiments to search; without effect where the entity has no scope.
    pub experiment_ids: Vec<i64>,
    /// Metrics count only when measured on one of these; empty: all count.
    pub datasets: Vec<DatasetScope>,
    /// Binds page tokens to the request as it was sent.
    pub id: QueryId,
}

/// Where a page ends: the sort key of its last row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Of the first order: rows that have a value come first, then NaN, then those that lack it.
    pub phase: u8,
    /// One key per order, the natural ones included.
    pub keys: Vec<Key>,
}

impl Position {
    /// Whether a page under these orders may end here.
    pub(super) fn fits(&self, orders: &[Order]) -> bool {
        let phases = orders.first().map_or(0, |first| Phase::of(first).len());
        let keys = self.keys.iter().zip(orders).all(|(key, order)| key.fits(order));
        usize::from(self.phase) < phases && self.keys.len() == orders.len() && keys
    }
}

/// A row's value under one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Key {
    #[serde(rename = "t")]
    Text(String),
    #[serde(rename = "i")]
    Int(i64),
    /// Bits of a double, which must come back exactly.
    #[serde(rename = "f")]
    Float(u64),
    #[serde(rename = "n")]
    Nan,
    #[serde(rename = "m")]
    Missing,
}

impl Key {
    pub fn float(value: f64) -> Self {
        if value.is_nan() { Self::Nan } else { Self::Float(value.to_bits()) }
    }
}

impl Key {
    fn fits(&self, order: &Order) -> bool {
        match (self, &order.field) {
            // PostgreSQL keeps no NUL in text.
            (Self::Text(text), Field::Attribute(a)) => a.kind == Kind::Text && !text.contains('\0'),
            (Self::Text(text), Field::Param(_) | Field::Tag(_)) => !text.contains('\0'),
            (Self::Int(_), Field::Attribute(a)) => a.kind != Kind::Text,
            (Self::Missing, Field::Attribute(a)) => a.nullable,
            (Self::Float(_) | Self::Nan, Field::Metric(_))
            | (Self::Missing, Field::Metric(_) | Field::Param(_) | Field::Tag(_)) => true,
            _ => false,
        }
    }
}

/// A row that knows its own sort keys.
pub trait Sorted {
    fn key(&self, order: &Order) -> Key;
}
