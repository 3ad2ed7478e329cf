//! What lists can do beside the language's own: `join`, `sum`, `group_by`, `unique`, `chunk`. Pure; functions and methods.

use std::collections::BTreeSet;

use rhai::{Array, Dynamic, FnPtr, Map};
use rust_decimal::Decimal;

use super::fail::Fail;
use super::function::{Call, Function, Nature, type_of};
use super::json::check_length;
use crate::script::sandbox::check_nesting;
use crate::script::{guard, value};

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "join",
        params: &["list: list", "separator: string?"],
        returns: "string",
        nature: Nature::Pure,
        doc: "The items of a list as one text, with the separator between them.",
        example: "[\"a\", \"b\", 3].join(\", \")",
        call: join,
        ..Function::BASE
    },
    Function {
        name: "sum",
        params: &["list: list", "of: closure?"],
        returns: "int, decimal or float",
        nature: Nature::Pure,
        doc: "The sum of the items, or of what the closure makes of each; 0 for an empty list. Exact over integers and decimals; \
              decimals and floats do not mix.",
        example: "[#{ total: decimal(\"1.50\") }, #{ total: 2 }].sum(|x| x.total)",
        call: sum,
        ..Function::BASE
    },
    Function {
        name: "group_by",
        params: &["list: list", "key: closure"],
        returns: "map of lists",
        nature: Nature::Pure,
        doc: "A map from each key that the closure returns (a text, number or boolean, as text) to the items with it, in their order.",
        example: "[1, 2, 3].group_by(|x| if x % 2 == 0 { \"even\" } else { \"odd\" }).odd",
        call: group_by,
        ..Function::BASE
    },
    Function {
        name: "unique",
        params: &["list: list", "by: closure?"],
        returns: "list",
        nature: Nature::Pure,
        doc: "The items without repeats, or without repeats of what the closure makes of them; the first of each stays.",
        example: "[3, 1, 3].unique()",
        call: unique,
        ..Function::BASE
    },
    Function {
        name: "chunk",
        params: &["list: list", "size: int"],
        returns: "list of lists",
        nature: Nature::Pure,
        doc: "The items in lists of this size; the last one may be shorter.",
        example: "[1, 2, 3, 4, 5].chunk(2)",
        call: chunk,
        ..Function::BASE
    },
];

/// The list that is the first argument.
pub(super) fn items(call: &Call<'_>, n: usize) -> Result<Array, Fail> {
    let given = &call.args[n];
    let name = call.function.params[n].split(':').next().unwrap_or("list");
    let wrong = || call.invalid(format!("`{name}` must be a list, not {}", type_of(given)));
    given.clone().try_cast::<Array>().ok_or_else(wrong)
}

fn each(call: &Call<'_>, closure: &FnPtr, item: Dynamic) -> Result<Dynamic, Fail> {
    guard::check()?;
    super::pure(|| closure.call_within_context::<Dynamic>(&call.context, (item,)))
}

/// A value as part of a text: nested data as JSON, a secret as its placeholder.
pub(super) fn plain(call: &Call<'_>, value: &Dynamic) -> Result<String, Fail> {
    if value.is_string() || value.is_char() || value.is_int() || value.is_bool() || value.is_decimal() {
        return Ok(value.to_string());
    }
    if value.is_unit() {
        return Ok(String::new());
    }
    if let Ok(number) = value.as_float() {
        return Ok(if number.is_finite() { value.to_string() } else { number.to_string() });
    }
    let text = value::to_json_text(value, false).map_err(|bad| call.invalid(bad.to_string()))?;
    Ok(text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map(str::to_owned).unwrap_or(text))
}

fn join(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let list = items(call, 0)?;
    let separator = if call.args.len() > 1 { call.text(1)? } else { String::new() };
    let mut text = String::new();
    for (index, item) in list.iter().enumerate() {
        guard::check()?;
        if index > 0 {
            text.push_str(&separator);
        }
        text.push_str(&plain(call, item)?);
        check_length(call, text.len())?;
    }
    Ok(text.into())
}

/// A sum so far: exact until a float comes.
#[derive(Clone, Copy)]
enum Sum {
    Int(i64),
    Decimal(Decimal),
    Float(f64),
}

impl Sum {
    fn of(value: &Dynamic) -> Option<Self> {
        let int = value.as_int().map(Self::Int);
        int.or_else(|_| value.as_decimal().map(Self::Decimal)).or_else(|_| value.as_float().map(Self::Float)).ok()
    }

    fn plus(self, other: Self) -> Result<Self, &'static str> {
        let large = "the sum is larger than a number can be; hint: `decimal` takes up to 28 digits";
        Ok(match (self, other) {
            (Self::Int(a), Self::Int(b)) => Self::Int(a.checked_add(b).ok_or(large)?),
            (Self::Float(a), Self::Float(b)) => Self::Float(a + b),
            (Self::Float(a), Self::Int(b)) | (Self::Int(b), Self::Float(a)) => Self::Float(a + b as f64),
            (Self::Decimal(a), Self::Decimal(b)) => Self::Decimal(a.checked_add(b).ok_or(large)?),
            (Self::Decimal(a), Self::Int(b)) | (Self::Int(b), Self::Decimal(a)) => {
                Self::Decimal(a.checked_add(b.into()).ok_or(large)?)
            }
            _ => {
                return Err("a float and a decimal have no exact sum; hint: make decimals of the floats: `decimal(x)`");
            }
        })
    }
}

