//! A page of the documentation as plain text: what our pages use of Markdown, and no more. Prose is folded to the terminal;
//! commands and their outputs stay as they are.

use codex_oauth_proto::people::words::folded;

/// Before the lines of a block of code.
const INDENT: &str = "    ";

/// Between the columns of a table.
const GAP: usize = 2;

/// The page for a terminal of so many columns. `topic_of` names the topic that a link leads to.
pub(super) fn text(page: &str, columns: usize, topic_of: &dyn Fn(&str) -> Option<&'static str>) -> String {
    let mut printer = Printer { columns, topic_of, text: String::new(), paragraph: String::new() };
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let start = line.trim_start();
        if start.starts_with("```") {
            printer.end_paragraph();
            let code = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```"));
            for line in code.collect::<Vec<_>>() {
                printer.line(&format!("{INDENT}{line}"));
            }
        } else if start.starts_with('|') {
            printer.end_paragraph();
            let mut rows = vec![line];
            while let Some(row) = lines.next_if(|line| line.trim_start().starts_with('|')) {
                rows.push(row);
            }
            printer.table(&rows);
        } else {
            printer.prose(line);
        }
    }
    printer.end_paragraph();
    format!("{}\n", printer.text.trim_end())
}

struct Printer<'a> {
    columns: usize,
    topic_of: &'a dyn Fn(&str) -> Option<&'static str>,
    text: String,
    /// Lines of a paragraph or list item that has not ended.
    paragraph: String,
}

impl Printer<'_> {
    fn prose(&mut self, line: &str) {
        let start = line.trim_start();
        // A list's item may hold the comment of a block.
        if start
            .trim_start_matches(|symbol: char| symbol.is_ascii_digit() || ". ".contains(symbol))
            .starts_with("<!--")
        {
            return;
        }
        let heading = start.trim_start_matches('#');
        if start.is_empty() {
            self.end_paragraph();
            self.line("");
        } else if heading.len() < start.len() {
            self.end_paragraph();
            let heading = self.inline(heading.trim());
            let rule = if start.starts_with("##") { "-" } else { "=" };
            self.line(&heading);
            self.line(&rule.repeat(heading.chars().count()));
        } else {
            if is_item(start) {
                self.end_paragraph();
            }
            if !self.paragraph.is_empty() {
                self.paragraph.push(' ');
            }
            self.paragraph.push_str(start);
        }
    }

    /// Folds what was collected; an item's further lines stand below its text.
    fn end_paragraph(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        if paragraph.is_empty() {
            return;
        }
        let text = self.inline(&paragraph);
        let hang = if is_item(&text) { text.find(' ').map_or(0, |at| at + 1) } else { 0 };
        let folded = folded(&text[hang..], self.columns.saturating_sub(hang));
        let below = format!("\n{:hang$}", "");
        self.line(&format!("{}{}", &text[..hang], folded.replace('\n', &below)));
    }

    /// In columns where it fits, else the first cell of each row with the others below it.
    fn table(&mut self, rows: &[&str]) {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .filter(|row| !row.trim_matches(|symbol| "|- :".contains(symbol)).is_empty())
            .map(|row| cells(row).iter().map(|cell| self.inline(cell)).collect())
            .collect();
        let count = rows.iter().map(Vec::len).max().unwrap_or_default();
        let width =
            |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..count).map(|at| width(at).unwrap_or_default()).collect();
        let fits = widths.iter().map(|width| width + GAP).sum::<usize>() <= self.columns + GAP;
        if fits {
            for row in &rows {
                let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:0$}", width + GAP));
                self.line(cells.collect::<String>().trim_end());
            }
        } else if let Some((heads, rows)) = rows.split_first() {
            for row in rows {
                self.entry(heads, row);
            }
        }
    }

    /// A row as an entry of a list. What one cell below the first is, its place tells; of several their heads do.
    fn entry(&mut self, heads: &[String], row: &[String]) {
        for (at, (head, cell)) in heads.iter().zip(row).enumerate().filter(|(_, (_, cell))| !cell.is_empty())
        {
            let indent = if at == 0 { "" } else { INDENT };
            let named = if at == 0 || heads.len() == 2 { cell.clone() } else { format!("{head}: {cell}") };
            let cell = folded(&named, self.columns.saturating_sub(indent.len()));
            self.line(&format!("{indent}{}", cell.replace('\n', &format!("\n{indent}"))));
        }
    }

    /// Without emphasis and links; code keeps its marks.
    fn inline(&self, text: &str) -> String {
        let plain = text.replace("**", "").replace("\\|", "|");
        let mut pieces = plain.split('[');
        let mut shown = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            match piece.split_once("](").and_then(|(name, rest)| Some((name, rest.split_once(')')?))) {
                Some((name, (target, rest))) => shown = shown + &self.link(name, target) + rest,
                None => shown = shown + "[" + piece,
            }
        }
        shown
    }

    fn link(&self, name: &str, target: &str) -> String {
        match (self.topic_of)(target) {
            Some(topic) if name.contains(".md") => format!("`codex-oauth help {topic}`"),
            Some(topic) => format!("{name} (`codex-oauth help {topic}`)"),
            None if target.contains("://") => format!("{name} ({target})"),
            None => name.to_owned(),
        }
    }

    /// Never two empty lines.
    fn line(&mut self, line: &str) {
        if !line.is_empty() || !(self.text.is_empty() || self.text.ends_with("\n\n")) {
            self.text = std::mem::take(&mut self.text) + line.trim_end() + "\n";
        }
    }
}

/// A bar that belongs to a cell stands behind a backslash.
fn cells(row: &str) -> Vec<String> {
    let inside = row.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{1}");
    inside.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

fn is_item(line: &str) -> bool {
    let number = line.trim_start_matches(|symbol: char| symbol.is_ascii_digit());
    line.starts_with("* ")
        || line.starts_with("- ")
        || (number.len() < line.len() && number.starts_with(". "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(page: &str, columns: usize) -> String {
        text(page, columns, &|link| (link == "LIMITS.md").then_some("limits"))
    }

    #[test]
    fn prose_is_folded_and_commands_are_not() {
        let page = "# A title\n\nSome **bold** words and\na [page](LIMITS.md), [LIMITS.md](LIMITS.md).\n\
            <!-- not run: x -->\n```sh\na very long command line\n```\n* an item with\n  words\n1. one\n";
        let expected = "A title\n=======\n\nSome bold words and a\npage\n(`codex-oauth help limits`),\n\
            `codex-oauth help limits`.\n    a very long command line\n* an item with words\n1. one\n";
        assert_eq!(shown(page, 21), expected);
    }

    #[test]
    fn a_table_that_is_too_wide_becomes_a_list() {
        let page = "| a | b |\n| --- | --- |\n| one | two \\| three |\n";
        assert_eq!(shown(page, 40), "a    b\none  two | three\n");
        assert_eq!(shown(page, 10), "one\n    two |\n    three\n");
        let page = "| a | b | c |\n| --- | --- | --- |\n| one |  | two three |\n";
        assert_eq!(shown(page, 12), "one\n    c: two\n    three\n");
    }
}
