//! Rows of fields as an aligned table.

use crate::cli::human;
use crate::cli::show::safe;

/// The most columns of the screen that a field takes.
const FIELD_COLUMNS_MAX: usize = 40;
/// The most fields of a row.
const FIELDS_MAX: usize = 64;
/// What stands between two fields.
const GAP: &str = "  ";

/// The lines of a table, and whether rows are missing. Where the text is cut, its last record is left out.
pub(super) fn lines(
    bytes: &[u8],
    delimiter: u8,
    columns: usize,
    rows_max: usize,
    is_whole: bool,
) -> (Vec<String>, bool) {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
    let mut records = reader.byte_records().map_while(Result::ok);
    let mut rows: Vec<Vec<String>> = records.by_ref().take(rows_max).map(|record| row(&record)).collect();
    let more = records.next().is_some();
    if !is_whole && !more {
        rows.pop();
    }
    let fields = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width_of = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|f| human::width(f)).max();
    let widths: Vec<usize> = (0..fields).map(|at| width_of(at).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(field, width)| {
            let fill = width.saturating_sub(human::width(field));
            format!("{field}{}", " ".repeat(fill))
        });
        human::cut(cells.collect::<Vec<_>>().join(GAP).trim_end(), columns)
    };
    (rows.iter().map(line).collect(), more)
}

fn row(record: &csv::ByteRecord) -> Vec<String> {
    let field = |bytes: &[u8]| {
        // A field that is cut anyway need not be made safe as a whole.
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(FIELD_COLUMNS_MAX * 8)]);
        human::shortened(&safe(&text), FIELD_COLUMNS_MAX)
    };
    record.iter().take(FIELDS_MAX).map(field).collect()
}
