//! Text to comparisons, without knowing what is searched.

use super::{Problem, short};
use crate::search::Op;
use std::ops::Range;
use winnow::{
    LocatingSlice, ModalResult, Parser as _,
    ascii::{Caseless, multispace0},
    combinator::{alt, cut_err, delimited, eof, fail, not, opt, peek, preceded, separated, terminated},
    error::{ContextError, StrContext, StrContextValue},
    stream::Location as _,
    token::{one_of, take_till, take_while},
};

type Input<'i> = LocatingSlice<&'i str>;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    pub identifier: Identifier,
    pub op: Op,
    pub op_at: usize,
    pub value: Value,
    pub value_at: usize,
    /// The value as it was written.
    pub written: String,
}

/// `entity.key`, or a key alone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Identifier {
    pub entity: Option<String>,
    pub key: String,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Of `IS [NOT] NULL`.
    Nothing,
    Text(String),
    /// As it was written.
    Number(String),
    /// Without quotes, which few fields take.
    Word(String),
    List(Vec<Value>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct OrderClause {
    pub identifier: Identifier,
    pub ascending: bool,
}

/// `complaint` begins the message about text that is no filter.
pub(super) fn filter(text: &str, complaint: &str) -> Result<Vec<Comparison>, Problem> {
    let parser = delimited(multispace0, opt(comparisons), end_of_filter);
    run(text, complaint, parser).map(Option::unwrap_or_default)
}

/// MLflow skips every AND, also one with nothing before or after it, which clients that put filters
/// together send.
fn comparisons(input: &mut Input<'_>) -> ModalResult<Vec<Comparison>> {
    ands.parse_next(input)?;
    let mut all = vec![comparison.parse_next(input)?];
    while ands.parse_next(input)? && opt(eof).parse_next(input)?.is_none() {
        all.push(cut_err(comparison).parse_next(input)?);
    }
    Ok(all)
}

fn ands(input: &mut Input<'_>) -> ModalResult<bool> {
    let mut any = false;
    while opt((keyword("AND"), multispace0)).parse_next(input)?.is_some() {
        any = true;
    }
    Ok(any)
}

pub(super) fn order(text: &str) -> Result<OrderClause, Problem> {
    let ascending = alt((keyword("ASC").value(true), keyword("DESC").value(false)));
    let clause = (identifier, multispace0, opt(ascending), multispace0);
    let clause = clause.map(|(identifier, _, ascending, _)| OrderClause {
        identifier,
        ascending: ascending.unwrap_or(true),
    });
    let parser = delimited(multispace0, clause, eof.context(expected("ASC, DESC or the end")));
    run(text, &bad_order(text), parser)
}

fn bad_order(text: &str) -> String {
    format!("Invalid order_by clause '{}'", short(text))
}

pub(super) fn identifier_alone(text: &str) -> Result<Identifier, Problem> {
    run(text, &bad_order(text), terminated(identifier, eof.context(expected("the end"))))
}

fn run<'i, T>(
    text: &'i str,
    complaint: &str,
    mut parser: impl winnow::Parser<Input<'i>, T, winnow::error::ErrMode<ContextError>>,
) -> Result<T, Problem> {
    parser.parse(LocatingSlice::new(text)).map_err(|error| {
        let expected: Vec<String> = error
            .inner()
            .context()
            .filter_map(|context| match context {
                StrContext::Expected(value) => Some(value.to_string()),
                _ => None,
            })
            .take(1)
            .collect();
        let at = error.offset();
        let found: String = text.get(at..).unwrap_or_default().chars().take(30).collect();
        let found = if found.is_empty() { "the end".to_owned() } else { format!("'{found}'") };
        let expected = expected.first().map_or("a comparison", String::as_str);
        Problem::new(at, format!("{complaint}: expected {expected}, found {found}"))
    })
}

fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}

fn end_of_filter<'i>(input: &mut Input<'i>) -> ModalResult<&'i str> {
    eof.context(expected("AND or the end")).parse_next(input)
}

fn comparison(input: &mut Input<'_>) -> ModalResult<Comparison> {
    let identifier = identifier.parse_next(input)?;
    multispace0.parse_next(input)?;
    let op_at = input.current_token_start();
    let op = cut_err(operator).context(expected("a comparison operator")).parse_next(input)?;
    multispace0.parse_next(input)?;
    let value_at = input.current_token_start();
    let (value, written) = match op {
        Op::IsNull | Op::IsNotNull => (Value::Nothing, ""),
        Op::In | Op::NotIn => {
            let list = cut_err(list).context(expected("a list of quoted values in parentheses"));
            list.with_taken().parse_next(input)?
        }
        _ => cut_err(value).context(expected("a number or a quoted value")).with_taken().parse_next(input)?,
    };
    multispace0.parse_next(input)?;
    Ok(Comparison { identifier, op, op_at, value, value_at, written: short(written) })
}

