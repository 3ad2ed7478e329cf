//! Exact numbers: `decimal`, `round`, `decimal::format`. Pure.

use rhai::Dynamic;
use rust_decimal::prelude::ToPrimitive as _;
use rust_decimal::{Decimal, RoundingStrategy};

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, type_of};
use super::schema::read_decimal;

/// Digits behind the point that a decimal can have.
const MOST_PLACES: u32 = 28;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "decimal",
        params: &["number: string or number"],
        returns: "decimal",
        nature: Nature::Declarative,
        doc: "An exact decimal number of up to 28 digits. With integers and decimals it calculates exactly; with floats it does not mix.",
        example: "decimal(\"10.20\") + 1",
        call: decimal,
        ..Function::BASE
    },
    Function {
        name: "round",
        params: &["number: decimal or number", "places: int", "mode: string?"],
        returns: "decimal, int or float",
        nature: Nature::Pure,
        doc: "Rounds to so many places behind the point. Modes: `\"half_even\"` (to the even neighbour when it is halfway; the default), \
              `\"half_up\"` (away from zero), `\"half_down\"`, `\"up\"` (away from zero), `\"down\"`, `\"floor\"`, `\"ceiling\"`.",
        example: "decimal(\"2.345\").round(2, \"half_up\")",
        call: round,
        ..Function::BASE
    },
    Function {
        name: "decimal::format",
        params: &["number: decimal or number", "options: map?"],
        options: &[
            Choice::new("places", "int", "digits behind the point, rounded half up; as many as it has unless given"),
            Choice::new("decimal", "string", "the point; `\".\"` unless given"),
            Choice::new("thousands", "string", "between groups of three digits; nothing unless given"),
        ],
        returns: "string",
        nature: Nature::Pure,
        doc: "A number as text for people.",
        example: "decimal::format(decimal(\"1234567.5\"), #{ places: 2, thousands: \".\", decimal: \",\" })",
        call: format,
        ..Function::BASE
    },
];

fn decimal(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let value = &call.args[0];
    if value.is_decimal() {
        return Ok(value.clone());
    }
    let text = match (value.as_int(), value.as_float()) {
        (Ok(number), _) => number.to_string(),
        // The shortest text that means this float: 0.1 is 0.1.
        (_, Ok(number)) => number.to_string(),
        _ => call.text(0)?,
    };
    read_decimal(text.trim()).map(Dynamic::from_decimal).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        call.invalid(format!("\"{shown}\" is no decimal number; hint: write digits with a point, such as \"12.50\""))
    })
}

fn places(call: &Call<'_>, given: i64) -> Result<u32, Fail> {
    let fits = u32::try_from(given).ok().filter(|places| *places <= MOST_PLACES);
    fits.ok_or_else(|| call.invalid(format!("`places` lies between 0 and {MOST_PLACES}, not {given}")))
}

const MODES: [(&str, RoundingStrategy); 7] = [
    ("half_even", RoundingStrategy::MidpointNearestEven),
    ("half_up", RoundingStrategy::MidpointAwayFromZero),
    ("half_down", RoundingStrategy::MidpointTowardZero),
    ("up", RoundingStrategy::AwayFromZero),
    ("down", RoundingStrategy::ToZero),
    ("floor", RoundingStrategy::ToNegativeInfinity),
    ("ceiling", RoundingStrategy::ToPositiveInfinity),
];

fn mode(call: &Call<'_>, n: usize) -> Result<RoundingStrategy, Fail> {
    if call.args.len() <= n {
        return Ok(RoundingStrategy::MidpointNearestEven);
    }
    let name = call.text(n)?;
    let found = MODES.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode);
    found.ok_or_else(|| {
        let names = MODES.map(|(name, _)| name);
        let hint = crate::diag::suggest::did_you_mean(&name, names)
            .unwrap_or_else(|| format!("modes are {}", names.join(", ")));
        call.invalid(format!("there is no mode `{name}`; hint: {hint}"))
    })
}

