//! Text → decimal, exactly or not at all.

use rust_decimal::Decimal;

/// The most digits behind the point.
const MOST_PLACES: i64 = Decimal::MAX_SCALE as i64;

/// A decimal as it is written: digits, perhaps with a sign, a point, and an exponent. Not rounded: what does not fit 28 digits is
/// `None`.
pub fn read_decimal(text: &str) -> Option<Decimal> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        None => return read_plain(text),
        Some((digits, exponent)) => (read_plain(digits)?, read_exponent(exponent)?),
    };
    let places = i64::from(digits.scale()).checked_sub(exponent)?;
    if digits.is_zero() {
        return Some(Decimal::new(0, u32::try_from(places.clamp(0, MOST_PLACES)).ok()?));
    }
    // Zeros at the end are no digits that would be lost.
    let digits = if places > MOST_PLACES { digits.normalize() } else { digits };
    let places = i64::from(digits.scale()).checked_sub(exponent)?;
    if places < 0 {
        let factor = 10_i128.checked_pow(u32::try_from(-places).ok()?)?;
        return Decimal::try_from_i128_with_scale(digits.mantissa().checked_mul(factor)?, 0).ok();
    }
    Decimal::try_from_i128_with_scale(digits.mantissa(), u32::try_from(places).ok()?).ok()
}

fn read_plain(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    (all_digits(whole) && all_digits(fraction)).then(|| Decimal::from_str_exact(text).ok())?
}

fn read_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let text = text.strip_prefix('+').unwrap_or(text);
    if all_digits(digits) { text.parse().ok() } else { None }
}

fn all_digits(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::read_decimal;

    fn read(text: &str) -> String {
        read_decimal(text).map_or_else(|| "none".to_owned(), |decimal| decimal.to_string())
    }

    #[test]
    fn exponents_are_exact() {
        for (text, expected) in [
            ("1E-8", "0.00000001"),
            ("0E-8", "0.00000000"),
            ("-1.50e+2", "-150"),
            ("1.25e1", "12.5"),
            ("2E3", "2000"),
            ("0e99999", "0"),
            ("1.00e-27", "0.000000000000000000000000001"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_would_be_rounded_or_is_no_number_is_none() {
        for text in [
            "1e-29",
            "1e29",
            "1.5e-28",
            "9e9223372036854775807",
            "1e-9223372036854775808",
            "1e99999999999999999999",
            "1e",
            "e5",
            "1e1.5",
            "1e+-2",
            "1e--2",
            "+1",
            "1.",
            ".5",
            "79228162514264337593543950335e1",
        ] {
            assert_eq!(read(text), "none", "{text}");
        }
    }
}