/// A word as SQL has it: not the beginning of a longer one.
fn keyword<'i>(
    word: &'static str,
) -> impl winnow::Parser<Input<'i>, (), winnow::error::ErrMode<ContextError>> {
    (Caseless(word), not(one_of(is_word))).void()
}

fn operator(input: &mut Input<'_>) -> ModalResult<Op> {
    alt((symbol, word)).parse_next(input)
}

fn symbol(input: &mut Input<'_>) -> ModalResult<Op> {
    alt((
        "!=".value(Op::Ne),
        "<>".value(Op::Ne),
        "<=".value(Op::Le),
        ">=".value(Op::Ge),
        "==".value(Op::Eq),
        "=".value(Op::Eq),
        "<".value(Op::Lt),
        ">".value(Op::Gt),
    ))
    .parse_next(input)
}

fn word(input: &mut Input<'_>) -> ModalResult<Op> {
    let not = || terminated(keyword("NOT"), multispace0);
    let null = |not: Option<()>| if not.is_some() { Op::IsNotNull } else { Op::IsNull };
    alt((
        keyword("LIKE").value(Op::Like),
        keyword("ILIKE").value(Op::Ilike),
        keyword("RLIKE").value(Op::Rlike),
        keyword("IN").value(Op::In),
        preceded(not(), keyword("IN")).value(Op::NotIn),
        delimited((keyword("IS"), multispace0), opt(not()), keyword("NULL")).map(null),
    ))
    .parse_next(input)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Characters of a key that need no quotes; there is no arithmetic to confuse them with.
fn is_key(c: char) -> bool {
    is_word(c) || matches!(c, '.' | '-' | '/' | ':')
}

fn identifier(input: &mut Input<'_>) -> ModalResult<Identifier> {
    let start = input.current_token_start();
    let first = alt((quoted_name, take_while(1.., is_word).map(str::to_owned)))
        .context(expected("an identifier"))
        .parse_next(input)?;
    let key = alt((quoted_name, quoted('\''), plain_key));
    let rest = opt(preceded('.', cut_err(key).context(expected("a key after the dot")))).parse_next(input)?;
    let span = start..input.current_token_start();
    Ok(match rest {
        Some(key) => Identifier { entity: Some(first), key, span },
        None => Identifier { entity: None, key: first, span },
    })
}

/// A key without quotes; what follows its last dot may have them: `span.attributes.`my key``.
fn plain_key(input: &mut Input<'_>) -> ModalResult<String> {
    let mut key = take_while(1.., is_key).parse_next(input)?.to_owned();
    if key.ends_with('.')
        && let Some(last) = opt(quoted_name).parse_next(input)?
    {
        key.push_str(&last);
    }
    Ok(key)
}

fn quoted_name(input: &mut Input<'_>) -> ModalResult<String> {
    alt((quoted('`'), quoted('"'))).parse_next(input)
}

/// Text in quotes; the quote twice stands for itself.
fn quoted<'i>(mut quote: char) -> impl FnMut(&mut Input<'i>) -> ModalResult<String> {
    move |input| {
        quote.parse_next(input)?;
        let mut text = String::new();
        loop {
            let part = take_till(0.., quote).parse_next(input)?;
            text.push_str(part);
            cut_err(quote).context(expected("a closing quote")).parse_next(input)?;
            if opt(peek(quote)).parse_next(input)?.is_none() {
                return Ok(text);
            }
            quote.parse_next(input)?;
            text.push(quote);
        }
    }
}

fn value(input: &mut Input<'_>) -> ModalResult<Value> {
    let word = take_while(1.., is_key).map(|word: &str| Value::Word(word.to_owned()));
    alt((quoted('\'').map(Value::Text), quoted('"').map(Value::Text), number.map(Value::Number), word))
        .parse_next(input)
}

fn number(input: &mut Input<'_>) -> ModalResult<String> {
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), digits);
    let mantissa = alt(((digits, opt(('.', opt(digits)))).void(), ('.', digits).void()));
    let text = (opt(one_of(['+', '-'])), mantissa, opt(exponent)).take().parse_next(input)?;
    if opt(peek(one_of(is_word))).parse_next(input)?.is_some() {
        return fail.parse_next(input);
    }
    Ok(text.to_owned())
}

fn digits(input: &mut Input<'_>) -> ModalResult<()> {
    take_while(1.., |c: char| c.is_ascii_digit()).void().parse_next(input)
}

fn list(input: &mut Input<'_>) -> ModalResult<Value> {
    let item = delimited(multispace0, value, multispace0);
    let items = terminated(separated(1.., item, ','), opt((',', multispace0)));
    let items = alt((items, multispace0.map(|_| Vec::new())));
    delimited('(', items, ')').map(Value::List).parse_next(input)
}
