//! Filters and orders of registered models and versions, as MLflow's clients write them
//! (`SearchModelUtils` and `SearchModelVersionUtils` in mlflow/utils/search_utils.py).

use super::MlflowError;
use crate::models::{
    IS_PROMPT_TAG,
    store::search::{Comparator, Condition, Field, Key, Operand, Order},
};

/// Which of the two is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Models,
    Versions,
}

/// Longest filter that is read, and most comparisons in it.
const FILTER_MAX_BYTES: usize = 64 << 10;
const CONDITIONS_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name, with dots, or quoted with backticks or double quotes after the dot.
    Word(String),
    /// With its quotes.
    Quoted(String),
    Number(String),
    Comparator(&'static str),
    Open,
    Close,
    Comma,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Quoted(text) | Self::Number(text) => text.clone(),
            Self::Comparator(text) => (*text).to_owned(),
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
            Self::Comma => ",".to_owned(),
        }
    }
}

/// Reads a filter; the empty one has no conditions.
pub fn parse(filter: &str, target: Target) -> Result<Vec<Condition>, MlflowError> {
    if filter.len() > FILTER_MAX_BYTES {
        return Err(invalid(format!(
            "The filter has {} bytes; at most {FILTER_MAX_BYTES} are read.",
            filter.len()
        )));
    }
    let tokens = lex(filter)?;
    let mut rest = tokens.as_slice();
    let mut conditions = Vec::new();
    while !rest.is_empty() {
        if !conditions.is_empty() {
            rest = match rest {
                [Token::Word(and), after @ ..] if and.eq_ignore_ascii_case("and") && !after.is_empty() => {
                    after
                }
                [other, ..] => return Err(clause(&other.shown())),
                [] => break,
            };
        }
        let (condition, after) = comparison(rest, target)?;
        conditions.push(condition);
        rest = after;
        if conditions.len() > CONDITIONS_MAX {
            return Err(invalid(format!("The filter has more than {CONDITIONS_MAX} comparisons.")));
        }
    }
    Ok(conditions)
}

/// Whether the filter asks for prompts: the first condition on the prompt tag decides.
pub fn asks_for_prompts(conditions: &[Condition]) -> bool {
    let about_prompts = |c: &&Condition| matches!(&c.field, Field::Tag(key) if key == IS_PROMPT_TAG);
    conditions.iter().find(about_prompts).is_some_and(|condition| {
        match (&condition.operand, condition.comparator) {
            (Operand::Text(text), Comparator::Equal) => text.eq_ignore_ascii_case("true"),
            (Operand::Text(text), Comparator::NotEqual) => text.eq_ignore_ascii_case("false"),
            _ => false,
        }
    })
}

fn invalid(message: String) -> MlflowError {
    MlflowError::invalid(message)
}

fn clause(text: &str) -> MlflowError {
    invalid(format!("Invalid clause(s) in filter string: {text}"))
}

fn lex(text: &str) -> Result<Vec<Token>, MlflowError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '\'' | '"' => {
                let length = quoted_length(rest).ok_or_else(|| clause(rest))?;
                (Token::Quoted(rest[..length].to_owned()), length)
            }
            '=' | '!' | '<' | '>' => {
                let operator =
                    ["<=", ">=", "!=", "<>", "=", "<", ">"].into_iter().find(|o| rest.starts_with(o));
                let operator = operator.ok_or_else(|| clause(rest))?;
                (Token::Comparator(if operator == "<>" { "!=" } else { operator }), operator.len())
            }
            c if c.is_ascii_digit() || c == '-' => {
                let end =
                    rest[1..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(rest.len(), |at| at + 1);
                (Token::Number(rest[..end].to_owned()), end)
            }
            c if c.is_alphabetic() || c == '_' || c == '`' => {
                let length = word_length(rest).ok_or_else(|| clause(rest))?;
                (Token::Word(rest[..length].to_owned()), length)
            }
            _ => return Err(clause(rest)),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// Length of the quoted text at the start, its quotes included.
fn quoted_length(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    text[1..].find(quote).map(|at| at + 2)
}

/// Length of `name`, `tags.key`, ``tags.`a key` `` or `tags."a key"`.
fn word_length(text: &str) -> Option<usize> {
    let mut length = 0;
    for c in text.chars() {
        let at_part = length == 0 || text[..length].ends_with('.');
        if at_part && matches!(c, '`' | '"' | '\'') {
            return quoted_length(&text[length..]).map(|more| length + more);
        }
        if !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ':' | '/')) {
            break;
        }
        length += c.len_utf8();
    }
    (length > 0).then_some(length)
}

