//! The envelope of DSSE, version 1: a payload, its type, and a signature over both.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::key::Key;

const TYPE: &str = "application/vnd.in-toto+json";

/// The envelope, as a file has it.
pub(super) fn seal(payload: &[u8], key: &Key) -> Vec<u8> {
    let signature = key.sign(&encoded(TYPE, payload));
    crate::escape::json(&json!({
        "payloadType": TYPE,
        "payload": STANDARD.encode(payload),
        "signatures": [{"keyid": key.id, "sig": STANDARD.encode(signature)}],
    }))
}

/// What is signed: nothing of one part can be taken for a part of the other.
fn encoded(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    out.extend(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_part_what_is_signed() {
        // The example of the specification.
        let encoded = encoded("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
