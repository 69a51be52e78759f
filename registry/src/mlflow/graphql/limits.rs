//! MLflow's limits on a query (`graphql_no_batching.py`), with fragments counted where they are
//! spread, as 3.17 counts them.

use async_graphql::{
    Positioned,
    parser::types::{ExecutableDocument, Field, Selection, SelectionSet},
};
use std::collections::HashSet;

const DEPTH_MAX: usize = 10;
const SELECTIONS_MAX: usize = 1_000;
/// `MLFLOW_SERVER_GRAPHQL_MAX_ROOT_FIELDS`
const ROOT_FIELDS_MAX: usize = 10;
/// `MLFLOW_SERVER_GRAPHQL_MAX_ALIASES`, of one level.
const ALIASES_MAX: usize = 10;

/// The message of the first limit that `document` exceeds.
pub fn check(document: &ExecutableDocument) -> Result<(), String> {
    let (mut root_fields, mut aliases_max, mut selections) = (0, 0, 0);
    for (_, operation) in document.operations.iter() {
        let mut levels = vec![(&operation.node.selection_set.node, 1)];
        while let Some((set, depth)) = levels.pop() {
            if depth > DEPTH_MAX {
                return Err(format!("Query exceeds maximum depth of {DEPTH_MAX}"));
            }
            // Only what may still be selected is looked at, however often fragments are spread.
            let fields = level(document, set, SELECTIONS_MAX - selections)
                .ok_or_else(|| format!("Query exceeds maximum total selections of {SELECTIONS_MAX}"))?;
            selections += fields.len();
            if depth == 1 {
                root_fields += fields.len();
            }
            aliases_max = aliases_max.max(fields.iter().filter(|field| field.node.alias.is_some()).count());
            let nested = fields.iter().map(|field| &field.node.selection_set.node);
            levels.extend(nested.filter(|set| !set.items.is_empty()).map(|set| (set, depth + 1)));
        }
    }
    at_most("root fields", root_fields, ROOT_FIELDS_MAX)?;
    at_most("aliases", aliases_max, ALIASES_MAX)
}

fn at_most(what: &str, got: usize, max: usize) -> Result<(), String> {
    if got <= max {
        return Ok(());
    }
    Err(format!("GraphQL queries should have at most {max} {what}, got {got} {what}."))
}

/// The fields of one level, those of inline fragments and of spread ones among them; `None` where
/// there are more than `most`.
fn level<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    most: usize,
) -> Option<Vec<&'a Positioned<Field>>> {
    let mut fields = Vec::new();
    let mut spread = HashSet::new();
    let mut sets = vec![set];
    while let Some(set) = sets.pop() {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => fields.push(field),
                Selection::InlineFragment(fragment) => sets.push(&fragment.node.selection_set.node),
                Selection::FragmentSpread(fragment) => {
                    let name = &fragment.node.fragment_name.node;
                    if let Some(fragment) = document.fragments.get(name)
                        && spread.insert(name)
                    {
                        sets.push(&fragment.node.selection_set.node);
                    }
                }
            }
            if fields.len() > most {
                return None;
            }
        }
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;
    use proptest::prelude::*;

    fn repeat(count: usize, item: impl Fn(usize) -> String) -> String {
        (0..count).map(item).collect::<Vec<_>>().join(" ")
    }

    fn nested(depth: usize) -> String {
        format!("{}x{}", "a { ".repeat(depth - 1), " }".repeat(depth - 1))
    }

    #[test]
    fn each_limit_has_its_message() {
        let fields = |count| format!("{{ a {{ {} }} }}", repeat(count, |i| format!("f{i}")));
        let aliases = |count| format!("{{ a {{ {} }} }}", repeat(count, |i| format!("f{i}: x")));
        let parts = |count| {
            let spreads = repeat(count, |i| format!("...F{i}"));
            let inline = repeat(count, |i| format!("... on T {{ i{i}: x }}"));
            let fragments = repeat(count, |i| format!("fragment F{i} on T {{ f{i}: x }}"));
            format!("{{ a {{ {spreads} {inline} }} }} {fragments}")
        };
        let cycle = "{ a { ...F } } fragment F on T { b { ...F } }";
        for (query, message) in [
            (format!("{{ {} }}", repeat(10, |i| format!("f{i}"))), None),
            (format!("{{ {} }}", repeat(11, |i| format!("f{i}"))), Some("at most 10 root fields, got 11")),
            (format!("{{ {} }}", nested(10)), None),
            (format!("{{ {} }}", nested(11)), Some("maximum depth of 10")),
            (aliases(10), None),
            (aliases(12), Some("at most 10 aliases, got 12 aliases")),
            (fields(999), None),
            (fields(1000), Some("maximum total selections of 1000")),
            (parts(5), None),
            (parts(6), Some("at most 10 aliases, got 12")),
            (cycle.to_owned(), Some("maximum depth of 10")),
            ("{ ...F } fragment F on T { ...F }".to_owned(), None),
        ] {
            let shown: String = query.chars().take(80).collect();
            match (check(&parse_query(&query).unwrap()), message) {
                (Ok(()), None) => {}
                (Err(got), Some(expected)) => assert!(got.contains(expected), "{shown}: {got}"),
                (got, expected) => panic!("{shown}: {got:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn fragments_that_spread_each_other_are_counted_in_bounded_time() {
        let doubling =
            repeat(60, |i| format!("fragment F{i} on T {{ a {{ ...F{0} }} b {{ ...F{0} }} }}", i + 1));
        let query = format!("{{ a {{ ...F0 }} }} {doubling} fragment F60 on T {{ x }}");
        assert!(check(&parse_query(&query).unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,60}|[{}()\\[\\]:$!.@a-z\" 0-9]{0,80}") {
            if let Ok(document) = parse_query(&text) {
                let _ = check(&document);
            }
        }
    }
}
