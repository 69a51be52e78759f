use super::*;
use proptest::prelude::*;

#[derive(Debug, Deserialize, PartialEq)]
struct Probe {
    #[serde(deserialize_with = "nonempty")]
    run_id: String,
    #[serde(default, deserialize_with = "number::opt_int")]
    step: Option<i64>,
    #[serde(default, deserialize_with = "number::float")]
    value: f64,
    #[serde(default, deserialize_with = "nullable")]
    ids: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    flag: bool,
    #[serde(default, deserialize_with = "nullable")]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Tag {
    #[serde(deserialize_with = "nonempty")]
    key: String,
}

impl Message for Probe {
    const FIELDS: &'static [Field] = &[
        required("run_id", Kind::Text),
        optional("step", Kind::Int),
        optional("value", Kind::Float),
        optional("ids", Kind::Texts),
        optional("tags", Kind::Messages(&[required("key", Kind::Text)])),
        optional("flag", Kind::Bool),
    ];
}

fn body(text: &str) -> Result<Probe, String> {
    from_body(text.as_bytes()).map_err(|e| e.message)
}

#[test]
fn bodies_that_fit() {
    let probe = |step| Probe { run_id: "r".into(), step, value: 0.0, ids: vec![], flag: false, tags: vec![] };
    for (text, expected) in [
        (r#"{"run_id":"r"}"#, probe(None)),
        // An escaped backslash before `u0000` is not an escape.
        (r#"{"run_id":"r","x":"\\u0000"}"#, probe(None)),
        (r#"{"run_id":"r","step":null,"ids":null,"unknown":{"a":[1]}}"#, probe(None)),
        (r#"{"run_id":"r","step":"9223372036854775807"}"#, probe(Some(i64::MAX))),
        (r#"{"run_id":"r","step":-9223372036854775808}"#, probe(Some(i64::MIN))),
        (r#"{"run_id":"r","step":3.0}"#, probe(Some(3))),
        (r#"{"run_id":"r","step":"1e+05"}"#, probe(Some(100_000))),
        (r#"{"run_id":"r","step":"-2.0"}"#, probe(Some(-2))),
        (r#"{"runId":"r","tags":[]}"#, probe(None)),
        (r#"{"run_id":"r","x":"\"runId\"","y":"runId"}"#, probe(None)),
        (r#""{\"run_id\":\"r\"}""#, probe(None)),
    ] {
        assert_eq!(body(text).as_ref(), Ok(&expected), "{text}");
    }
}

const SEE: &str = "See the API docs for more information about request parameters.";

#[test]
fn bodies_that_do_not_fit_say_why() {
    for (text, expected) in [
        ("", format!("Missing value for required parameter 'run_id'. {SEE}")),
        ("null", format!("Missing value for required parameter 'run_id'. {SEE}")),
        (r#"{"run_id":""}"#, format!("Missing value for required parameter 'run_id'. {SEE}")),
        (
            r#"{"run_id":7}"#,
            format!("Invalid value 7 for parameter 'run_id' supplied:  Hint: Value was of type 'int'. {SEE}"),
        ),
        (
            r#"{"run_id":"r","step":"x"}"#,
            format!(
                "Invalid value \"x\" for parameter 'step' supplied:  Hint: Value was of type 'str'. {SEE}"
            ),
        ),
        (
            r#"{"run_id":"r","step":9223372036854775808}"#,
            format!(
                "Invalid value 9223372036854775808 for parameter 'step' supplied:  Hint: Value was of type 'int'. {SEE}"
            ),
        ),
        (
            r#"{"run_id":"r","ids":[1]}"#,
            format!("Invalid value [1] for parameter 'ids' supplied:  Hint: Value was of type 'list'. {SEE}"),
        ),
        (
            r#"{"run_id":"r","tags":[{"key":"a"},{"value":"b"}]}"#,
            format!("Missing value for required parameter 'tags[1].key'. {SEE}"),
        ),
        (
            r#"{"run_id":"r","tags":[7]}"#,
            format!(
                "Invalid value 7 for parameter 'tags[0]' supplied:  Hint: Value was of type 'int'. {SEE}"
            ),
        ),
        (
            r#"{"run_id":"#,
            "The request body is not valid JSON: EOF while parsing a value at line 1 column 10.".into(),
        ),
        ("[1]", "The request body is a JSON list; an object is expected.".into()),
    ] {
        assert_eq!(body(text), Err(expected), "{text}");
    }
}

#[test]
fn numbers_and_texts_that_do_not_fit_say_why() {
    for (text, expected) in [
        (
            r#"{"run_id":"r","step":"1.5"}"#,
            format!(
                "Invalid value \"1.5\" for parameter 'step' supplied:  Hint: Value was of type 'str'. {SEE}"
            ),
        ),
        (
            r#"{"run_id":"r","step":NaN}"#,
            format!(
                "Invalid value NaN for parameter 'step' supplied:  Hint: Value was of type 'float'. {SEE}"
            ),
        ),
        (
            r#"{"run_id":"r","value":1,"x":{"y":[-Infinity]}}"#,
            format!(
                "Invalid value -Infinity for parameter 'x.y[0]' supplied:  Hint: Value was of type 'float'. {SEE}"
            ),
        ),
        (
            r#"{"run_id":"r","step":"-9223372036854775809"}"#,
            format!(
                "Invalid value \"-9223372036854775809\" for parameter 'step' supplied:  Hint: Value was of type 'str'. {SEE}"
            ),
        ),
        (
            r#"{"run_id":"r","runId":"s"}"#,
            "The request has the field 'run_id' twice, under two names.".into(),
        ),
        (
            r#"{"runId":7}"#,
            format!("Invalid value 7 for parameter 'run_id' supplied:  Hint: Value was of type 'int'. {SEE}"),
        ),
        (r#"{"run_id":"r","x":{"y":["a\u0000"]}}"#, NUL.into()),
        (r#"{"run_id":"r\u0000","value":NaN}"#, NUL.into()),
        (r#""{\"run_id\":\"r\\u0000\"}""#, NUL.into()),
    ] {
        assert_eq!(body(text), Err(expected), "{text}");
    }
}

#[test]
fn numbers_may_be_the_words_that_python_writes() {
    let value = |text: &str| body(&format!(r#"{{"value":{text},"run_id":"a NaN \" Infinity"}}"#));
    for (text, expected) in
        [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY), ("1.5", 1.5)]
    {
        let probe = value(text).unwrap();
        assert_eq!(probe.run_id, "a NaN \" Infinity");
        assert_eq!(probe.value.to_bits(), expected.to_bits(), "{text}");
    }
    for bad in ["nan", "-NaN", "NaNs", "+Infinity", "Inf", "[NaN]", "{NaN: 1}"] {
        assert!(value(bad).is_err(), "{bad}");
    }
}

#[test]
fn queries() {
    let query = |text| from_query::<Probe>(text).map_err(|e| e.message);
    let expected = Probe {
        run_id: "a b".into(),
        step: Some(2),
        value: 0.0,
        ids: vec!["1".into(), "2".into()],
        flag: true,
        tags: vec![],
    };
    assert_eq!(query("run_id=a+b&ids=1&step=2&ids=2&flag=True&other=1&run_id=c"), Ok(expected));
    assert_eq!(
        query("run_id=a&flag=yes"),
        Err("Invalid boolean value: yes, must be 'true' or 'false'.".to_owned())
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = from_body::<Probe>(&bytes);
    }

    #[test]
    fn floats_survive_a_round_trip(value in any::<f64>()) {
        let written = serde_json::to_value(Written(value)).unwrap();
        let read = number::float_of(&written).unwrap();
        prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
    }
}

#[derive(serde::Serialize)]
struct Written(#[serde(serialize_with = "number::write_float")] f64);
