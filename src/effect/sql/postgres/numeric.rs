//! The binary form of `numeric`, digit for digit.

/// The number as it is written; `None` where the bytes are none.
pub(super) fn read(raw: &[u8]) -> Option<String> {
    let word = |index: usize| Some(u16::from_be_bytes(raw.get(index * 2..index * 2 + 2)?.try_into().ok()?));
    let (count, weight, sign, scale) = (word(0)?, word(1)?.cast_signed(), word(2)?, usize::from(word(3)?));
    match sign {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let digits: Vec<u16> = (0..usize::from(count)).map(|index| word(4 + index)).collect::<Option<_>>()?;
    // The group of four digits that stands for 10000^power.
    let group = |power: i32| {
        let index = usize::try_from(i32::from(weight) - power).ok();
        index.and_then(|index| digits.get(index)).copied().unwrap_or_default()
    };
    let mut out = if sign == 0x4000 { "-".to_owned() } else { String::new() };
    out.push_str(&group(i32::from(weight).max(0)).to_string());
    for power in (0..i32::from(weight).max(0)).rev() {
        out.push_str(&format!("{:04}", group(power)));
    }
    if scale > 0 {
        out.push('.');
        let point = out.len();
        for place in 1..=scale.div_ceil(4) {
            out.push_str(&format!("{:04}", group(-(place as i32))));
        }
        out.truncate(point + scale);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
        let head = [digits.len() as u16, weight.cast_unsigned(), sign, scale];
        head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn each_digit_is_kept() {
        for (weight, sign, scale, digits, text) in [
            (0, 0, 2, &[12, 5000][..], "12.50"),
            (0, 0x4000, 2, &[12, 5000], "-12.50"),
            (1, 0, 0, &[1, 2], "10002"),
            (2, 0, 3, &[1], "100000000.000"),
            (-1, 0, 4, &[5], "0.0005"),
            (-2, 0, 8, &[1], "0.00000001"),
            (0, 0, 0, &[], "0"),
            (0, 0, 2, &[], "0.00"),
            (0, 0xC000, 0, &[], "NaN"),
            (4, 0, 6, &[9999, 1, 0, 0, 7, 1234, 5600], "99990001000000000007.123456"),
        ] {
            assert_eq!(read(&binary(weight, sign, scale, digits)).as_deref(), Some(text));
        }
        assert_eq!(read(&[0, 1, 0, 0]), None);
    }
}
