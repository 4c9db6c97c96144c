use super::*;

fn tokens(text: &str) -> Vec<String> {
    let mut lexer = Lexer::new(text.as_bytes());
    let mut seen = Vec::new();
    loop {
        match lexer.next() {
            Ok(Token { kind: Kind::End, .. }) => {
                seen.push("|".to_owned());
                if !lexer.next_record() {
                    return seen;
                }
            }
            Ok(token) => seen.push(format!("{}:{}", token.span.line, shown(token.text))),
            Err(fault) => seen.push(format!("{}! {}", fault.span.line, fault.message)),
        }
    }
}

#[test]
fn words_strings_and_records() {
    assert_eq!(
        tokens("a b;c\r\n (d\n\"e f\") \\;g\\ h"),
        ["1:a", "1:b", "|", "2:d", "3:e f", "3:\\;g\\ h", "|"]
    );
    assert_eq!(tokens("a\"b\"c"), ["1:a", "1:b", "1:c", "|"]);
    assert_eq!(tokens("a\\"), ["1:a\\", "|"]);
    assert_eq!(tokens(")a"), ["1! `)` without a `(` before it", "1:a", "|"]);
    assert_eq!(tokens("\"a\nb"), ["1! the string is never closed", "|", "2:b", "|"]);
    assert_eq!(tokens("\"a\nb\\\n\" c"), ["1:a\u{fffd}b\\\u{fffd}", "3:c", "|"]);
    assert_eq!(tokens("a\rb\r"), ["1:a", "1! a carriage return within the line", "1:b", "|"]);
    let nul = "1! a NUL byte; the file is no text, or is damaged";
    assert_eq!(tokens("a\0\0b\"\0\""), ["1:a", nul, "1:b", "1:\u{fffd}", "|"]);
    assert_eq!(tokens("(\na"), ["2:a", "1! the parenthesis is never closed", "|"]);
}

#[test]
fn pairs_keep_their_quotes() {
    let mut lexer = Lexer::new(b"a=\"b c\" d= e");
    for expected in [&b"a=\"b c\""[..], b"d=", b"e", b""] {
        assert_eq!(lexer.next_pair().unwrap().text, expected);
    }
}

/// All texts of six bytes of those that mean something.
#[test]
fn a_record_is_skipped_as_it_is_read() {
    const BYTES: &[u8; 8] = b"a()\"\\;\n\r";
    for number in 0..8_usize.pow(6) {
        let text: Vec<u8> = (0..6).map(|digit| BYTES[number >> (3 * digit) & 7]).collect();
        let mut read = Lexer::new(&text);
        let unclosed = loop {
            match read.next() {
                Ok(token) if token.kind == Kind::End => break false,
                Err(fault) if fault == unclosed(read.opened) => break true,
                _ => {}
            }
        };
        let mut skipped = Lexer::new(&text);
        assert_eq!(skipped.skip(), unclosed, "{}", text.escape_ascii());
        let place = |lexer: &Lexer<'_>| (lexer.at, lexer.line, lexer.line_start, lexer.depth);
        assert_eq!(place(&skipped), place(&read), "{}", text.escape_ascii());
    }
}
