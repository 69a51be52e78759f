//! Any text is read as a filter or an order, or refused with a message, by every grammar.

use waybill_registry::mlflow::routes::{model_versions, registered_models, search, search_traces};

pub fn run(text: &str) {
    for grammar in [
        search::EXPERIMENTS,
        search::RUNS,
        search::LOGGED_MODELS,
        registered_models::GRAMMAR,
        model_versions::GRAMMAR,
        search_traces::TRACES,
    ] {
        if let Err(error) = grammar.filter(Some(text)) {
            assert!(!error.message.is_empty());
        }
        let _ = grammar.orders(&[text.to_owned()]);
        let _ = grammar.order_field(text);
    }
}
