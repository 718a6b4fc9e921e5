//! Sizes for people.

/// Units of size and their bytes.
const UNITS: [(&str, u128); 6] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("EiB", 1 << 60),
];

/// A size such as `512 B`, `1.0 KiB`, `23.4 MiB`.
pub fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let tenths = u128::from(bytes).saturating_mul(10);
    let sized = |(unit, one): (&'static str, u128)| {
        (tenths.saturating_add(one / 2).checked_div(one).unwrap_or_default(), unit)
    };
    // The next unit is used when the rounded figure would be 1024.0.
    let (tenths, unit) =
        UNITS.into_iter().map(sized).find(|(tenths, _)| *tenths < 10_240).unwrap_or_default();
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}
