//! Numbers by proto3's JSON rules: a 64-bit integer is a number or a string, a double also
//! `"NaN"`, `"Infinity"` and `"-Infinity"`.

use serde::{
    Deserializer, Serializer,
    de::{Error, Unexpected, Visitor},
};
use serde_json::Value;
use std::fmt;

pub(super) fn int_of(value: &Value) -> Option<i64> {
    int(value).ok()
}

pub(super) fn float_of(value: &Value) -> Option<f64> {
    float(value).ok()
}

/// A required int64.
pub fn int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(IntVisitor)?.ok_or_else(|| D::Error::custom("an integer is expected"))
}

/// An optional int64; `null` is absent.
pub fn opt_int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    deserializer.deserialize_any(IntVisitor)
}

/// A required double.
pub fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_any(FloatVisitor)?.ok_or_else(|| D::Error::custom("a number is expected"))
}

/// Writes a double as protobuf's JSON printer does: NaN and infinities as strings.
pub fn write_float<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else if value.is_nan() {
        serializer.serialize_str("NaN")
    } else {
        serializer.serialize_str(if *value > 0.0 { "Infinity" } else { "-Infinity" })
    }
}

struct IntVisitor;

impl Visitor<'_> for IntVisitor {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 64-bit integer")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        i64::try_from(value).map(Some).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    /// `3.0` is an integer to protobuf, `3.5` is not. 2^63 itself is already out of range, and what lies
    /// just below -2^63 is rounded to it.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        if value.fract() == 0.0 && value.abs() < 9.223_372_036_854_776e18 {
            return Ok(Some(value as i64));
        }
        Err(E::invalid_value(Unexpected::Float(value), &self))
    }

    /// R sends every value as text, 100,000 as `1e+05`.
    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        let text = value.trim();
        if let Ok(number) = text.parse() {
            return Ok(Some(number));
        }
        // What is none of these is digits alone and too large, or a word that Rust reads: `inf`, `nan`.
        let is_decimal = text.contains(['.', 'e', 'E']) && !text.contains(['i', 'I']);
        match text.parse::<f64>() {
            Ok(number) if is_decimal => self.visit_f64(number),
            _ => Err(E::invalid_value(Unexpected::Str(value), &self)),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

struct FloatVisitor;

impl Visitor<'_> for FloatVisitor {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        match value {
            "NaN" => Ok(Some(f64::NAN)),
            "Infinity" => Ok(Some(f64::INFINITY)),
            "-Infinity" => Ok(Some(f64::NEG_INFINITY)),
            text => match text.parse::<f64>() {
                // `inf` and `nan` are what Python's `str` makes of them; `1e999` is a number, and not that one.
                Ok(number) if number.is_finite() || !text.contains(|c: char| c.is_ascii_digit()) => {
                    Ok(Some(number))
                }
                _ => Err(E::invalid_value(Unexpected::Str(value), &self)),
            },
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
