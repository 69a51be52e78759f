//! MLflow's filter and order_by text (mlflow/utils/search_utils.py), parsed into
//! [`crate::search::Condition`]s and [`crate::search::Order`]s. One grammar for every kind of
//! object; what can be asked of it is told by its [`Entity`].
//!
//! To search a new kind of object:
//! 1. In its capability, describe it as a `static` [`Entity`] and read pages with
//!    [`crate::search::page`]; `runs/store/search.rs` is an example.
//! 2. In its route, make a [`Grammar`] of the entity and MLflow's limits for it, then
//!    [`Grammar::filter`] and [`Grammar::orders`], put both into a [`crate::search::Query`], and
//!    bind page tokens with [`crate::search::QueryId`]; `mlflow/routes/search.rs` has the steps.
//!
//! ```text
//! filter     = [ comparison { AND comparison } ]      stray ANDs are skipped
//! comparison = identifier ( operator value | [NOT] IN list | IS [NOT] NULL )
//! operator   = "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=" | LIKE | ILIKE | RLIKE
//! identifier = word | quoted | entity "." key        e.g. metrics.loss, tags."my tag", `run name`
//! value      = number | 'text' | "text" | word       a word where quotes are not asked for
//! list       = "(" value { "," value } ")"           () is read, and refused where it is resolved
//! order      = identifier [ ASC | DESC ]
//! ```
//! Errors say at which column the text stops making sense, counted from 1 in characters.

mod grammar;
#[cfg(test)]
mod plans;
mod resolve;
#[cfg(test)]
mod tests;
mod traces;

use super::MlflowError;
use crate::search::{Condition, Entity, Field, Order};

/// Longest filter or order that is read; MLflow has no limit.
const TEXT_MAX_CHARS: usize = 100_000;
const CONDITIONS_MAX: usize = 200;
/// Values in all lists of a filter, each of which a statement binds several times.
const LISTED_MAX: usize = 1000;
const ORDERS_MAX: usize = 20;

/// How one kind of object is searched.
#[derive(Debug, Clone, Copy)]
pub struct Grammar {
    pub entity: &'static Entity,
    /// How MLflow's message begins that says what is no filter.
    pub complaint: &'static str,
    /// What may stand before the dot, as MLflow's message says it.
    pub entity_types: &'static str,
    /// Whether tags and params take `IN`, and text needs no quotes, which MLflow offers for logged models
    /// only.
    pub lists_everywhere: bool,
    /// Whether tags and params take `IS NULL`.
    pub null_checks: bool,
    /// The keys of `order_by` as MLflow's message says them, where it has one message for all that is not
    /// among them.
    pub order_keys: Option<&'static str>,
}

pub const INVALID_CLAUSES: &str = "Invalid clause(s) in filter string";

impl Grammar {
    /// Conditions of a filter; none of an empty one.
    pub fn filter(&self, text: Option<&str>) -> Result<Vec<Condition>, MlflowError> {
        let text = text.unwrap_or_default();
        check_length("filter", text)?;
        let comparisons = grammar::filter(text, self.complaint).map_err(|e| e.in_text("filter", text))?;
        if comparisons.len() > CONDITIONS_MAX {
            return Err(MlflowError::invalid(format!(
                "A filter can have at most {CONDITIONS_MAX} conditions."
            )));
        }
        let conditions: Vec<Condition> = comparisons
            .into_iter()
            .map(|c| resolve::condition(self, c).map_err(|e| e.in_text("filter", text)))
            .collect::<Result<_, _>>()?;
        let listed: usize = conditions.iter().map(|condition| condition.operand.listed()).sum();
        if listed > LISTED_MAX {
            return Err(MlflowError::invalid(format!(
                "The lists of a filter can have at most {LISTED_MAX} values. Got {listed}."
            )));
        }
        Ok(conditions)
    }

    /// Orders of a list of order_by clauses. The same field twice is refused.
    pub fn orders(&self, clauses: &[String]) -> Result<Vec<Order>, MlflowError> {
        if clauses.len() > ORDERS_MAX {
            return Err(MlflowError::invalid(format!("`order_by` can have at most {ORDERS_MAX} clauses.")));
        }
        let mut orders: Vec<Order> = Vec::new();
        for clause in clauses {
            check_length("order_by", clause)?;
            let parsed = grammar::order(clause).map_err(|e| e.in_text("order_by", clause))?;
            let order = resolve::order(self, &parsed).map_err(|e| e.in_text("order_by", clause))?;
            if orders.iter().any(|earlier| earlier.field == order.field) {
                return Err(MlflowError::invalid(format!(
                    "`order_by` contains duplicate fields: {clauses:?}"
                )));
            }
            orders.push(order);
        }
        Ok(orders)
    }

    /// The field that an identifier alone means, to order by it.
    pub fn order_field(&self, text: &str) -> Result<Field, MlflowError> {
        check_length("order_by", text)?;
        let parsed = grammar::identifier_alone(text).map_err(|e| e.in_text("order_by", text))?;
        resolve::order_field(self, &parsed).map_err(|e| e.in_text("order_by", text))
    }
}

/// The only comparison of a filter that asks for one value: entity, key and value.
pub fn equality(text: &str) -> Result<(String, String, String), MlflowError> {
    check_length("filter", text)?;
    let refuse = |problem: Problem| problem.in_text("filter", text);
    let mut comparisons = grammar::filter(text, INVALID_CLAUSES).map_err(refuse)?;
    let (Some(only), true) = (comparisons.pop(), comparisons.is_empty()) else {
        let complaint = format!("Invalid filter: '{}'. Expected one filter clause", short(text));
        return Err(refuse(Problem::new(0, complaint)));
    };
    if only.op != crate::search::Op::Eq {
        return Err(refuse(Problem::new(only.op_at, "Invalid comparator, only '=' operator is supported")));
    }
    match (only.identifier.entity, only.value) {
        (Some(entity), grammar::Value::Text(value)) => Ok((entity, only.identifier.key, value)),
        (Some(_), _) => Err(refuse(Problem::new(only.value_at, "Expected a quoted string value"))),
        (None, _) => Err(refuse(Problem::new(only.identifier.span.start, "Invalid identifier"))),
    }
}

fn check_length(what: &str, text: &str) -> Result<(), MlflowError> {
    if text.len() > TEXT_MAX_CHARS && text.chars().count() > TEXT_MAX_CHARS {
        return Err(MlflowError::invalid(format!(
            "'{what}' exceeds the maximum length of {TEXT_MAX_CHARS} characters"
        )));
    }
    Ok(())
}

/// As much of a caller's text as an error repeats.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    text: String,
    /// Byte offset.
    at: usize,
}

impl Problem {
    fn new(at: usize, text: impl Into<String>) -> Self {
        Self { text: text.into(), at }
    }

    fn in_text(self, what: &str, text: &str) -> MlflowError {
        let at = (0..=self.at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        let column = text[..at].chars().count() + 1;
        let separator = if self.text.ends_with('.') { "" } else { "." };
        MlflowError::invalid(format!("{}{separator} (column {column} of {what})", self.text))
    }
}
