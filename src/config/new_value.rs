//! A value that a person or a program gives to a setting.

use std::fmt;

use toml::Value;

use super::ValueKind;
use crate::limits::{InvalidRate, Rate};

/// A new value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewValue {
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Bool(bool),
    /// Text, as people type it.
    Text(String),
}

impl NewValue {
    /// The value for a setting of this kind; none if it is of another kind.
    pub(super) fn parse(&self, kind: ValueKind) -> Option<Value> {
        match (kind, self) {
            (ValueKind::Rate | ValueKind::Number, Self::Number(number)) => Some((*number).into()),
            (ValueKind::Rate, Self::Text(text)) if text == "off" => Some(0.into()),
            (ValueKind::Rate, Self::Text(text)) => match text.parse::<Rate>() {
                Ok(rate) => i64::try_from(rate.bytes()).ok().map(Value::from),
                Err(InvalidRate::Range(0)) => Some(0.into()),
                Err(_) => None,
            },
            (ValueKind::Number, Self::Text(text)) => text.trim().parse().ok().map(Value::Integer),
            (ValueKind::Bool, Self::Bool(value)) => Some((*value).into()),
            (ValueKind::Bool, Self::Text(text)) => text.trim().parse().ok().map(Value::Boolean),
            (ValueKind::Choice(_) | ValueKind::Text, Self::Text(text)) => Some(text.clone().into()),
            _ => None,
        }
    }
}

impl fmt::Display for NewValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}