fn round(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let (places, mode) = (places(call, call.int(1)?)?, mode(call, 2)?);
    let value = &call.args[0];
    if value.is_int() {
        return Ok(value.clone());
    }
    if let Ok(number) = value.as_decimal() {
        return Ok(number.round_dp_with_strategy(places, mode).into());
    }
    let number =
        value.as_float().map_err(|_| call.invalid(format!("`number` must be a number, not {}", type_of(value))))?;
    // As the shortest decimal that means the float; one that is larger than any decimal has no places to round.
    let rounded = read_decimal(&number.to_string()).map(|number| number.round_dp_with_strategy(places, mode));
    Ok(rounded.and_then(|rounded| rounded.to_f64()).unwrap_or(number).into())
}

fn format(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let options = call.options(1)?;
    let number = decimal(call)?.as_decimal().unwrap_or_default();
    let number = match options.int("places")? {
        None => number,
        Some(given) => {
            let places = places(call, given)?;
            let mut rounded = number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
            rounded.rescale(places);
            rounded
        }
    };
    let point = options.text("decimal")?.unwrap_or_else(|| ".".to_owned());
    let thousands = options.text("thousands")?.unwrap_or_default();
    super::json::bounded(call, written(number, &point, &thousands, call)?)
}

fn written(number: Decimal, point: &str, thousands: &str, call: &Call<'_>) -> Result<String, Fail> {
    // Separators of a character or two; longer ones are a slip.
    if point.len() > 8 || thousands.len() > 8 || point.is_empty() {
        return Err(call.invalid("options `decimal` and `thousands` are single characters, such as \",\" and \".\""));
    }
    let text = number.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = if number.is_sign_negative() && !number.is_zero() { "-".to_owned() } else { String::new() };
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push_str(thousands);
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push_str(point);
        out.push_str(fraction);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::shown;

    #[test]
    fn numbers_are_rounded_as_told() {
        assert_eq!(shown("decimal(\"2.345\").round(2)"), "2.34");
        assert_eq!(shown("decimal(\"-2.345\").round(2, \"half_up\")"), "-2.35");
        assert_eq!(
            shown("[\"up\", \"down\", \"floor\", \"ceiling\"].map(|m| round(decimal(\"-1.5\"), 0, m))"),
            "[-2, -1, -2, -1]"
        );
        assert_eq!(
            shown("[round(1.005, 2, \"half_up\"), round(7, 1, \"up\"), round(0.1 + 0.2, 2, \"half_even\")]"),
            "[1.01, 7, 0.3]"
        );
        assert!(shown("round(decimal(1), 29, \"up\")").contains("between 0 and 28"));
        assert!(shown("round(1.5, 0, \"half_upp\")").contains("did you mean `half_up`?"));
    }

    #[test]
    fn numbers_are_written_for_people() {
        let german = "#{ places: 2, thousands: \".\", decimal: \",\" }";
        assert_eq!(shown(&format!("decimal::format(decimal(\"-1234567.555\"), {german})")), "-1.234.567,56");
        assert_eq!(shown(&format!("decimal::format(12, {german})")), "12,00");
        assert_eq!(shown("decimal::format(\"100000.10\", #{ thousands: \" \" })"), "100 000.10");
        assert_eq!(shown("decimal::format(decimal(\"-0.001\"), #{ places: 2 })"), "0.00");
    }

    #[test]
    fn decimals_calculate_exactly_with_integers() {
        assert_eq!(shown("decimal(\"0.1\") + decimal(\"0.2\")"), "0.3");
        assert_eq!(shown("[decimal(\"1.5\") * 2, 3 - decimal(\"0.5\"), decimal(1) / 4]"), "[3.0, 2.5, 0.25]");
        assert_eq!(shown("[decimal(\"1.0\") == 1, decimal(\"0.5\") == 0.5]"), "[true, true]");
        for script in ["decimal(1) + 0.5", "0.5 * decimal(1)", "decimal(\"0.1\") - 0.1"] {
            assert!(shown(script).contains("does not mix a decimal and a float"), "{script}: {}", shown(script));
        }
        assert!(shown("decimal(1) / 0").contains("Division by zero"), "{}", shown("decimal(1) / 0"));
        let large = shown("decimal(\"79228162514264337593543950335\") * 2");
        assert!(large.contains("overflow"), "{large}");
    }
}
