//! The argument matcher: a style, an invocation and arguments, parted by NUL. The style is letters
//! (`w`: words, `m`: mixed, a digit: that server of the catalogue as well), then options that take a
//! value, after commas.

use detect::invocation::{ArgumentStyle, Arguments, Invocation, Rigour};

use super::parts;
use crate::rules::CATALOGUE;

pub(super) fn run(data: &[u8]) {
    let parts = parts(data);
    let (style, parts) = parts.split_first().unwrap();
    let mut fields = style.split(',');
    let letters = fields.next().unwrap_or_default();
    let style = ArgumentStyle {
        words: letters.contains('w'),
        mixed: letters.contains('m'),
        values: fields.map(str::to_owned).collect(),
    };
    let Some((pattern, args)) = parts.split_first() else { return };
    let arguments = style.split(args);
    if let Ok(invocation) = Invocation::try_from(pattern.clone()) {
        hold(&invocation, &arguments, &style);
    }
    let digits: String = letters.chars().filter(char::is_ascii_digit).collect();
    let Ok(number) = digits.parse::<usize>() else { return };
    let server = &CATALOGUE.servers[number % CATALOGUE.servers.len()];
    let arguments = server.arguments.split(args);
    for invocation in server.needs.iter().chain(&server.serves).chain(&server.manages) {
        hold(invocation, &arguments, &server.arguments);
    }
}

fn hold(invocation: &Invocation, arguments: &Arguments, style: &ArgumentStyle) {
    let loose = invocation.holds(arguments, style, Rigour::Loose);
    for behind in [0, 1, usize::MAX] {
        let strict = invocation.holds(arguments, style, Rigour::Strict { behind });
        assert!(loose || !strict, "{invocation} holds strictly, but not loosely");
    }
}
