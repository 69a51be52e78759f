//! Token usage and cost: what spans say of themselves, added up over a trace.

use super::value::Value;
use std::collections::{BTreeMap, HashMap};

pub const INPUT: &str = "input_tokens";
pub const OUTPUT: &str = "output_tokens";
pub const TOTAL: &str = "total_tokens";
pub const CACHE_READ: &str = "cache_read_input_tokens";
pub const CACHE_CREATION: &str = "cache_creation_input_tokens";
const CACHE_CREATION_HOUR: &str = "cache_creation_input_tokens_above_1hr";

/// Always in a sum, then those that are in it when a span says them.
const TOKEN_KEYS: [&str; 3] = [INPUT, OUTPUT, TOTAL];
const CACHE_KEYS: [&str; 3] = [CACHE_READ, CACHE_CREATION, CACHE_CREATION_HOUR];
pub const COST_KEYS: [&str; 3] = ["input_cost", "output_cost", "total_cost"];

/// What a trace holds as numbers, to add up over many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: Option<i64>,
    pub output: Option<i64>,
    pub total: Option<i64>,
    pub cache_read: Option<i64>,
    pub cache_creation: Option<i64>,
}

impl Tokens {
    /// Of metadata `mlflow.trace.tokenUsage`.
    pub fn of(json: &str) -> Self {
        let value = Value::parse(json).unwrap_or(Value::Null);
        let number = |key| value.get(key).and_then(Value::as_i64);
        Self {
            input: number(INPUT),
            output: number(OUTPUT),
            total: number(TOTAL),
            cache_read: number(CACHE_READ),
            cache_creation: number(CACHE_CREATION),
        }
    }
}

/// One span in the tree; `data` is what it says, as JSON.
#[derive(Debug, Clone)]
pub struct Node {
    pub id: String,
    pub parent: Option<String>,
    pub data: Option<String>,
}

/// The usage of all spans as metadata has it. A span under one that says its usage is part of that.
pub fn tokens(nodes: &[Node]) -> Option<String> {
    let said = topmost(nodes);
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for value in &said {
        for key in TOKEN_KEYS.into_iter().chain(CACHE_KEYS) {
            if let Some(number) = value.get(key).and_then(Value::as_i64) {
                let sum = sums.entry(key).or_default();
                *sum = sum.saturating_add(number);
            }
        }
    }
    let optional = CACHE_KEYS.into_iter().filter(|key| sums.contains_key(key));
    let keys: Vec<&str> = TOKEN_KEYS.into_iter().chain(optional).collect();
    let number = |key: &str| Value::Int(sums.get(key).copied().unwrap_or_default());
    let entries = keys.into_iter().map(|key| (key.to_owned(), number(key))).collect();
    (!said.is_empty()).then(|| Value::Map(entries).to_json())
}

/// The cost of all spans as metadata has it.
pub fn cost(nodes: &[Node]) -> Option<String> {
    let said = topmost(nodes);
    // From 0.0: the sum of no doubles is -0.0.
    let sum = |key: &str| said.iter().filter_map(|value| value.get(key)?.as_f64()).fold(0.0, |a, b| a + b);
    let entries = COST_KEYS.map(|key| (key.to_owned(), Value::Double(sum(key)))).into();
    (!said.is_empty()).then(|| Value::Map(entries).to_json())
}

/// What spans say that are below none that says something.
fn topmost(nodes: &[Node]) -> Vec<Value> {
    let mut children: HashMap<&str, Vec<&Node>> = HashMap::new();
    let known: HashMap<&str, &Node> = nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut waiting = Vec::new();
    for node in nodes {
        match node.parent.as_deref().filter(|parent| known.contains_key(parent)) {
            Some(parent) => children.entry(parent).or_default().push(node),
            None => waiting.push(node),
        }
    }
    let mut said = Vec::new();
    while let Some(node) = waiting.pop() {
        match node.data.as_deref().and_then(Value::parse) {
            Some(value @ Value::Map(_)) => said.push(value),
            _ => waiting.extend(children.get(node.id.as_str()).into_iter().flatten()),
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, parent: Option<&str>, data: Option<&str>) -> Node {
        Node { id: id.into(), parent: parent.map(Into::into), data: data.map(Into::into) }
    }

    #[test]
    fn a_parent_that_says_its_usage_speaks_for_its_children() {
        let usage = r#"{"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}"#;
        let cached = r#"{"input_tokens": 10, "cache_read_input_tokens": 4}"#;
        let nodes = [
            node("root", None, None),
            node("agent", Some("root"), Some(usage)),
            node("model", Some("agent"), Some(usage)),
            node("other", Some("elsewhere"), Some(cached)),
            node("broken", Some("root"), Some("{")),
        ];
        let expected = "{\"input_tokens\": 11, \"output_tokens\": 2, \"total_tokens\": 3, \
                        \"cache_read_input_tokens\": 4}";
        assert_eq!(tokens(&nodes).as_deref(), Some(expected));
        assert_eq!(Tokens::of(expected).input, Some(11));
        assert_eq!(tokens(&nodes[..1]), None);
        let costs = [node("a", None, Some(r#"{"input_cost": 0.5, "total_cost": 1}"#))];
        assert_eq!(
            cost(&costs).as_deref(),
            Some("{\"input_cost\": 0.5, \"output_cost\": 0.0, \"total_cost\": 1.0}")
        );
    }

    #[test]
    fn spans_that_are_each_others_parents_are_left_out() {
        let nodes = [node("a", Some("b"), Some("{}")), node("b", Some("a"), Some("{}"))];
        assert_eq!(tokens(&nodes), None);
    }
}
