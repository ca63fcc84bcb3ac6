//! What the pages say about the source is so: files that they name exist, every folder is explained, every rule has a test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tidy::sources;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// What git tracks.
fn tracked() -> Vec<String> {
    let listed = Command::new("git").arg("ls-files").current_dir(root()).output().expect("git runs");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The pages of the repository.
fn pages() -> Vec<String> {
    let is_page = |path: &String| {
        has_extension(path, "md") && !path.starts_with("plugin/commands") && !path.contains("skills")
    };
    tracked().into_iter().filter(is_page).collect()
}

/// Code spans of a page, blocks left out.
fn spans(text: &str) -> Vec<&str> {
    text.split("\n```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

/// Folders of the root that hold sources.
fn folders() -> BTreeSet<String> {
    tracked().iter().filter_map(|path| Some(path.split_once('/')?.0.to_owned())).collect()
}

#[test]
fn every_file_that_a_page_names_exists() {
    let (folders, tracked, sources) = (folders(), tracked(), sources());
    // `auth/slot.rs` is named as seen from its crate.
    let exists = |span: &str| {
        root().join(span).exists() || tracked.iter().any(|path| path.ends_with(&format!("/{span}")))
    };
    let is_method = |span: &str| sources.iter().any(|(_, text)| text.contains(&format!("\"{span}\"")));
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "docs/RELEASE.md"] {
        let mut named = 0;
        for span in spans(&read(page)) {
            let is_name =
                span.chars().all(|symbol| symbol.is_ascii_alphanumeric() || "/._-".contains(symbol));
            let in_folder = span.split_once('/').is_some_and(|(folder, _)| folders.contains(folder));
            if is_name && (in_folder || has_extension(span, "rs")) && !is_method(span) {
                assert!(exists(span), "{page} names `{span}`, which does not exist");
                named += 1;
            }
        }
        assert!(named > 0, "{page}");
    }
}

#[test]
fn every_recipe_has_less_than_ten_lines() {
    let page = read("CONTRIBUTING.md");
    let recipes: Vec<&str> = page
        .split("\n## ")
        .filter(|section| section.starts_with("Add ") || section.starts_with("Change "))
        .collect();
    assert!(recipes.len() >= 5, "{}", recipes.len());
    for recipe in recipes {
        let (title, steps) = recipe.split_once("\n\n").unwrap();
        assert!(steps.trim_end().lines().count() < 10, "{title}");
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().unwrap().to_owned();
        let prose = text.split("\n```").step_by(2);
        for link in
            prose.flat_map(|prose| prose.split("](").skip(1)).filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !link.contains("://") {
                assert!(root().join(&folder).join(target).exists(), "{page} links to {link}");
            }
        }
    }
}

#[test]
fn every_folder_of_the_root_is_explained() {
    let (architecture, readme) = (read("ARCHITECTURE.md"), read("README.md"));
    let map =
        architecture.split("\n## Code map\n").nth(1).expect("a code map").split("\n## ").next().unwrap();
    for folder in folders() {
        assert!(map.contains(&format!("`{folder}")), "the code map of ARCHITECTURE.md lacks `{folder}`");
        let hidden = folder.starts_with('.');
        assert!(hidden || readme.contains(&format!("`{folder}/")), "README.md lacks `{folder}/`");
    }
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let text = read("ARCHITECTURE.md");
    let functions: BTreeSet<String> = sources()
        .iter()
        .flat_map(|(_, source)| source.split("fn ").skip(1))
        .filter_map(|rest| rest.split(['(', '<']).next().map(str::to_owned))
        .collect();
    let held = |rule: &str| {
        let tests: Vec<&str> = spans(rule).into_iter().filter(|span| is_test_name(span)).collect();
        assert!(!tests.is_empty(), "no test is named for the rule: {rule}");
        for test in tests {
            assert!(functions.contains(test), "there is no test `{test}`, of the rule: {rule}");
        }
    };
    let invariants: Vec<&str> =
        text.split("**Invariant:**").skip(1).map(|rest| rest.split("\n\n").next().unwrap()).collect();
    for invariant in &invariants {
        held(invariant);
    }
    // The promises at the top are rules too.
    let promises = text.split("the test that breaks first:\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let promises: Vec<&str> =
        (1..).map_while(|number| promises.split(&format!("\n{number}. ")).nth(1)).collect();
    for promise in &promises {
        held(
            promise
                .split_inclusive('\n')
                .take_while(|line| !line.starts_with(|first: char| first.is_ascii_digit()))
                .collect::<String>()
                .as_str(),
        );
    }
    assert!(invariants.len() >= 10 && promises.len() >= 6, "{} and {}", invariants.len(), promises.len());
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// Tests are sentences.
fn is_test_name(span: &str) -> bool {
    span.matches('_').count() >= 3
        && span.chars().all(|symbol| symbol.is_ascii_lowercase() || symbol.is_ascii_digit() || symbol == '_')
}
