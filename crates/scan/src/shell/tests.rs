//! Texts, and the commands that a shell makes of them.

use super::{Vars, commands};
use crate::text::Piece;

/// The commands of a text: words parted by `|`, and what they read behind `<`.
fn read(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let piece = Piece::at(text, 0);
    commands(&piece, &mut Vars::new(), |command| {
        let words: Vec<&str> = command.words.iter().map(Piece::as_str).collect();
        let input = command.input.map(|input| format!("<{}", input.as_str()));
        found.push(format!("{}{}", words.join("|"), input.unwrap_or_default()));
    });
    found
}

#[test]
fn words_are_those_that_the_shell_hands_on() {
    for (text, expected) in [
        (r#"a 'b  c' "d \"e\" \x" f\ g $'h\'i' "" # j"#, r#"a|b  c|d "e" \x|f g|h'i|"#),
        ("a b\\\n  c", "a|b|c"),
        ("x=1 y='2 3'; a $x \"$y\" $y ${z:-4} $w '$x'", "a|1|2 3|2|3|4|$w|$x"),
        ("c=(a -b 'd'); \"${c[@]}\" e", "a|-b|d|e"),
        ("set -- a b; set -- \"$@\" c; \"$@\" d", "a|b|c|d"),
        ("p=$(command -v a); $p b", "a|b"),
        ("$(which a) b", "a|b"),
        ("a --x=`b`/c,d=e f", "a|--x=`b`/c,d=e|f"),
        ("u=x; u=$(b -c d); a -u $u e", "a|-u|$u|e"),
        ("for i in a b; do $i c; done", "a|c"),
        ("a ${b//x/y} ~/c *.d {e,f}", "a|${b//x/y}|~/c|*.d|{e,f}"),
    ] {
        let found = read(text);
        let own = |line: &&String| !line.starts_with("set|") && !line.starts_with("which|");
        let found: Vec<&String> = found.iter().filter(own).collect();
        let last = found.iter().find(|line| line.as_str() == expected);
        assert!(last.is_some(), "{text}: {found:?}");
    }
}

#[test]
fn commands_are_found_wherever_they_stand() {
    let text = "if a; then b & fi; c | d && e || f; (g); { h; }; case x in y) i;; esac; while j; do k; done\n\
                l() { m; }; l; ! n; o \"$(p \"`q`\")\" > >(r); s=$(t); [ u = v ] && w; x <<END\n$(y)\nEND\n";
    let mut found: Vec<String> =
        read(text).iter().map(|c| c[..1].to_owned()).filter(|c| c != "[").collect();
    found.sort_unstable();
    let expected = "a b c d e f g h i j k m n o p q r t w x y";
    assert_eq!(found.join(" "), expected, "`l` is a function, and runs nothing by itself");
}

#[test]
fn here_documents_are_read_by_somebody() {
    for (text, expected) in [
        ("a -x <<'END'\n$b\nEND\n", "a|-x<$b\n"),
        ("a <<-END\n\tb \\$c\n\tEND\n", "a<b $c\n"),
        ("cat <<END | a -x\nb\nEND\n", "a|-x<b\n"),
        ("a <<< 'b c'", "a<b c"),
        ("a && b <<END\nc\nEND\n", "b<c\n"),
    ] {
        let found = read(text);
        let there = found.iter().any(|line| line.trim_end() == expected.trim_end());
        assert!(there, "{text}: {found:?}");
    }
    assert_eq!(read("cat > a <<END\nnginx\nEND\n").len(), 1);
}

#[test]
fn texts_that_are_broken_are_read_as_far_as_may_be() {
    assert!(read("if true; then\n  nginx -g x\n").iter().any(|c| c.starts_with("nginx|-g")));
    assert!(read("a \"b\nnginx\n").len() < 3);
}
