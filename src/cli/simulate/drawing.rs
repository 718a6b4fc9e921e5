//! A drawing of how a file spreads: above, how many peers have each chunk; below, how much of the file each peer has.
//! Time runs to the right in both.

use std::fmt::Write;

use crate::sim::{Spread, SwarmSpec};
use crate::types::Time;

/// Columns of time, and the most rows of chunks and of peers; each cell is so wide and high.
const COLUMNS: usize = 240;
const ROWS_MAX: usize = 128;
const CELL: usize = 3;
/// Shades between nothing and all.
const SHADES: usize = 32;
/// Room for words, left and above each panel.
const LEFT: usize = 70;
const ABOVE: usize = 36;

/// One panel: for each row and column, how much of all there is, from 0 to 1.
struct Panel {
    title: String,
    rows: usize,
    share: Vec<f64>,
}

/// The drawing as SVG.
pub(super) fn drawn(spec: &SwarmSpec, spread: &Spread) -> String {
    let begin = spec.starts_at(1);
    let complete = (1..=spec.peers).filter_map(|peer| spread.complete_at(peer)).max();
    let end = complete.max(spread.arrivals().last().map(|last| last.at)).unwrap_or(begin);
    let span = end.since(begin);
    let chunks = spread.chunks().max(1) as usize;
    let column = |at: Time| {
        let part = at.since(begin).as_secs_f64() / span.as_secs_f64().max(f64::MIN_POSITIVE);
        // Between 0 and the number of columns.
        ((part * COLUMNS as f64) as usize).min(COLUMNS - 1)
    };
    let by_chunk = spread.arrivals().iter().map(|came| (came.chunk as usize, column(came.at)));
    let by_peer = spread
        .arrivals()
        .iter()
        .filter(|came| came.host > 0)
        .map(|came| (came.host as usize - 1, column(came.at)));
    let panels = [
        Panel::of(format!("{chunks} chunks: how many peers have each"), chunks, spec.peers, by_chunk),
        Panel::of(format!("{} peers: how much each has", spec.peers), spec.peers, chunks, by_peer),
    ];
    let height: usize = panels.iter().map(|panel| ABOVE + panel.rows * CELL).sum::<usize>() + 30;
    let width = LEFT + COLUMNS * CELL + 20;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut top = 0;
    for panel in &panels {
        top += ABOVE;
        panel.draw(&mut svg, top);
        top += panel.rows * CELL;
    }
    let (right, bottom) = (LEFT + COLUMNS * CELL, top + 18);
    // Writing into a String cannot fail.
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{bottom}\">0 s</text>\n\
         <text x=\"{right}\" y=\"{bottom}\" text-anchor=\"end\">{:.1} s</text>\n</svg>\n",
        span.as_secs_f64()
    );
    svg
}

impl Panel {
    /// Of `lines` things, each of which grows by one part of `parts` in a column; several share a row where they are many.
    fn of(title: String, lines: usize, parts: usize, grown: impl Iterator<Item = (usize, usize)>) -> Panel {
        let rows = lines.clamp(1, ROWS_MAX);
        let mut share = vec![0.0; rows * COLUMNS];
        for (line, column) in grown {
            let row = (line * rows / lines.max(1)).min(rows - 1);
            share[row * COLUMNS + column] += rows as f64 / (lines.max(1) * parts.max(1)) as f64;
        }
        for row in share.chunks_mut(COLUMNS) {
            let mut sum = 0.0;
            for cell in row {
                sum += *cell;
                *cell = f64::min(sum, 1.0);
            }
        }
        Panel { title, rows, share }
    }

    /// Draws it with its upper edge at `top`: neighbours of one shade are one rectangle.
    fn draw(&self, svg: &mut String, top: usize) {
        // Writing into a String cannot fail.
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\">{}</text>", top - 8, self.title);
        for (row, cells) in self.share.chunks(COLUMNS).enumerate() {
            let shade = |cell: &f64| (cell * SHADES as f64).ceil() as usize;
            let mut from = 0;
            while let Some(first) = cells.get(from) {
                let same = cells[from..].iter().take_while(|cell| shade(cell) == shade(first)).count();
                let (x, y) = (LEFT + from * CELL, top + row * CELL);
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{CELL}\" fill=\"{}\"/>",
                    same * CELL,
                    colour(shade(first))
                );
                from += same;
            }
        }
    }
}

/// From nearly white, for nothing, to dark blue, for all.
fn colour(shade: usize) -> String {
    let between = |from: usize, to: usize| from - (from - to) * shade.min(SHADES) / SHADES;
    format!("#{:02x}{:02x}{:02x}", between(240, 8), between(243, 48), between(247, 107))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Swarm;

    #[test]
    fn it_begins_white_and_ends_dark() {
        let spec = SwarmSpec { peers: 3, size: 1 << 20, keeps_arrivals: true, ..SwarmSpec::default() };
        let mut swarm = Swarm::new(spec).unwrap();
        while swarm.go_on(1_000).unwrap() {}
        let svg = drawn(swarm.spec(), swarm.spread());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains(&colour(0)) && svg.contains(&colour(SHADES)));
        assert!(svg.contains("64 chunks") && svg.contains("3 peers"));
    }

    #[test]
    fn many_lines_share_rows_and_shares_add_up() {
        let grown = (0..1_000).map(|line| (line, line * COLUMNS / 1_000));
        let panel = Panel::of(String::new(), 1_000, 1, grown);
        assert_eq!(panel.rows, ROWS_MAX);
        assert!(panel.share.chunks(COLUMNS).all(|row| (row[COLUMNS - 1] - 1.0).abs() < 0.11));
    }
}
