//! The result: `figure | measured | target | ok/MISS`.

/// Rows in the order they were measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    /// A figure that may be at most `target`; the texts tell both with their units.
    pub(crate) fn at_most(&mut self, figure: &str, measured: f64, unit: &str, target: f64) {
        let verdict = if measured <= target { "ok" } else { "MISS" };
        self.push(figure, with_unit(measured, unit), format!("<= {}", with_unit(target, unit)), verdict);
    }

    /// A figure that must be at least `target`.
    pub(crate) fn at_least(&mut self, figure: &str, measured: f64, unit: &str, target: f64) {
        let verdict = if measured >= target { "ok" } else { "MISS" };
        self.push(figure, with_unit(measured, unit), format!(">= {}", with_unit(target, unit)), verdict);
    }

    /// A count that must be exactly `target`.
    pub(crate) fn exactly(&mut self, figure: &str, measured: u64, target: u64) {
        let verdict = if measured == target { "ok" } else { "MISS" };
        self.push(figure, measured.to_string(), target.to_string(), verdict);
    }

    /// A figure without a target: a reference, or what a ratio was made of.
    pub(crate) fn note(&mut self, figure: &str, measured: impl Into<String>) {
        self.push(figure, measured.into(), String::new(), "");
    }

    /// Prints it.
    #[expect(clippy::print_stdout, reason = "the result")]
    pub(crate) fn print(&self) {
        let head = ["figure", "measured", "target", ""].map(str::to_owned);
        let all = || std::iter::once(&head).chain(&self.rows);
        let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (figure, measured, target) = (width(0), width(1), width(2));
        for (at, row) in all().enumerate() {
            let line =
                format!("{:figure$} | {:>measured$} | {:>target$} | {}", row[0], row[1], row[2], row[3]);
            println!("{}", line.trim_end());
            if at == 0 {
                println!("{}", "-".repeat(figure + measured + target + 14));
            }
        }
    }

    fn push(&mut self, figure: &str, measured: String, target: String, verdict: &str) {
        self.rows.push([figure.to_owned(), measured, target, verdict.to_owned()]);
    }
}

/// A number with three significant digits or so, and its unit.
pub(crate) fn with_unit(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let number = format!("{value:.digits$}");
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number}{}{unit}", if unit.is_empty() { "" } else { " " })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_met_at_the_bound_and_missed_beyond_it() {
        let mut table = Table::default();
        table.at_most("a", 2.5, "x C", 2.5);
        table.at_most("b", 2.51, "x C", 2.5);
        table.at_least("c", 0.99, "", 1.0);
        table.exactly("d", 1, 1);
        let verdicts: Vec<&str> = table.rows.iter().map(|row| row[3].as_str()).collect();
        assert_eq!(verdicts, ["ok", "MISS", "MISS", "ok"]);
    }

    #[test]
    fn numbers_keep_three_digits() {
        let all =
            [(0.1234, "0.123"), (1.239, "1.24"), (12.34, "12.3"), (1234.5, "1234"), (2.0, "2"), (0.0, "0")];
        for (value, text) in all {
            assert_eq!(with_unit(value, ""), text);
        }
        assert_eq!(with_unit(3.0, "ms"), "3 ms");
    }
}
