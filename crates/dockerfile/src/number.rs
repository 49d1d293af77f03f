//! Numbers, sizes and durations as Go's standard library and Docker's units read them.

/// Reads a whole number with an optional sign, as `strconv.Atoi` does.
pub(crate) fn signed(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().ok())?
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
    use super::{duration, signed};

    #[test]
    fn reads_numbers() {
        assert_eq!(signed("+07"), Some(7));
        assert_eq!(signed("-1"), Some(-1));
        for bad in ["", "+", "1x", "99999999999999999999"] {
            assert_eq!(signed(bad), None, "{bad}");
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
