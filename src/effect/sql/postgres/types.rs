//! Values in PostgreSQL's forms: parameters as text, rows in binary.

use std::error::Error;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::BytesMut;
use jiff::Span;
use jiff::civil::{DateTime, date};
use jiff::tz::Offset;
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

use super::{array, numeric};
use crate::effect::sql::Value;

type Bad = Box<dyn Error + Sync + Send>;

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Bad> {
        let text = match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Bool(flag) => flag.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) if number.is_infinite() => {
                if *number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
            }
            Self::Float(number) => number.to_string(),
            Self::Decimal(text) | Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => format!("\\x{}", hex::encode(bytes)),
            Self::Json(text) => match (kind.kind(), serde_json::from_str(text)) {
                (Kind::Array(_), Ok(serde_json::Value::Array(list))) => array::written(&list),
                _ => text.clone(),
            },
            Self::List(_) => return Err("a list is given as JSON".into()),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A value of a row.
pub(super) struct Taken(pub(super) Value);

impl<'a> FromSql<'a> for Taken {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Bad> {
        read(kind, raw).map(Self)
    }

    fn from_sql_null(_: &Type) -> Result<Self, Bad> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A value in its binary form.
pub(super) fn read(kind: &Type, raw: &[u8]) -> Result<Value, Bad> {
    match kind.kind() {
        Kind::Array(element) => return array::read(element, raw),
        Kind::Domain(inner) => return read(inner, raw),
        Kind::Enum(_) => return text(raw),
        _ => {}
    }
    Ok(match *kind {
        Type::BOOL => Value::Bool(raw.first() == Some(&1)),
        Type::INT2 => Value::Int(i16::from_be_bytes(raw.try_into()?).into()),
        Type::INT4 => Value::Int(i32::from_be_bytes(raw.try_into()?).into()),
        Type::INT8 => Value::Int(i64::from_be_bytes(raw.try_into()?)),
        Type::OID | Type::XID | Type::CID => Value::Int(u32::from_be_bytes(raw.try_into()?).into()),
        // By its shortest text: 0.1 stays 0.1.
        Type::FLOAT4 => Value::Float(f32::from_be_bytes(raw.try_into()?).to_string().parse()?),
        Type::FLOAT8 => Value::Float(f64::from_be_bytes(raw.try_into()?)),
        Type::NUMERIC => Value::Decimal(numeric::read(raw).ok_or("the number cannot be read")?),
        Type::BYTEA => Value::Bytes(raw.to_vec()),
        Type::JSON => Value::Json(std::str::from_utf8(raw)?.to_owned()),
        Type::JSONB => Value::Json(std::str::from_utf8(raw.get(1..).unwrap_or_default())?.to_owned()),
        Type::UUID => Value::Text(uuid::Uuid::from_slice(raw)?.to_string()),
        Type::DATE => Value::Text(day(i32::from_be_bytes(raw.try_into()?))?),
        Type::TIME => Value::Text(clock(i64::from_be_bytes(raw.try_into()?))?),
        Type::TIMETZ => {
            let (micros, west) = raw.split_at_checked(8).ok_or("the time ends early")?;
            let offset = Offset::from_seconds(-i32::from_be_bytes(west.try_into()?))?;
            Value::Text(format!("{}{}", clock(i64::from_be_bytes(micros.try_into()?))?, shown(offset)))
        }
        Type::TIMESTAMP => Value::Text(moment(i64::from_be_bytes(raw.try_into()?), "")?),
        Type::TIMESTAMPTZ => Value::Text(moment(i64::from_be_bytes(raw.try_into()?), "Z")?),
        Type::INTERVAL => Value::Text(interval(raw)?),
        Type::INET | Type::CIDR => Value::Text(address(raw, *kind == Type::CIDR)?),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::XML | Type::CHAR => text(raw)?,
        Type::VOID => Value::Null,
        _ if ["citext", "ltree"].contains(&kind.name()) => text(raw)?,
        _ => {
            let name = kind.name();
            return Err(
                format!("a column has the type `{name}`, which has no value here; hint: cast it: `…::text`").into()
            );
        }
    })
}

fn text(raw: &[u8]) -> Result<Value, Bad> {
    Ok(Value::Text(std::str::from_utf8(raw)?.to_owned()))
}

/// Where PostgreSQL counts from.
fn epoch() -> DateTime {
    date(2000, 1, 1).at(0, 0, 0, 0)
}

fn day(days: i32) -> Result<String, Bad> {
    match days {
        i32::MAX => Ok("infinity".to_owned()),
        i32::MIN => Ok("-infinity".to_owned()),
        days => Ok(epoch().date().checked_add(Span::new().try_days(days)?)?.to_string()),
    }
}

fn moment(micros: i64, zone: &str) -> Result<String, Bad> {
    match micros {
        i64::MAX => Ok("infinity".to_owned()),
        i64::MIN => Ok("-infinity".to_owned()),
        micros => Ok(format!("{}{zone}", epoch().checked_add(Span::new().try_microseconds(micros)?)?)),
    }
}

fn clock(micros: i64) -> Result<String, Bad> {
    if micros == 86_400_000_000 {
        return Ok("24:00:00".to_owned());
    }
    let time = epoch().checked_add(Span::new().try_microseconds(micros)?)?.time();
    Ok(time.to_string())
}

fn shown(offset: Offset) -> String {
    let minutes = offset.seconds() / 60;
    format!("{}{:02}:{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60)
}

/// As ISO 8601 writes durations: `P1Y2M3DT4H5M6.5S`.
fn interval(raw: &[u8]) -> Result<String, Bad> {
    let (micros, rest) = raw.split_at_checked(8).ok_or("the interval ends early")?;
    let (days, months) = rest.split_at_checked(4).ok_or("the interval ends early")?;
    let micros = i64::from_be_bytes(micros.try_into()?);
    let (days, months) = (i32::from_be_bytes(days.try_into()?), i32::from_be_bytes(months.try_into()?));
    let mut out = "P".to_owned();
    for (number, unit) in [(months / 12, 'Y'), (months % 12, 'M'), (days, 'D')] {
        if number != 0 {
            write!(out, "{number}{unit}")?;
        }
    }
    let seconds = micros / 1_000_000;
    let (hours, minutes, seconds, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60, micros % 1_000_000);
    if micros != 0 {
        out.push('T');
    }
    for (number, unit) in [(hours, 'H'), (minutes, 'M')] {
        if number != 0 {
            write!(out, "{number}{unit}")?;
        }
    }
    if seconds != 0 || rest != 0 {
        let sign = if micros < 0 { "-" } else { "" };
        let fraction = if rest == 0 { String::new() } else { format!(".{:06}", rest.abs()) };
        write!(out, "{sign}{}{}S", seconds.abs(), fraction.trim_end_matches('0'))?;
    }
    Ok(if out == "P" { "PT0S".to_owned() } else { out })
}

fn address(raw: &[u8], is_net: bool) -> Result<String, Bad> {
    let (head, bytes) = raw.split_at_checked(4).ok_or("the address ends early")?;
    let (address, whole): (IpAddr, u8) = match bytes.len() {
        4 => (Ipv4Addr::from(<[u8; 4]>::try_from(bytes)?).into(), 32),
        _ => (Ipv6Addr::from(<[u8; 16]>::try_from(bytes)?).into(), 128),
    };
    Ok(if is_net || head[1] != whole { format!("{address}/{}", head[1]) } else { address.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: &Type, raw: &[u8]) -> String {
        match read(kind, raw).expect("reads") {
            Value::Text(text) | Value::Decimal(text) | Value::Json(text) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn times_are_iso_8601() {
        assert_eq!(shown(&Type::DATE, &9_526_i32.to_be_bytes()), "2026-01-30");
        assert_eq!(shown(&Type::DATE, &(-1_i32).to_be_bytes()), "1999-12-31");
        assert_eq!(shown(&Type::TIMESTAMP, &1_500_000_i64.to_be_bytes()), "2000-01-01T00:00:01.5");
        assert_eq!(shown(&Type::TIMESTAMPTZ, &(-1_000_000_i64).to_be_bytes()), "1999-12-31T23:59:59Z");
        assert_eq!(shown(&Type::TIMESTAMPTZ, &i64::MAX.to_be_bytes()), "infinity");
        assert_eq!(shown(&Type::TIME, &3_661_000_000_i64.to_be_bytes()), "01:01:01");
        let with_zone = [&3_600_000_000_i64.to_be_bytes()[..], &(-7_200_i32).to_be_bytes()].concat();
        assert_eq!(shown(&Type::TIMETZ, &with_zone), "01:00:00+02:00");
    }

    #[test]
    fn intervals_are_iso_8601() {
        let raw = |micros: i64, days: i32, months: i32| {
            [&micros.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat()
        };
        assert_eq!(shown(&Type::INTERVAL, &raw(14_706_500_000, 3, 14)), "P1Y2M3DT4H5M6.5S");
        assert_eq!(shown(&Type::INTERVAL, &raw(0, 0, 0)), "PT0S");
        assert_eq!(shown(&Type::INTERVAL, &raw(-1_500_000, 0, 0)), "PT-1.5S");
    }

    #[test]
    fn other_types_are_what_one_expects() {
        assert_eq!(shown(&Type::INET, &[2, 32, 0, 4, 10, 0, 0, 1]), "10.0.0.1");
        assert_eq!(shown(&Type::CIDR, &[2, 8, 1, 4, 10, 0, 0, 0]), "10.0.0.0/8");
        assert_eq!(shown(&Type::JSONB, b"\x01{\"a\":1}"), "{\"a\":1}");
        assert_eq!(read(&Type::FLOAT4, &0.1_f32.to_be_bytes()).expect("reads"), Value::Float(0.1));
        let point = read(&Type::POINT, &[0; 16]).expect_err("is not known").to_string();
        assert!(point.contains("`point`") && point.contains("hint: cast it"), "{point}");
        assert!(
            read(&Type::INT4, &[1]).is_err() && read(&Type::DATE, &i32::MAX.wrapping_sub(1).to_be_bytes()).is_err()
        );
    }

    #[test]
    fn arrays_of_arrays_are_lists_of_lists() {
        let int = |n: i32| [&4_i32.to_be_bytes()[..], &n.to_be_bytes()].concat();
        let head: Vec<u8> = [2_i32, 0, 23, 2, 1, 2, 1].iter().flat_map(|n| n.to_be_bytes()).collect();
        let raw = [head, int(1), int(2), int(3), (-1_i32).to_be_bytes().to_vec()].concat();
        let list = |items: &[Value]| Value::List(items.to_vec());
        let expected = list(&[list(&[Value::Int(1), Value::Int(2)]), list(&[Value::Int(3), Value::Null])]);
        assert_eq!(read(&Type::INT4_ARRAY, &raw).expect("reads"), expected);
        assert_eq!(read(&Type::INT4_ARRAY, &[0; 12]).expect("reads"), list(&[]));
        assert!(read(&Type::INT4_ARRAY, &[0, 0, 0, 1]).is_err());
    }
}
