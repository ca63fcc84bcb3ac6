//! Columns.

/// A line for each row, in columns that are as wide as they must be.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
            line = format!("{line}{cell:width$}  ");
        }
        text = text + line.trim_end() + "\n";
    }
    text
}
