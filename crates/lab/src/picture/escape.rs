//! Text that is nothing but text, wherever in a page it stands.

/// For the content of elements and for attributes in double quotes. What XML does not know becomes a question mark.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            control if control.is_control() => escaped.push('?'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Of a page's part only the text: list entries as lines, links and buttons left out.
pub(super) fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = after.split_once('>').unwrap_or((after, ""));
        rest = after;
        let name = tag.split(' ').next().unwrap_or_default();
        match name {
            "li" => text.push_str("  - "),
            "h3" | "/h3" => text.push('\n'),
            "a" | "button" => {
                let end = format!("</{name}>");
                rest = rest.split_once(&end).map_or("", |(_, after)| after);
            }
            _ => {}
        }
    }
    text.push_str(rest);
    let lines = text.lines().map(str::trim_end);
    // Between entries of a list the page has lines of its own.
    let mut text = String::new();
    for line in lines {
        if !(line.is_empty() && text.ends_with("\n\n")) {
            text.push_str(line);
            text.push('\n');
        }
    }
    for (escaped, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        text = text.replace(escaped, character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let text = "a<b>&\"'\u{0}\u{7}\u{ffff}\n\tä";
        assert_eq!(escape(text), "a&lt;b&gt;&amp;&quot;&#39;???\n\tä");
    }

    #[test]
    fn a_terminal_gets_the_words_only() {
        let page = "<h3>From A</h3><ul><li><b>4</b> &lt;b&gt; &amp;lt; <a href=\"#x\">packets</a></li>\n<li>two</li></ul>";
        assert_eq!(plain(page), "\nFrom A\n  - 4 <b> &lt;\n  - two\n");
    }
}
