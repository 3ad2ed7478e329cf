//! Values in MySQL's forms.

use mysql_async::consts::ColumnType;
use mysql_async::{Column, Value as Given};

use crate::effect::sql::Value;

/// The character set of what is no text.
const BINARY: u16 = 63;

/// A parameter.
pub(super) fn given(value: &Value) -> Given {
    match value {
        Value::Null | Value::List(_) => Given::NULL,
        Value::Bool(flag) => Given::Int((*flag).into()),
        Value::Int(number) => Given::Int(*number),
        Value::Float(number) => Given::Double(*number),
        Value::Decimal(text) | Value::Text(text) | Value::Json(text) => Given::Bytes(text.clone().into_bytes()),
        Value::Bytes(bytes) => Given::Bytes(bytes.clone()),
    }
}

/// A value of a row.
pub(super) fn taken(value: Given, column: &Column) -> Value {
    match value {
        Given::NULL => Value::Null,
        Given::Int(number) => Value::Int(number),
        Given::UInt(number) => i64::try_from(number).map_or_else(|_| Value::Decimal(number.to_string()), Value::Int),
        // By its shortest text: 0.1 stays 0.1.
        Given::Float(number) => Value::Float(number.to_string().parse().unwrap_or(f64::from(number))),
        Given::Double(number) => Value::Float(number),
        Given::Date(year, month, day, hour, minute, second, micros) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            if column.column_type() == ColumnType::MYSQL_TYPE_DATE {
                return Value::Text(date);
            }
            let zone = if column.column_type() == ColumnType::MYSQL_TYPE_TIMESTAMP { "Z" } else { "" };
            Value::Text(format!("{date}T{hour:02}:{minute:02}:{second:02}{}{zone}", fraction(micros)))
        }
        Given::Time(is_negative, days, hours, minutes, seconds, micros) => {
            let (sign, hours) = (if is_negative { "-" } else { "" }, days * 24 + u32::from(hours));
            Value::Text(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", fraction(micros)))
        }
        Given::Bytes(bytes) => from_bytes(bytes, column),
    }
}

fn from_bytes(bytes: Vec<u8>, column: &Column) -> Value {
    use ColumnType as T;

    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match column.column_type() {
        T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => Value::Decimal(text(&bytes)),
        T::MYSQL_TYPE_JSON => Value::Json(text(&bytes)),
        T::MYSQL_TYPE_BIT => {
            let number = bytes.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
            i64::try_from(number).map_or(Value::Decimal(number.to_string()), Value::Int)
        }
        // Statements that cannot be prepared answer all in text.
        T::MYSQL_TYPE_TINY
        | T::MYSQL_TYPE_SHORT
        | T::MYSQL_TYPE_INT24
        | T::MYSQL_TYPE_LONG
        | T::MYSQL_TYPE_LONGLONG => text(&bytes).parse().map_or_else(|_| Value::Decimal(text(&bytes)), Value::Int),
        T::MYSQL_TYPE_FLOAT | T::MYSQL_TYPE_DOUBLE => {
            text(&bytes).parse().map_or_else(|_| Value::Text(text(&bytes)), Value::Float)
        }
        T::MYSQL_TYPE_GEOMETRY => Value::Bytes(bytes),
        T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_TIME => {
            Value::Text(text(&bytes))
        }
        _ if column.character_set() == BINARY => Value::Bytes(bytes),
        _ => Value::Text(text(&bytes)),
    }
}

fn fraction(micros: u32) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}").trim_end_matches('0').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(given: Given, kind: ColumnType, charset: u16) -> Value {
        taken(given, &Column::new(kind).with_character_set(charset))
    }

    #[test]
    fn each_form_becomes_what_one_expects() {
        let bytes = |text: &str| Given::Bytes(text.as_bytes().to_vec());
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(value(bytes("12.50"), ColumnType::MYSQL_TYPE_NEWDECIMAL, 63), Value::Decimal("12.50".to_owned()));
        assert_eq!(value(bytes("ü"), ColumnType::MYSQL_TYPE_VAR_STRING, 45), text("ü"));
        assert_eq!(value(bytes("\u{1}"), ColumnType::MYSQL_TYPE_BLOB, 63), Value::Bytes(vec![1]));
        assert_eq!(value(bytes("\u{1}"), ColumnType::MYSQL_TYPE_BIT, 63), Value::Int(1));
        assert_eq!(
            value(Given::UInt(u64::MAX), ColumnType::MYSQL_TYPE_LONGLONG, 63),
            Value::Decimal("18446744073709551615".to_owned())
        );
        let moment = Given::Date(2026, 1, 31, 12, 0, 5, 500_000);
        assert_eq!(value(moment.clone(), ColumnType::MYSQL_TYPE_TIMESTAMP, 63), text("2026-01-31T12:00:05.5Z"));
        assert_eq!(value(moment.clone(), ColumnType::MYSQL_TYPE_DATETIME, 63), text("2026-01-31T12:00:05.5"));
        assert_eq!(value(moment, ColumnType::MYSQL_TYPE_DATE, 63), text("2026-01-31"));
        let time = Given::Time(true, 1, 2, 3, 4, 0);
        assert_eq!(value(time, ColumnType::MYSQL_TYPE_TIME, 63), text("-26:03:04"));
    }
}