fn sum(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let list = items(call, 0)?;
    let of = if call.args.len() > 1 { Some(call.closure(1)?) } else { None };
    let mut total = Sum::Int(0);
    for (index, item) in list.into_iter().enumerate() {
        guard::check()?;
        let item = match &of {
            Some(of) => each(call, of, item)?,
            None => item,
        };
        let found = type_of(&item);
        let number = Sum::of(&item).ok_or_else(|| call.invalid(format!("item {index} is no number but {found}")))?;
        total = total.plus(number).map_err(|why| call.invalid(why))?;
    }
    Ok(match total {
        Sum::Int(sum) => sum.into(),
        Sum::Decimal(sum) => sum.into(),
        Sum::Float(sum) => sum.into(),
    })
}

fn group_by(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let list = items(call, 0)?;
    let key = call.closure(1)?;
    let mut groups: std::collections::BTreeMap<String, Array> = std::collections::BTreeMap::new();
    for item in list {
        let found = each(call, &key, item.clone())?;
        let plain = found.is_string() || found.is_char() || found.is_int() || found.is_bool() || found.is_decimal();
        if !plain {
            let hint = "hint: return a text, a whole number or a boolean";
            return Err(call.invalid(format!("a key cannot be {}; {hint}", type_of(&found))));
        }
        groups.entry(found.to_string()).or_default().push(item);
    }
    let map: Map = groups.into_iter().map(|(key, items)| (key.into(), Dynamic::from_array(items))).collect();
    let map = Dynamic::from_map(map);
    check_nesting(&map)?;
    Ok(map)
}

fn unique(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let list = items(call, 0)?;
    let by = if call.args.len() > 1 { Some(call.closure(1)?) } else { None };
    let mut seen = BTreeSet::new();
    let mut kept = Array::new();
    for item in list {
        guard::check()?;
        let key = match &by {
            Some(by) => each(call, by, item.clone())?,
            None => item.clone(),
        };
        // Equal values have equal texts in the journal's form.
        let text = value::encode(&key).map_err(|bad| call.invalid(bad.within("item")))?.text().to_owned();
        if seen.insert(text) {
            kept.push(item);
        }
    }
    Ok(kept.into())
}

fn chunk(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let list = items(call, 0)?;
    let given = call.int(1)?;
    let size = usize::try_from(given).ok().filter(|size| *size > 0);
    let size = size.ok_or_else(|| call.invalid(format!("`size` is at least 1, not {given}")))?;
    let chunks = Dynamic::from_array(list.chunks(size).map(|part| Dynamic::from_array(part.to_vec())).collect());
    check_nesting(&chunks)?;
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::{run, shown};

    #[test]
    fn lists_are_joined_summed_grouped_and_cut() {
        assert_eq!(shown("[\"a\", 2, decimal(\"1.50\"), [1], ()].join(\"-\")"), "a-2-1.50-[1]-");
        assert_eq!(shown("[].join()"), "");
        assert_eq!(shown("[1, 2, 3, 4, 5].chunk(2)"), "[[1, 2], [3, 4], [5]]");
        assert_eq!(shown("[3, 1, 3, \"3\", 1].unique()"), "[3, 1, \"3\"]");
        assert_eq!(shown("[\"ab\", \"ba\", \"b\"].unique(|x| x.len())"), "[\"ab\", \"b\"]");
        assert_eq!(shown("[1, 2, 3].group_by(|x| x % 2 == 0)"), "#{\"false\": [1, 3], \"true\": [2]}");
    }

    #[test]
    fn sums_are_exact_or_say_why_not() {
        assert_eq!(shown("[1, 2].sum() + sum([])"), "3");
        assert_eq!(shown("[decimal(\"0.1\"), 1, decimal(\"0.2\")].sum()"), "1.3");
        assert_eq!(shown("[1.5, 2].sum()"), "3.5");
        assert!(shown("[decimal(1), 0.5].sum()").contains("hint: make decimals of the floats"));
        assert!(shown("[9223372036854775807, 1].sum()").contains("larger than a number can be"));
        assert!(shown("[1, \"2\"].sum()").contains("item 1 is no number but a text"));
    }

    #[test]
    fn the_list_itself_stays_as_it_is() {
        assert_eq!(run("let l = [2, 2]; l.unique(); l.chunk(1); l.sum(); l.len()").unwrap().as_int(), Ok(2));
        assert!(shown("[1].chunk(0)").contains("at least 1"));
        assert!(shown("\"abc\".join(1)").contains("`list` must be a list"));
        assert!(shown("[1].group_by(|x| [x])").contains("a key cannot be a list"));
    }
}