fn comparison(tokens: &[Token], target: Target) -> Result<(Condition, &[Token]), MlflowError> {
    let (identifier, rest) = match tokens {
        [Token::Word(word), rest @ ..] => (word, rest),
        [other, ..] => return Err(clause(&other.shown())),
        [] => return Err(clause("")),
    };
    let (comparator, rest) = comparator(identifier, rest)?;
    let field = field(identifier, target)?;
    let (operand, rest) = operand(&field, rest)?;
    check(&field, comparator, &operand, target)?;
    Ok((Condition { field, comparator, operand }, rest))
}

fn comparator<'t>(identifier: &str, tokens: &'t [Token]) -> Result<(Comparator, &'t [Token]), MlflowError> {
    let word =
        |token: &Token, expected: &str| matches!(token, Token::Word(w) if w.eq_ignore_ascii_case(expected));
    match tokens {
        [Token::Comparator(text), rest @ ..] => {
            let comparator = match *text {
                "=" => Comparator::Equal,
                "!=" => Comparator::NotEqual,
                "<" => Comparator::Less,
                "<=" => Comparator::LessOrEqual,
                ">" => Comparator::Greater,
                _ => Comparator::GreaterOrEqual,
            };
            Ok((comparator, rest))
        }
        [first, rest @ ..] if word(first, "like") => Ok((Comparator::Like, rest)),
        [first, rest @ ..] if word(first, "ilike") => Ok((Comparator::ILike, rest)),
        [first, rest @ ..] if word(first, "in") => Ok((Comparator::In, rest)),
        [first, second, rest @ ..] if word(first, "not") && word(second, "in") => {
            Ok((Comparator::NotIn, rest))
        }
        _ => Err(clause(identifier)),
    }
}

fn field(identifier: &str, target: Target) -> Result<Field, MlflowError> {
    let (entity, key) = match identifier.split_once('.') {
        None => ("attribute", identifier),
        Some((entity, key)) => (entity, key),
    };
    match entity {
        "attribute" => {
            let valid: &[&str] = match target {
                Target::Models => &["name"],
                Target::Versions => &["name", "version_number", "run_id", "source_path"],
            };
            let unquoted = unquote(key);
            match unquoted {
                "name" => Ok(Field::Name),
                "version_number" if target == Target::Versions => Ok(Field::Number),
                "run_id" if target == Target::Versions => Ok(Field::RunId),
                "source_path" if target == Target::Versions => Ok(Field::Source),
                _ => {
                    let shown = valid.iter().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(", ");
                    Err(invalid(format!(
                        "Invalid attribute key '{unquoted}' specified. Valid keys are '{{{shown}}}'"
                    )))
                }
            }
        }
        "tag" | "tags" => Ok(Field::Tag(unquote(key).to_owned())),
        _ => Err(invalid(format!(
            "Invalid entity type '{entity}'. Valid entity types are ('attribute', 'tag', 'tags')"
        ))),
    }
}

