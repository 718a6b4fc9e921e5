//! Durations, sizes and rates as people write them: `250ms`, `60s`, `5m`; `100KiB`, `1MiB`, `2GiB`; `100Mbit`.

use std::time::Duration;

/// Units of time and their nanoseconds.
const TIME_UNITS: [(&str, u64); 5] = [
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Units of size and their bytes.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
];

/// Units of rate and their bits a second.
const RATE_UNITS: [(&str, u64); 3] = [("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)];

/// Below this many bytes a second other peers give up waiting.
const LIMIT_MIN: u64 = 10_000;

/// A duration with its unit, such as `250ms`, `1.5s`, `5m`, `2h`, `7d`; `0` needs none.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    parse(text, &TIME_UNITS).map(Duration::from_nanos).ok_or_else(|| {
        format!("'{}' is not a duration: write for example 250ms, 60s, 5m or 2h", text.escape_debug())
    })
}

/// A duration that is not too short for a repeated action.
pub(crate) fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        short if short < Duration::from_millis(100) => Err("an interval is at least 100ms".to_owned()),
        interval => Ok(interval),
    }
}

/// A size in bytes, such as `4096`, `100KiB`, `1MiB`, `2GB`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    text.parse().ok().or_else(|| parse(text, &SIZE_UNITS)).ok_or_else(|| {
        format!("'{}' is not a size: write for example 4096, 100KiB, 1MiB or 2GiB", text.escape_debug())
    })
}

/// A rate in bytes a second, written as the bits a second that links are sold by, such as `100Mbit`, `1Gbit`.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    parse(text.trim(), &RATE_UNITS)
        .map(|bits| bits / 8)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("'{}' is not a rate: write for example 100Mbit or 1Gbit", text.escape_debug()))
}

/// A limit of what moves, in bytes a second: `10MB` or `500KiB` of bytes, `80Mbit` of bits; `/s` may follow.
pub(crate) fn parse_limit(text: &str) -> Result<u64, String> {
    let rate = text.trim().strip_suffix("/s").unwrap_or(text.trim());
    let bytes = parse_rate(rate).ok().or_else(|| parse(rate, &SIZE_UNITS));
    match bytes {
        Some(few) if few < LIMIT_MIN => {
            Err(format!("'{}' is too little: the least is 10kB", text.escape_debug()))
        }
        Some(bytes) => Ok(bytes),
        None => Err(format!(
            "'{}' is not a rate: write for example 10MB or 80Mbit, a second",
            text.escape_debug()
        )),
    }
}

/// A decimal number followed by a unit (in any case), in the smallest unit, exactly; `None` when it is not that, or
/// too large.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits_end);
    let unit = unit.trim().to_ascii_lowercase();
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let tenths = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale);
    let tenths = tenths / 10u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_add(u64::try_from(tenths).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ok = |text| parse_duration(text).unwrap();
        assert_eq!(ok("250ms"), Duration::from_millis(250));
        assert_eq!(ok("60s"), Duration::from_secs(60));
        assert_eq!(ok("5m"), Duration::from_secs(300));
        assert_eq!(ok("1.5s"), Duration::from_millis(1500));
        assert_eq!(ok("2H"), Duration::from_secs(7200));
        assert_eq!(ok("0"), Duration::ZERO);
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1.s",
            ".5s",
            "1..5s",
            "5 parsecs",
            "99999999999999999999s",
            "600000d",
            "ms5",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert!(parse_interval("10ms").is_err());
    }

    #[test]
    fn limits() {
        let ok = |text| parse_limit(text).unwrap();
        assert_eq!((ok("10MB"), ok("80Mbit"), ok("500KiB/s")), (10_000_000, 10_000_000, 512_000));
        assert_eq!((ok("1.5MB/s"), ok(" 10kb ")), (1_500_000, 10_000));
        for (bad, why) in [
            ("0", "'0' is not a rate: write for example 10MB or 80Mbit, a second"),
            ("100", "'100' is not a rate: write for example 10MB or 80Mbit, a second"),
            ("10kbit", "'10kbit' is too little: the least is 10kB"),
            ("1MB/m", "'1MB/m' is not a rate: write for example 10MB or 80Mbit, a second"),
        ] {
            assert_eq!(parse_limit(bad).unwrap_err(), why);
        }
    }

    #[test]
    fn rates() {
        let ok = |text| parse_rate(text).unwrap();
        assert_eq!((ok("100Mbit"), ok("1gbit"), ok("12.5Mbit")), (12_500_000, 125_000_000, 1_562_500));
        for bad in ["", "100", "0Mbit", "100MB", "fast"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        let ok = |text| parse_size(text).unwrap();
        assert_eq!(ok("4096"), 4096);
        assert_eq!(ok("100KiB"), 102_400);
        assert_eq!(ok("1MiB"), 1 << 20);
        assert_eq!(ok("2GiB"), 2 << 30);
        assert_eq!(ok("1.5kb"), 1500);
        for bad in ["", "1 furlong", "-1", "1.5", "17000000TiB", "KiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
