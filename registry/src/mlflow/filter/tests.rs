use super::*;
use crate::search::{Op, Operand};
use proptest::prelude::*;

const RUNS: Grammar = Grammar {
    entity: &crate::runs::store::RUNS,
    complaint: INVALID_CLAUSES,
    entity_types: "Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']",
    lists_everywhere: false,
    null_checks: true,
    order_keys: None,
};

fn one(text: &str) -> (Field, Op, Operand) {
    let mut conditions = RUNS.filter(Some(text)).unwrap_or_else(|e| panic!("{text}: {}", e.message));
    assert_eq!(conditions.len(), 1, "{text}");
    let condition = conditions.remove(0);
    (condition.field, condition.op, condition.operand)
}

#[test]
fn identifiers_in_all_their_spellings() {
    let metric = |key: &str| Field::Metric(key.to_owned());
    let tag = |key: &str| Field::Tag(key.to_owned());
    for (text, expected) in [
        ("metrics.loss > 1", metric("loss")),
        ("metric.loss>1", metric("loss")),
        ("  metrics.`a b`  >  1  ", metric("a b")),
        ("metrics.\"a b\" > 1", metric("a b")),
        ("metrics.'a b' > 1", metric("a b")),
        ("metrics.train/loss > 1", metric("train/loss")),
        ("metrics.a.b-c:d > 1", metric("a.b-c:d")),
        ("`metrics`.loss > 1", metric("loss")),
        ("tags.mlflow.user = 'a'", tag("mlflow.user")),
        ("tag.`it``s` = 'a'", tag("it`s")),
        ("params.ünï = 'a'", Field::Param("ünï".to_owned())),
        ("parameters.in = 'a'", Field::Param("in".to_owned())),
    ] {
        assert_eq!(one(text).0, expected, "{text}");
    }
    let start = RUNS.entity.attribute("start_time").unwrap();
    for text in ["start_time = 1", "attributes.Created = 1", "run.created = 1", "attr.`start_time` = 1"] {
        assert_eq!(one(text).0, Field::Attribute(start), "{text}");
    }
}

#[test]
fn operators_and_values() {
    let text = |s: &str| Operand::Text(s.to_owned());
    for (filter, op, operand) in [
        ("params.a = 'x'", Op::Eq, text("x")),
        ("params.a = \"x\"", Op::Eq, text("x")),
        ("params.a = 'it''s'", Op::Eq, text("it's")),
        ("params.a = ''", Op::Eq, text("")),
        ("params.a <> 'x'", Op::Ne, text("x")),
        ("params.a like 'x%'", Op::Like, text("x%")),
        ("params.a ILIKE 'x%'", Op::Ilike, text("x%")),
        ("params.a is  Null", Op::IsNull, Operand::Nothing),
        ("params.a IS NOT NULL", Op::IsNotNull, Operand::Nothing),
        ("metrics.a >= -1.5e-3", Op::Ge, Operand::Float(-0.0015)),
        ("metrics.a < .5", Op::Lt, Operand::Float(0.5)),
        ("start_time != 7", Op::Ne, Operand::Int(7)),
        ("start_time <= 7.5", Op::Le, Operand::Float(7.5)),
        ("run_id not in ('a' , 'b',)", Op::NotIn, Operand::Texts(vec!["a".into(), "b".into()])),
        ("dataset.name IN('a')", Op::In, Operand::Texts(vec!["a".into()])),
    ] {
        let (_, found_op, found) = one(filter);
        assert_eq!((found_op, found), (op, operand), "{filter}");
    }
}

#[test]
fn conditions_are_joined_by_and_alone() {
    for (filter, count) in [
        ("", 0),
        ("  ", 0),
        ("params.a = 'AND' and metrics.b>1 AND tags.c IS NULL AND params.and = 'x'", 4),
        ("metrics.a > 1 AND", 1),
        ("and metrics.a > 1 AND AND metrics.b > 1 and ", 2),
    ] {
        assert_eq!(RUNS.filter(Some(filter)).unwrap().len(), count, "{filter}");
    }
    for filter in [
        "metrics.a > 1 OR metrics.a < 2",
        "AND",
        "metrics.a > 1 ANDmetrics.b > 1",
        "metrics.a > 1 metrics.b > 1",
        "metrics.a > 1; DROP TABLE runs",
        "(metrics.a > 1)",
        "NOT metrics.a > 1",
        "metrics.a > 1 -- x",
        "metrics.a > 1x",
        "metrics.a",
        "metrics. > 1",
        ".a > 1",
    ] {
        assert!(RUNS.filter(Some(filter)).is_err(), "{filter}");
    }
}