fn unquote(text: &str) -> &str {
    for quote in ['`', '"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

fn operand<'t>(field: &Field, tokens: &'t [Token]) -> Result<(Operand, &'t [Token]), MlflowError> {
    let kind = if matches!(field, Field::Tag(_)) { "tag" } else { "attributes" };
    match tokens {
        [Token::Quoted(text), rest @ ..] => Ok((Operand::Text(unquote(text).to_owned()), rest)),
        [Token::Number(text), rest @ ..] if *field == Field::Number => {
            let number = text.parse().map_err(|_| {
                invalid(format!("Invalid value for numeric attribute 'version_number': {text}"))
            })?;
            Ok((Operand::Number(number), rest))
        }
        [Token::Open, rest @ ..] if kind == "attributes" => list(rest),
        [Token::Word(text), ..] => Err(invalid(format!(
            "Parameter value is either not quoted or unidentified quote types used for string value {text}. Use \
             either single or double quotes."
        ))),
        [other, ..] if kind == "tag" => Err(invalid(format!(
            "Expected a quoted string value for tag (e.g. 'my-value'). Got value {}",
            other.shown()
        ))),
        [other, ..] => Err(invalid(format!(
            "Expected a quoted string value or a list of quoted string values for attributes. Got value {}",
            other.shown()
        ))),
        [] => Err(invalid("Invalid comparison clause. Expected 3 tokens found 2".to_owned())),
    }
}

fn list(mut tokens: &[Token]) -> Result<(Operand, &[Token]), MlflowError> {
    let ill_formed = || {
        invalid(
            "While parsing a list in the query, expected a non-empty list of string values, but got ill-formed \
             list."
                .to_owned(),
        )
    };
    let mut items = Vec::new();
    loop {
        match tokens {
            [Token::Quoted(text), Token::Comma, rest @ ..] => {
                items.push(unquote(text).to_owned());
                tokens = rest;
            }
            [Token::Quoted(text), Token::Close, rest @ ..] => {
                items.push(unquote(text).to_owned());
                return Ok((Operand::List(items), rest));
            }
            [Token::Close, rest @ ..] if !items.is_empty() => return Ok((Operand::List(items), rest)),
            _ => return Err(ill_formed()),
        }
    }
}

fn check(
    field: &Field,
    comparator: Comparator,
    operand: &Operand,
    target: Target,
) -> Result<(), MlflowError> {
    use Comparator as C;
    let is_list = matches!(operand, Operand::List(_));
    let shown = shown(comparator);
    match field {
        Field::Tag(_) if matches!(comparator, C::Equal | C::NotEqual | C::Like | C::ILike) => Ok(()),
        Field::Tag(_) => Err(invalid(format!("Invalid comparator for tag: {shown}"))),
        Field::Number => match (comparator, operand) {
            (C::Like | C::ILike | C::In | C::NotIn, _) => {
                Err(invalid(format!("Invalid comparator for attribute version_number: {shown}")))
            }
            (_, Operand::Number(_)) => Ok(()),
            (_, other) => {
                let text = match other {
                    Operand::Text(text) => text.as_str(),
                    _ => "a list",
                };
                Err(invalid(format!("Invalid value for numeric attribute 'version_number': '{text}'")))
            }
        },
        Field::Source if is_list || matches!(comparator, C::In | C::NotIn) => {
            let keys = if target == Target::Models { "['name']" } else { "['name', 'run_id']" };
            Err(invalid(format!(
                "Only {keys} attributes support comparison with a list of quoted string values."
            )))
        }
        Field::Name | Field::RunId | Field::Source => match comparator {
            C::Less | C::LessOrEqual | C::Greater | C::GreaterOrEqual => {
                Err(invalid(format!("Invalid comparator for attribute: {shown}")))
            }
            C::In | C::NotIn if !is_list => {
                Err(invalid(format!("Invalid comparator for attribute: {shown}")))
            }
            C::Equal | C::NotEqual | C::Like | C::ILike if is_list => {
                Err(invalid(format!("Invalid comparator for attribute: {shown}")))
            }
            _ => Ok(()),
        },
    }
}

fn shown(comparator: Comparator) -> &'static str {
    match comparator {
        Comparator::Equal => "=",
        Comparator::NotEqual => "!=",
        Comparator::Less => "<",
        Comparator::LessOrEqual => "<=",
        Comparator::Greater => ">",
        Comparator::GreaterOrEqual => ">=",
        Comparator::Like => "LIKE",
        Comparator::ILike => "ILIKE",
        Comparator::In => "IN",
        Comparator::NotIn => "NOT IN",
    }
}

/// Reads the orders asked for and adds what makes them total.
pub fn orders(clauses: &[String], target: Target) -> Result<Vec<Order>, MlflowError> {
    let mut orders: Vec<Order> = Vec::new();
    for text in clauses {
        let order = order(text, target)?;
        if orders.iter().any(|other| other.key == order.key) {
            return Err(invalid(format!("`order_by` contains duplicate fields: {clauses:?}")));
        }
        orders.push(order);
    }
    if target == Target::Versions && clauses.is_empty() {
        orders.push(Order { key: Key::Updated, descending: true });
    }
    let mut complete = |key, descending| {
        if !orders.iter().any(|order: &Order| order.key == key) {
            orders.push(Order { key, descending });
        }
    };
    complete(Key::Name, false);
    if target == Target::Versions {
        complete(Key::Number, true);
    }
    Ok(orders)
}

