//! JSON, indented. The order of keys and the digits of numbers stay as they were written.

/// The lines of a JSON text; `bytes` were found to be one.
pub(super) fn indented(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let (mut lines, mut line, mut depth) = (Vec::new(), String::new(), 0_usize);
    let mut chars = text.chars().filter(|c| !c.is_whitespace() || *c == ' ').peekable();
    let (mut in_string, mut escaped) = (false, false);
    while let Some(c) = chars.next() {
        if in_string {
            line.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            ' ' => {}
            '"' => {
                line.push(c);
                in_string = true;
            }
            '{' | '[' => {
                line.push(c);
                while chars.next_if_eq(&' ').is_some() {}
                match chars.next_if(|next| matches!(next, '}' | ']')) {
                    Some(closing) => line.push(closing),
                    None => {
                        lines.push(std::mem::take(&mut line));
                        depth += 1;
                        line.push_str(&indent(depth));
                    }
                }
            }
            '}' | ']' => {
                lines.push(std::mem::take(&mut line));
                depth = depth.saturating_sub(1);
                line.push_str(&indent(depth));
                line.push(c);
            }
            ',' => {
                line.push(c);
                lines.push(std::mem::take(&mut line));
                line.push_str(&indent(depth));
            }
            ':' => line.push_str(": "),
            _ => line.push(c),
        }
    }
    lines.push(line);
    lines
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}
