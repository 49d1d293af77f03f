//! Bytes, counts, times and tables as people read them.

/// Writes bytes with decimal units, as registries and docker count them: `12.3 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Writes how many there are of something: `1 image`, `3 images`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Writes a time: `0.4s`, `12.3s`, `2m05s`, `1h02m`.
#[must_use]
pub fn seconds(value: f64) -> String {
    if value < 59.95 {
        return format!("{value:.1}s");
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded, not negative, and a time that fits"
    )]
    let whole = value.round().max(0.0) as u64;
    if whole < 3600 {
        format!("{}m{:02}s", whole / 60, whole % 60)
    } else {
        format!("{}h{:02}m", whole / 3600, whole % 3600 / 60)
    }
}

/// Lays rows out in columns, two spaces apart, without blanks at the ends of lines.
#[must_use]
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        let sizes = [
            0,
            999,
            1000,
            999_949,
            999_950,
            12_345_678,
            5_000_000_000_000_000,
        ];
        let texts = sizes.map(bytes);
        assert_eq!(
            texts,
            [
                "0 B",
                "999 B",
                "1.0 kB",
                "999.9 kB",
                "1.0 MB",
                "12.3 MB",
                "5000.0 TB"
            ]
        );
        let texts = [0.04, 59.9, 60.0, 125.4, 3725.0].map(seconds);
        assert_eq!(texts, ["0.0s", "59.9s", "1m00s", "2m05s", "1h02m"]);
    }

    #[test]
    fn tables() {
        let rows = [["A", "LONG"], ["xyz", "é"], ["", "b"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), "A    LONG\nxyz  é\n     b\n");
    }
}