fn order(text: &str, target: Target) -> Result<Order, MlflowError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (key, descending) = match words.as_slice() {
        [key] => (*key, false),
        [key, direction] => match direction.to_ascii_lowercase().as_str() {
            "asc" => (*key, false),
            "desc" => (*key, true),
            _ => return Err(invalid(format!("Invalid ordering key in order_by clause '{text}'."))),
        },
        _ => return Err(invalid(format!("Invalid order_by clause '{text}'. Could not be parsed."))),
    };
    let key = unquote(key.strip_prefix("attribute.").unwrap_or(key));
    let known = match (target, key) {
        (_, "name") => Some(Key::Name),
        (Target::Models, "timestamp" | "last_updated_timestamp") => Some(Key::Updated),
        (Target::Versions, "last_updated_timestamp") => Some(Key::Updated),
        (Target::Versions, "creation_timestamp") => Some(Key::Created),
        (Target::Versions, "version_number") => Some(Key::Number),
        _ => None,
    };
    let key = known.ok_or_else(|| match target {
        Target::Models => invalid(format!(
            "Invalid order by key '{key}' specified. Valid keys are '{{'name', 'timestamp'}}'"
        )),
        Target::Versions => invalid(format!(
            "Invalid attribute key '{key}' specified. Valid keys are '{{'creation_timestamp', \
             'last_updated_timestamp', 'name', 'version_number'}}'"
        )),
    })?;
    Ok(Order { key, descending })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(filter: &str) -> Condition {
        parse(filter, Target::Versions).unwrap().pop().unwrap()
    }

    #[test]
    fn reads_filters() {
        let text = |text: &str| Operand::Text(text.to_owned());
        for (filter, field, comparator, operand) in [
            ("name = 'iris'", Field::Name, Comparator::Equal, text("iris")),
            ("name='iris'", Field::Name, Comparator::Equal, text("iris")),
            ("attribute.name != \"a b\"", Field::Name, Comparator::NotEqual, text("a b")),
            ("name ilike '%x%'", Field::Name, Comparator::ILike, text("%x%")),
            ("source_path LIKE 's3:%'", Field::Source, Comparator::Like, text("s3:%")),
            ("version_number >= 3", Field::Number, Comparator::GreaterOrEqual, Operand::Number(3)),
            (
                "run_id IN ('a', 'b')",
                Field::RunId,
                Comparator::In,
                Operand::List(vec!["a".into(), "b".into()]),
            ),
            ("run_id not in ('a',)", Field::RunId, Comparator::NotIn, Operand::List(vec!["a".into()])),
            ("tags.key = 'v'", Field::Tag("key".into()), Comparator::Equal, text("v")),
            ("tag.`a key` = 'v'", Field::Tag("a key".into()), Comparator::Equal, text("v")),
            ("tags.\"a.b c\" != 'v'", Field::Tag("a.b c".into()), Comparator::NotEqual, text("v")),
        ] {
            assert_eq!(one(filter), Condition { field, comparator, operand }, "{filter}");
        }
        assert_eq!(parse("", Target::Models).unwrap(), []);
        assert_eq!(
            parse("name = 'a' AND tags.x = 'y' and tags.z LIKE '%'", Target::Models).unwrap().len(),
            3
        );
    }

    #[test]
    fn refuses_what_is_not_offered() {
        for filter in [
            "name = ",
            "name",
            "= 'x'",
            "name = iris",
            "name = 'iris",
            "name > 'a'",
            "name = 'a' OR name = 'b'",
            "name = 'a' name = 'b'",
            "name = 'a' AND",
            "version_number LIKE '3'",
            "version_number = 'x'",
            "version_number = 3.5",
            "metrics.x = 'y'",
            "color = 'red'",
            "tags.x > 'y'",
            "tags.x = 3",
            "run_id IN ()",
            "run_id IN ('a'",
            "source_path IN ('a')",
            "name; DROP TABLE runs",
        ] {
            assert!(parse(filter, Target::Versions).is_err(), "{filter}");
        }
        assert!(parse("run_id = 'x'", Target::Models).is_err());
    }

    #[test]
    fn orders_are_total() {
        let keys = |clauses: &[&str], target| {
            let clauses: Vec<String> = clauses.iter().map(|c| (*c).to_owned()).collect();
            let keys = orders(&clauses, target).unwrap();
            keys.into_iter().map(|order| (order.key, order.descending)).collect::<Vec<_>>()
        };
        assert_eq!(
            keys(&[], Target::Versions),
            [(Key::Updated, true), (Key::Name, false), (Key::Number, true)]
        );
        assert_eq!(keys(&["name DESC"], Target::Versions), [(Key::Name, true), (Key::Number, true)]);
        assert_eq!(keys(&["timestamp"], Target::Models), [(Key::Updated, false), (Key::Name, false)]);
        for bad in ["name up", "name DESC x", "color", ""] {
            assert!(orders(&[bad.to_owned()], Target::Versions).is_err(), "{bad}");
        }
        assert!(orders(&["name".to_owned(), "name DESC".to_owned()], Target::Models).is_err());
    }

    #[test]
    fn prompts_are_asked_for() {
        let asks = |filter| asks_for_prompts(&parse(filter, Target::Models).unwrap());
        assert!(asks("tags.`mlflow.prompt.is_prompt` = 'true'"));
        assert!(asks("tags.`mlflow.prompt.is_prompt` != 'False'"));
        assert!(!asks("tags.`mlflow.prompt.is_prompt` = 'false'"));
        assert!(!asks("name = 'x'"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            let _ = parse(&text, Target::Versions);
            let _ = orders(&[text], Target::Models);
        }

        #[test]
        fn values_come_through(value in "[^'\\x00]{0,30}") {
            let condition = one(&format!("name = '{value}'"));
            prop_assert_eq!(condition.operand, Operand::Text(value));
        }
    }
}
