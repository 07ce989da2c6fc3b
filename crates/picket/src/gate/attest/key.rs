//! The key that an attestation is signed with: Ed25519, or ECDSA with P-256 and SHA-256.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};
use sha2::{Digest, Sha256};

use super::super::identity::hex;
use crate::sink;

/// Larger files are no keys.
const LARGEST: u64 = 64 << 10;

pub(super) struct Key {
    private: Private,
    /// The digest of the public key, in DER.
    pub(super) id: String,
}

enum Private {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl Key {
    /// Reads it from a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let what = || format!("cannot use the key {}", path.display());
        let meta = path.metadata().with_context(what)?;
        if !meta.is_file() || meta.len() > LARGEST {
            bail!("{}: expected a file of at most {LARGEST} bytes", what());
        }
        let text = std::fs::read_to_string(path).with_context(what)?;
        if meta.mode() & 0o077 != 0 {
            let path = path.display();
            sink::log(&format!("ci: others may read the key {path}: chmod go= {path}"));
        }
        Self::parse(&text).with_context(what)
    }

    fn parse(text: &str) -> Result<Self> {
        let convert = "openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW";
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            bail!("it is encrypted, and nobody is there to type a password: {convert}");
        }
        if text.contains("BEGIN EC PRIVATE KEY") {
            bail!("it is in the older format of EC keys, not in PKCS#8: {convert}");
        }
        let (private, public) = if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(text) {
            let public = key.verifying_key().to_public_key_der();
            (Private::Ed25519(key), public)
        } else if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_pem(text) {
            let public = key.verifying_key().to_public_key_der();
            (Private::P256(key), public)
        } else {
            bail!(
                "expected the private key of Ed25519 or ECDSA P-256 in PKCS#8, as PEM: openssl \
                 genpkey -algorithm ed25519 -out NEW makes one"
            );
        };
        let public = public.ok().context("its public key cannot be written")?;
        Ok(Self { private, id: hex(&Sha256::digest(public.as_bytes())) })
    }

    /// Signs some bytes. The same bytes always give the same.
    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        match &self.private {
            Private::Ed25519(key) => key.sign(bytes).to_bytes().to_vec(),
            Private::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(bytes);
                signature.to_der().as_bytes().to_vec()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_told_with_the_way_to_one() {
        let error = |text: &str| Key::parse(text).err().unwrap().to_string();
        assert!(error("").contains("openssl genpkey"));
        assert!(error("-----BEGIN EC PRIVATE KEY-----\n").contains("openssl pkcs8"));
        assert!(error("-----BEGIN ENCRYPTED PRIVATE KEY-----\n").contains("is encrypted"));
        let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(error(garbage).contains("PKCS#8"));
        assert!(Key::read(Path::new("/dev/zero")).is_err());
        assert!(Key::read(Path::new("/no/such/key")).is_err());
    }
}
