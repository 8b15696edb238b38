//! The tables of constants: each value is the one in the file that its row names.

use crate::{cells, quoted, source, text};

#[test]
fn the_document_states_the_values_of_the_code() {
    let text = text();
    let mut seen = 0;
    for row in text.lines().filter_map(cells) {
        let [what, value, place] = row[..] else {
            continue;
        };
        let [file, name] = quoted(place).collect::<Vec<_>>()[..] else {
            continue;
        };
        let code = source(file).unwrap_or_else(|| panic!("{what}: no file {file}"));
        let expression = definition(&code, name)
            .unwrap_or_else(|| panic!("{what}: no value of {name} in {file}"));
        let stated = value.split(" (").next().unwrap();
        let known = evaluate(expression).unwrap_or_else(|| {
            panic!("{what}: {name} is {expression}, which this test cannot read")
        });
        assert!(
            known.iter().any(|known| known == stated),
            "{what}: the document says {stated}, {file} says {name} = {expression}"
        );
        seen += 1;
    }
    assert!(seen >= 50, "the tables were not recognised: {seen} rows");
}

/// The expression that defines a constant, or a field in an `impl Default`.
fn definition<'a>(code: &'a str, name: &str) -> Option<&'a str> {
    if let Some(at) = code.find(&format!("const {name}: ")) {
        let (_, expression) = code[at..].split_once('=')?;
        return expression.split(';').next().map(str::trim);
    }
    // The declaration of the field comes before its default.
    let at = code.rfind(&format!(" {name}: "))?;
    let (_, expression) = code[at..].split_once(": ")?;
    expression.split(",\n").next().map(str::trim)
}

/// How the document may write the value of an expression.
fn evaluate(expression: &str) -> Option<Vec<String>> {
    let expression = expression
        .strip_prefix("Some(")
        .map_or(expression, |inner| inner.trim_end_matches(')'));
    if let Some((_, call)) = expression.split_once("Duration::from_") {
        let (unit, amount) = call.split_once('(')?;
        let amount = number(amount.trim_end_matches(')'))?;
        let unit = if unit == "secs" { "s" } else { "ms" };
        return Some(vec![format!("{amount} {unit}")]);
    }
    let value = number(expression)?;
    let units = ["", " bytes", " times", " packets"];
    Some(units.map(|unit| format!("{value}{unit}")).into())
}

/// A sum of shifts of literals: `1 << 20`, `(1 << 53) - 1`.
fn number(expression: &str) -> Option<i128> {
    if let Some((minuend, subtrahend)) = expression.split_once(" - ") {
        return Some(number(minuend)? - number(subtrahend)?);
    }
    let plain = expression.trim().trim_matches(['(', ')']);
    if let Some((base, shift)) = plain.split_once(" << ") {
        return Some(number(base)? << number(shift)?);
    }
    let digits: String = plain.chars().filter(|digit| *digit != '_').collect();
    digits.parse().ok()
}
