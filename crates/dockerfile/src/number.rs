//! Numbers, sizes and durations as Go's standard library and Docker's units read them.

/// Reads an unsigned number that fits 32 bits.
pub(crate) fn unsigned(text: &str, radix: u32) -> Option<u32> {
    let digits = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    digits.then(|| u32::from_str_radix(text, radix).ok())?
}

/// Reads a whole number with an optional sign, as `strconv.Atoi` does.
pub(crate) fn signed(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

/// Reads a size of memory such as `64m`, `1.5GiB` or `512`, in bytes.
pub(crate) fn memory_size(text: &str) -> Option<i64> {
    let at = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '))?;
    let (number, unit) = text.split_at(at + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let number: f64 = number.parse().ok()?;
    if number < 0.0 || !number.is_finite() {
        return None;
    }
    let unit = unit.to_lowercase();
    let factor = match unit.as_bytes() {
        [] => 0,
        [b'b'] => 0,
        [first] | [first, b'b'] | [first, b'i', b'b'] => {
            1 + b"kmgtp".iter().position(|letter| letter == first)?
        }
        _ => return None,
    };
    Some((number * 1024_f64.powi(i32::try_from(factor).ok()?)) as i64)
}

/// Reads a duration such as `1m30s` or `1.5h`, in nanoseconds.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if unsigned == "0" {
        return Some(0);
    }
    if unsigned.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = match behind.strip_prefix('.') {
            Some(behind) => digits(behind),
            None => ("", behind),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let length = behind
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(behind.len());
        let unit = unit(&behind[..length])?;
        rest = &behind[length..];
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let mut part = whole.checked_mul(unit)?;
        if !fraction.is_empty() {
            let fraction: f64 = format!("0.{fraction}").parse().ok()?;
            part = part.checked_add((fraction * unit as f64) as u64)?;
        }
        total = total.checked_add(part).filter(|total| *total <= 1 << 63)?;
    }
    if negative {
        return Some(0_i64.wrapping_sub_unsigned(total));
    }
    i64::try_from(total).ok()
}

fn digits(text: &str) -> (&str, &str) {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(length)
}

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{duration, memory_size, signed, unsigned};

    #[test]
    fn reads_numbers() {
        assert_eq!(unsigned("0755", 8), Some(0o755));
        assert_eq!(unsigned("4294967295", 10), Some(u32::MAX));
        for bad in ["", "+1", "-1", "8", "4294967296"] {
            assert_eq!(unsigned(bad, 8), None, "{bad}");
        }
        assert_eq!(signed("+07"), Some(7));
        assert_eq!(signed("-1"), Some(-1));
        for bad in ["", "+", "1x", "99999999999999999999"] {
            assert_eq!(signed(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [
            ("64m", 64 << 20),
            ("1.5 GiB", 3 << 29),
            ("512", 512),
            ("1kb", 1024),
            ("7B", 7),
        ] {
            assert_eq!(memory_size(text), Some(bytes), "{text}");
        }
        for bad in ["", "m", "-1m", "1x", "1mm", "1  m"] {
            assert_eq!(memory_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_durations() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("-1ms", -1_000_000),
            ("+5us", 5_000),
        ] {
            assert_eq!(duration(text), Some(nanoseconds), "{text}");
        }
        for bad in ["", "1", "s", "1x", "-", ".s", "1d", "9999999999999h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