#[test]
fn refusals_in_mlflows_words() {
    let unquoted = "Parameter value is either not quoted or unidentified quote types used for string value x. \
                    Use either single or double quotes. (column";
    let listing = "While parsing a list in the query, expected";
    for (filter, message) in [
        ("metrics.a = 'x'", "Expected numeric value type for metric. Found 'x'. (column 13 of filter)"),
        ("metrics.a LIKE x", "Expected numeric value type for metric. Found x. (column 16 of filter)"),
        ("metrics.a IN (1)", "Expected numeric value type for metric. Found (1)."),
        ("start_time LIKE 'x'", "Expected numeric value type for numeric attribute: start_time. Found 'x'."),
        (
            "metrics.a IS NULL",
            "IS NULL / IS NOT NULL is only supported for tags and params, not for metric 'a'.",
        ),
        ("status IS NOT NULL", "is only supported for tags and params, not for attribute 'status'."),
        ("params.a = x", unquoted),
        ("tags.a = x", unquoted),
        ("status = x", unquoted),
        ("params.a = 5", "Expected a quoted string value for parameter (e.g. 'my-value'). Got value 5."),
        ("tags.a IN ('x')", "Expected a quoted string value for tag (e.g. 'my-value'). Got value ('x')."),
        ("run_id IN ()", &format!("{listing} a non-empty list of string values, but got empty list.")),
        (
            "run_id IN ( 'a', 5 )",
            &format!(
                "{listing} string value, punctuation, or whitespace, but got different type in list: ( 'a', 5 ). \
                 (column 11 of filter)"
            ),
        ),
        ("foo.bar = 'x'", "Invalid entity type 'foo'. Valid values are ['metric',"),
        ("params.a > 'x'", "Invalid comparator '>' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IS NULL',"),
        (
            "params.a ~ 'x'",
            "Invalid clause(s) in filter string: expected a comparison operator, found '~ 'x''.",
        ),
    ] {
        let error = RUNS.filter(Some(filter)).expect_err(filter);
        assert!(error.message.contains(message), "{filter}: {}", error.message);
    }
    for (filter, message) in [
        ("span.content = 'x'", "span.content comparator '=' not one of '{'LIKE', 'ILIKE'}'."),
        ("prompt LIKE 'p/1'", "Invalid comparator 'LIKE' for prompts filter. Only '=' is supported with"),
        (
            "feedback.f > 'a'",
            "Expected a numeric value for feedback when using comparator '>'. Got value 'a'.",
        ),
        ("name > 'a'", "Invalid comparator '>' not one of"),
    ] {
        let error = TRACES.filter(Some(filter)).expect_err(filter);
        assert!(error.message.contains(message), "{filter}: {}", error.message);
    }
    let error = RUNS.orders(&["status up".to_owned()]).unwrap_err();
    let message = "Invalid order_by clause 'status up': expected ASC, DESC or the end, found 'up'.";
    assert!(error.message.contains(message), "{}", error.message);
}

#[test]
fn orders() {
    let metric = Field::Metric("a b".to_owned());
    for (clause, ascending) in [
        ("metrics.`a b`", true),
        (" metrics.`a b` asc ", true),
        ("metrics.\"a b\" DESC", false),
        ("metrics.`a b`desc", false),
    ] {
        let orders = RUNS.orders(&[clause.to_owned()]).unwrap_or_else(|e| panic!("{clause}: {}", e.message));
        assert_eq!((&orders[0].field, orders[0].ascending), (&metric, ascending), "{clause}");
    }
    for clause in ["", "metrics.a up", "metrics.a asc desc", "nope", "dataset.name", "metrics.a, metrics.b"] {
        assert!(RUNS.orders(&[clause.to_owned()]).is_err(), "{clause}");
    }
}

/// Pieces from which text close to a filter is made.
fn piece() -> impl Strategy<Value = String> {
    let known = [
        "metrics",
        "params",
        "tags",
        "attributes",
        "dataset",
        "name",
        ".",
        "`",
        "\"",
        "'",
        "(",
        ")",
        ",",
        "=",
        "!=",
        "<",
        ">",
        "LIKE",
        "ILIKE",
        "IN",
        "NOT",
        "IS",
        "NULL",
        "AND",
        "asc",
        "desc",
        " ",
        "1",
        "-",
        "e",
        "ü",
        "\\",
        "%",
        "start_time",
        "run_id",
        ";",
    ];
    prop_oneof![8 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC"]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        let _ = RUNS.filter(Some(&text));
        let _ = RUNS.orders(&[text]);
    }

    #[test]
    fn text_close_to_a_filter_is_read_or_refused(pieces in proptest::collection::vec(piece(), 0..25)) {
        let text = pieces.concat();
        if let Err(error) = RUNS.filter(Some(&text)) {
            prop_assert!(error.message.contains("(column "), "{}", error.message);
        }
        let _ = RUNS.orders(&[text]);
    }

    #[test]
    fn quoted_text_comes_back(value in "\\PC{0,40}", key in "\\PC{1,20}") {
        let text = format!("tags.`{}` = '{}'", key.replace('`', "``"), value.replace('\'', "''"));
        let (field, _, operand) = one(&text);
        prop_assert_eq!(field, Field::Tag(key));
        prop_assert_eq!(operand, Operand::Text(value));
    }

    #[test]
    fn numbers_come_back(value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
        let (_, _, operand) = one(&format!("metrics.m = {value:?}"));
        prop_assert_eq!(operand, Operand::Float(value));
    }
}

