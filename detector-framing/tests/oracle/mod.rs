//! The same decisions as httparse makes them, from whole heads.

use detector_framing::{Coding, Head, Lengths, Method, Parsed, Start};

fn config() -> httparse::ParserConfig {
    let mut config = httparse::ParserConfig::default();
    config
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .ignore_invalid_headers_in_responses(true);
    config
}

/// What httparse says of these bytes.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let empty = bytes.iter().take_while(|byte| b"\r\n".contains(byte));
    let empty = empty.count();
    let line = &bytes[empty..];
    let lines = line.iter().filter(|byte| **byte == b'\n').count();
    let mut fields = vec![httparse::EMPTY_HEADER; lines];
    let (status, start, fields) = if line.iter().zip(b"HTTP/").all(|(one, other)| one == other) {
        let mut response = httparse::Response::new(&mut fields);
        let status = config().parse_response(&mut response, line);
        (status, response.code.map(Start::Response), response.headers)
    } else {
        let mut request = httparse::Request::new(&mut fields);
        let status = config().parse_request(&mut request, line);
        let start = request
            .method
            .map(|method| Start::Request(Method::named(method)));
        (status, start, request.headers)
    };
    let (Ok(httparse::Status::Complete(length)), Some(start)) = (status, start) else {
        return match status {
            Ok(_) => Parsed::Partial,
            Err(_) => Parsed::Invalid,
        };
    };
    let named = |name: &str| {
        let fields = fields.iter();
        let fields = fields.filter(|field| field.name.eq_ignore_ascii_case(name));
        fields.map(|field| field.value).collect::<Vec<_>>()
    };
    let items = named("content-length");
    let items = items
        .iter()
        .flat_map(|value| value.split(|byte| *byte == b','));
    let coding = named("transfer-encoding").last().map(|value| {
        let last = value.rsplit(|byte| *byte == b',').next();
        let last = last.unwrap_or_default().trim_ascii();
        last.eq_ignore_ascii_case(b"chunked")
    });
    let waits = named("expect");
    let waits = waits
        .iter()
        .any(|value| value.trim_ascii().eq_ignore_ascii_case(b"100-continue"));
    Parsed::Complete(Head {
        length: (empty + length) as u32,
        start,
        lengths: items.fold(Lengths::Absent, |lengths, item| {
            let item = item.trim_ascii();
            let digits = !item.is_empty() && item.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(item)
                .ok()
                .and_then(|item| item.parse().ok());
            match (lengths, number.filter(|_| digits)) {
                (Lengths::Absent, Some(length)) => Lengths::One(length),
                (Lengths::One(before), Some(length)) if before == length => lengths,
                _ => Lengths::Invalid,
            }
        }),
        coding: match coding {
            None => Coding::None,
            Some(true) => Coding::Chunked,
            Some(false) => Coding::Other,
        },
        waits,
    })
}
