//! What the lexer does with whole words, case by case.

use std::collections::BTreeMap;

use super::{Lexer, Variables};

struct Map(BTreeMap<&'static str, &'static str>);

impl Variables for Map {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(ToString::to_string)
    }
}

fn variables() -> Map {
    Map(BTreeMap::from([
        ("x", "value"),
        ("empty", ""),
        ("path", "a/b/c.tar.gz"),
        ("two", "one two"),
        ("0", "zero"),
    ]))
}

fn expand(text: &str) -> Option<String> {
    let expansion = Lexer::new('\\').expand(text, &variables());
    expansion.ok().map(|expansion| expansion.text)
}

fn words(text: &str) -> Vec<String> {
    Lexer::new('\\').expand(text, &variables()).unwrap().words
}

#[test]
fn expands_every_form() {
    for (text, expected) in [
        ("$x-${x}", "value-value"),
        ("$x_", ""),
        ("\\$x '$x' \"$x\"", "$x $x value"),
        ("$ $. ${0}", "$ $. zero"),
        (
            "${no:-d} ${empty:-d} ${empty-d} ${no-d} ${x:-d}",
            "d d  d value",
        ),
        ("${no:+a} ${empty:+a} ${empty+a} ${x:+a}", "  a a"),
        ("${no:-${x:-${y}}}", "value"),
        (
            "${path#*/} ${path##*/} ${path%.*} ${path%%.*}",
            "b/c.tar.gz c.tar.gz a/b/c.tar a/b/c",
        ),
        (
            "${path/\\//-} ${path//\\//-} ${path//?\\//}",
            "a-b/c.tar.gz a-b-c.tar.gz c.tar.gz",
        ),
        ("${x/a*/_} ${x/\\*/_} ${x//[a]/}", "v_ value value"),
        ("${x:?m} ${empty?m}", "value "),
        ("\"a\\\"b\\c\"", "a\"b\\c"),
        ("a\\", "a"),
    ] {
        assert_eq!(expand(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn refuses_what_bash_would() {
    for text in [
        "${",
        "${}",
        "${:x}",
        "${x",
        "${x:",
        "${x:-",
        "'a",
        "\"a",
        "${no:?m}",
        "${no?}",
        "${empty:?}",
        "${x^^}",
        "${x:0:3}",
        "${#x}",
        "${x:#a}",
        "${x/a}",
        "${x/a/b",
        "${x#\\a}",
        "${{x}}",
        "${x//\\",
    ] {
        assert_eq!(expand(text), None, "{text}");
    }
    let deep = "${a:-".repeat(5000);
    assert_eq!(expand(&deep), None);
}

#[test]
fn splits_words_outside_quotes() {
    assert_eq!(
        words("a  'b c' $two \"$two\""),
        ["a", "b c", "one", "two", "one two"]
    );
    assert_eq!(words("a\\ b <<EOF << EOF"), ["a b", "<<EOF", "<< EOF"]);
    assert_eq!(words("'' a"), ["a"]);
    // A nested text loses what stands before it in its word: BuildKit's own oversight.
    assert_eq!(words("ab${no:-c}d"), ["cd"]);
}

#[test]
fn leaves_unset_variables_where_asked() {
    let mut lexer = Lexer::new('\\');
    lexer.skip_unset = true;
    lexer.raw_quotes = true;
    lexer.raw_escapes = true;
    let text = r#"$no ${no} ${no:-a} ${no/a/b} "$x" \$x"#;
    let expansion = lexer.expand(text, &variables()).unwrap();
    assert_eq!(
        expansion.text,
        r#"$no ${no} ${no:-a} ${no/a/b} "value" \$x"#
    );
}

#[test]
fn names_the_variables_that_are_not_set() {
    let expansion = Lexer::new('`').expand("${no}$x`$y", &variables()).unwrap();
    assert_eq!(expansion.text, "value$y");
    assert_eq!(expansion.unset.into_iter().collect::<Vec<_>>(), ["no"]);
}
