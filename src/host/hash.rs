//! `hash::*`: digests of texts and bytes. Pure.

use hmac::{Hmac, KeyInit as _, Mac as _};
use rhai::ImmutableString;
use sha2::{Digest as _, Sha256};

use super::fail::Fail;
use super::function::{Call, Function, Nature, type_of};
use crate::script::guard;
use crate::script::secret::{SecretRef, find_placeholders};

/// Bytes between two looks at the guard: a fraction of a millisecond.
const BLOCK: usize = 64 << 10;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "hash::sha256",
        params: &["data: string or blob"],
        returns: "string",
        nature: Nature::Pure,
        doc: "The SHA-256 of a text or of bytes, in hexadecimal digits.",
        example: "hash::sha256(\"abc\")",
        call: |call| {
            super::declare::refuse(call)?;
            let mut digest = Sha256::new();
            feed(call, 0, |block| digest.update(block))?;
            Ok(hex::encode(digest.finalize()).into())
        },
        ..Function::BASE
    },
    Function {
        name: "hash::hmac_sha256",
        params: &["key: string or blob", "data: string or blob"],
        returns: "string",
        nature: Nature::Pure,
        doc: "The HMAC-SHA-256 of a text or of bytes under a key that is no secret, in hexadecimal digits.",
        example: "hash::hmac_sha256(\"key\", \"abc\")",
        call: |call| {
            super::declare::refuse(call)?;
            let mut key = Vec::new();
            feed(call, 0, |block| key.extend_from_slice(block))?;
            let mut mac = <Hmac<Sha256>>::new_from_slice(&key).expect("a key of any length");
            feed(call, 1, |block| mac.update(block))?;
            Ok(hex::encode(mac.finalize().into_bytes()).into())
        },
        ..Function::BASE
    },
];

fn feed(call: &Call<'_>, n: usize, mut take: impl FnMut(&[u8])) -> Result<(), Fail> {
    with_bytes(call, n, |bytes| {
        for block in bytes.chunks(BLOCK) {
            guard::check()?;
            take(block);
        }
        Ok(())
    })
}

/// The bytes of an argument that is a text or a blob. A secret is refused: only its name is known here.
pub(super) fn with_bytes<R>(call: &Call<'_>, n: usize, act: impl FnOnce(&[u8]) -> Result<R, Fail>) -> Result<R, Fail> {
    let value = &call.args[n];
    let no_secret = || {
        call.invalid(
            "a secret cannot be used here: a script has only its name, and the value is put in at the moment of sending; \
             hint: pass it to the function that sends",
        )
    };
    if value.is::<SecretRef>() {
        return Err(no_secret());
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return if find_placeholders(&text).is_empty() { act(text.as_bytes()) } else { Err(no_secret()) };
    }
    if let Some(blob) = value.read_lock::<rhai::Blob>() {
        return act(&blob);
    }
    Err(call.invalid(format!("takes a text or bytes, not {}", type_of(value))))
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::run;

    fn shown(script: &str) -> String {
        run(script).map_or_else(|error| error, |value| value.to_string())
    }

    #[test]
    fn digests_are_the_known_ones() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(shown("hash::sha256(\"abc\")"), abc);
        assert_eq!(shown("hash::sha256(\"abc\".to_blob())"), abc);
        let long = shown("let s = \"x\"; for i in 0..18 { s += s; } hash::sha256(s)");
        assert_eq!(long, hex::encode(<sha2::Sha256 as sha2::Digest>::digest("x".repeat(1 << 18))));
        let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(shown("hash::hmac_sha256(\"Jefe\", \"what do ya want for nothing?\")"), known);
    }

    #[test]
    fn secrets_are_refused_also_inside_of_texts() {
        let text = "hash::sha256(\"⟦secret:a:n1⟧\")";
        for script in ["hash::hmac_sha256(secret(\"a\"), \"x\")", "hash::sha256(secret(\"a\"))", text] {
            assert!(shown(script).contains("a secret cannot be used here"), "{script}");
        }
        assert!(shown("hash::sha256(3)").contains("takes a text or bytes, not an integer"));
    }
}