#[test]
fn registered_models_are_ordered_by_few_keys() {
    let models = crate::mlflow::routes::registered_models::GRAMMAR;
    for key in ["name", "name DESC", "timestamp ASC", "last_updated_timestamp"] {
        assert_eq!(models.orders(&[key.to_owned()]).unwrap().len(), 1, "{key}");
    }
    for (clause, key) in [("size", "size"), ("tags.`a b` DESC", "tags.a b"), ("metrics.loss", "metrics.loss")]
    {
        let message = models.orders(&[clause.to_owned()]).unwrap_err().message;
        let expected = format!(
            "Invalid order by key '{key}' specified. Valid keys are '{{'name', 'timestamp'}}'. (column 1 of order_by)"
        );
        assert_eq!(message, expected, "{clause}");
    }
}

const TRACES: Grammar = Grammar {
    entity: &crate::traces::store::TRACES,
    complaint: INVALID_CLAUSES,
    entity_types: "Valid values are ('attribute', 'trace', 'tag')",
    lists_everywhere: false,
    null_checks: true,
    order_keys: None,
};

#[test]
fn what_can_be_asked_of_traces() {
    use crate::search::TraceField;
    let tag = |key: &str| Field::Tag(key.to_owned());
    let metadata = |key: &str| Field::Param(key.to_owned());
    let attribute = |name: &str| Field::Attribute(TRACES.entity.attribute(name).unwrap());
    let span = |name: &str| Field::Trace(TraceField::SpanAttribute(name.to_owned()));
    let said = |kind, name: &str| Field::Trace(TraceField::Assessment { kind, name: name.to_owned() });
    for (text, field, op) in [
        ("name = 'x'", tag("mlflow.traceName"), Op::Eq),
        ("trace.name RLIKE '^x'", tag("mlflow.traceName"), Op::Rlike),
        ("tags.name = 'x'", tag("name"), Op::Eq),
        ("timestamp > 1", attribute("timestamp_ms"), Op::Gt),
        ("trace.state = 'OK'", attribute("status"), Op::Eq),
        ("status NOT IN ('OK')", attribute("status"), Op::NotIn),
        ("request_metadata.a IS NULL", metadata("a"), Op::IsNull),
        ("metadata.`a b` ilike 'x'", metadata("a b"), Op::Ilike),
        ("run_id = 'r'", Field::Trace(TraceField::Run), Op::Eq),
        ("metadata.mlflow.sourceRun = 'r'", Field::Trace(TraceField::Run), Op::Eq),
        ("run_id != 'r'", metadata("mlflow.sourceRun"), Op::Ne),
        ("prompt = 'p/1'", Field::Trace(TraceField::Prompt), Op::Eq),
        ("trace.text LIKE '%x%'", Field::Trace(TraceField::SpanContent), Op::Like),
        ("span.type IN ('LLM', 'TOOL')", Field::Trace(TraceField::SpanType), Op::In),
        ("span.attributes.a.b = 'x'", span("a.b"), Op::Eq),
        ("span.attributes.`a b` = 'x'", span("a b"), Op::Eq),
        ("feedback.`a b` >= 0.5", said("feedback", "a b"), Op::Ge),
        ("expectation.x IS NOT NULL", said("expectation", "x"), Op::IsNotNull),
        ("issue.id = 'i'", Field::Trace(TraceField::Issue), Op::Eq),
    ] {
        let conditions = TRACES.filter(Some(text)).unwrap_or_else(|e| panic!("{text}: {}", e.message));
        assert_eq!((&conditions[0].field, conditions[0].op), (&field, op), "{text}");
    }
}

proptest! {
    #[test]
    fn text_close_to_a_filter_of_traces_is_read_or_refused(
        pieces in proptest::collection::vec(
            prop_oneof![
                2 => proptest::sample::select(
                    vec!["span", "feedback", "attributes", "RLIKE", "prompt", "run_id", "text", "(", "'a/1'", "metadata"]
                ).prop_map(str::to_owned),
                3 => piece(),
            ],
            0..20,
        ),
    ) {
        let text = pieces.concat();
        if let Err(error) = TRACES.filter(Some(&text)) {
            prop_assert!(error.message.contains("(column "), "{}", error.message);
        }
        let _ = TRACES.orders(&[text]);
    }
}
