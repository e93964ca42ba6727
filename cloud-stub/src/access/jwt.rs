//! JSON Web Tokens (RFC 7519) that say which cameras a viewer may watch, and the keys of whoever signs them (RFC 7517).
//!
//! What a signature must be is said by the key alone, never by the token: a token that names another algorithm, none, or
//! a shared secret is not good (RFC 8725, 3.1). No clock, no IO.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// Most keys of one issuer that are kept: far more than a rotation needs.
const KEYS: usize = 64;
/// A token may begin to be good so much later by the issuer's clock, seconds. It never lives longer.
const EARLY_S: f64 = 30.0;

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no signed token.
    #[error("this is no signed token")]
    Malformed,
    /// No key of this name is known (yet).
    #[error("the token names a key that is not known")]
    UnknownKey,
    /// The key does not sign this way.
    #[error("the token names another algorithm than its key has")]
    OtherAlgorithm,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    Forged,
}

/// The keys of an issuer.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    /// `kid`.
    name: Option<String>,
    kind: Kind,
}

/// A public key, of which each kind signs in one way only.
#[derive(Debug)]
enum Kind {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// An uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A JWK, as far as it matters (RFC 7518, 6; RFC 8037).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Keys {
    /// Reads a key set. Keys of other kinds and for other uses are passed over.
    ///
    /// # Errors
    /// When it is no key set.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(json)?;
        let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self(jwks.filter_map(|jwk| Key::read(&jwk)).take(KEYS).collect()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a token says, if one of these keys has signed it.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn open(&self, token: &str) -> Result<Claims, Refused> {
        #[derive(Deserialize)]
        struct Header {
            alg: String,
            kid: Option<String>,
            /// Extensions that must be understood; none is (RFC 7515, 4.1.11).
            crit: Option<serde_json::Value>,
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
        let header: Header = json(header)?;
        if header.crit.is_some() {
            return Err(Refused::Malformed);
        }
        let signature = decode(signature).ok_or(Refused::Malformed)?;
        let key = self.named(header.kid.as_deref()).ok_or(Refused::UnknownKey)?;
        if header.alg != key.kind.algorithm() {
            return Err(Refused::OtherAlgorithm);
        }
        if !key.kind.has_signed(signed.as_bytes(), &signature) {
            return Err(Refused::Forged);
        }
        json(claims)
    }

    /// The key of a name; without a name the only one.
    fn named(&self, name: Option<&str>) -> Option<&Key> {
        match (name, self.0.as_slice()) {
            (None, [key]) => Some(key),
            (None, _) => None,
            (name, keys) => keys.iter().find(|key| key.name.as_deref() == name),
        }
    }
}

impl Key {
    fn read(jwk: &Jwk) -> Option<Self> {
        let part = |part: &Option<String>| part.as_deref().and_then(decode);
        let exact = |text: &Option<String>| part(text).filter(|bytes| bytes.len() == 32);
        let kind = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Kind::Rsa(RsaPublicKeyComponents { n: part(&jwk.n)?, e: part(&jwk.e)? }),
            ("EC", Some("P-256")) => Kind::P256([vec![4], exact(&jwk.x)?, exact(&jwk.y)?].concat()),
            ("OKP", Some("Ed25519")) => Kind::Ed25519(exact(&jwk.x)?),
            _ => return None,
        };
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|does| does.iter().any(|does| does == "verify"))
            && jwk.alg.as_deref().is_none_or(|alg| alg == kind.algorithm());
        signs.then(|| Self { name: jwk.kid.clone(), kind })
    }
}

impl Kind {
    /// As tokens name it (RFC 7518, 3.1; RFC 8037, 3.1).
    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Self::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        }
        .is_ok()
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Claims {
    /// It is good before this, seconds since 1970.
    exp: f64,
    /// And from this on.
    nbf: Option<f64>,
    /// For whom it is.
    aud: Option<OneOrMore>,
    sub: Option<String>,
    /// Public ids.
    camera: Option<OneOrMore>,
    /// A tenant's id.
    tenant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::One(one) => one == text,
            Self::More(more) => more.iter().any(|one| one == text),
        }
    }
}

impl Claims {
    /// Whether they are good now, and for this audience if one is asked for.
    pub fn hold(&self, now_ms: u64, audience: Option<&str>) -> bool {
        let now_s = now_ms as f64 / 1000.0;
        now_s < self.exp
            && self.nbf.is_none_or(|from| from - EARLY_S <= now_s)
            && audience.is_none_or(|audience| self.aud.as_ref().is_some_and(|aud| aud.holds(audience)))
    }

    /// Whether they name this camera: by `camera`, else by `sub`, else by its tenant alone. A tenant that is named must be
    /// the camera's in any case.
    pub fn name(&self, camera: &str, tenant: &str) -> bool {
        let of_tenant = self.tenant.as_deref().map(|named| !tenant.is_empty() && named == tenant);
        if of_tenant == Some(false) {
            return false;
        }
        match (&self.camera, self.sub.as_deref()) {
            (Some(cameras), _) => cameras.holds(camera),
            (None, sub) => sub == Some(camera) || of_tenant == Some(true),
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Refused> {
    let bytes = decode(part).ok_or(Refused::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Refused::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use serde_json::{Value, json};

    use super::*;

    fn encode(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn ed25519() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    fn jwk(pair: &Ed25519KeyPair, kid: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encode(pair.public_key())})
    }

    fn keys(keys: &[Value]) -> Keys {
        Keys::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        format!("{signed}.{}", encode(sign(signed.as_bytes())))
    }

    fn signed(header: &Value) -> String {
        token(header, &json!({"exp": 2}), |message| ed25519().sign(message).as_ref().to_vec())
    }

    #[test]
    fn the_key_says_how_it_signs_and_the_token_does_not() {
        let keys = keys(&[jwk(&ed25519(), "k")]);
        assert!(keys.open(&signed(&json!({"alg": "EdDSA", "kid": "k"}))).is_ok());
        assert!(keys.open(&signed(&json!({"alg": "EdDSA"}))).is_ok(), "the only key needs no name");
        for alg in ["none", "None", "HS256", "RS256", "ES256", "eddsa", ""] {
            let refused = keys.open(&signed(&json!({"alg": alg, "kid": "k"})));
            assert_eq!(refused, Err(Refused::OtherAlgorithm), "{alg}");
        }
        let public = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, ed25519().public_key().as_ref());
        let confused = token(&json!({"alg": "HS256", "kid": "k"}), &json!({"exp": 2}), |message| {
            ring::hmac::sign(&public, message).as_ref().to_vec()
        });
        assert_eq!(keys.open(&confused), Err(Refused::OtherAlgorithm));
        let other = signed(&json!({"alg": "EdDSA", "kid": "other"}));
        assert_eq!(keys.open(&other), Err(Refused::UnknownKey));
        let critical = signed(&json!({"alg": "EdDSA", "kid": "k", "crit": ["b64"], "b64": false}));
        assert_eq!(keys.open(&critical), Err(Refused::Malformed));
    }

    #[test]
    fn a_token_with_one_changed_character_or_without_its_signature_is_nothing() {
        let keys = keys(&[jwk(&ed25519(), "k")]);
        let good = signed(&json!({"alg": "EdDSA", "kid": "k"}));
        for place in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'Q' } else { b'A' };
            let bad = String::from_utf8(bytes).unwrap();
            assert!(keys.open(&bad).is_err(), "{place}");
        }
        let stripped = &good[..=good.rfind('.').unwrap()];
        assert_eq!(keys.open(stripped), Err(Refused::Forged));
    }

    #[test]
    fn p256_signs_as_es256() {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let point = pair.public_key().as_ref();
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "e", "use": "sig", "alg": "ES256",
            "x": encode(&point[1..33]), "y": encode(&point[33..])});
        let sign = |message: &[u8]| pair.sign(&random, message).unwrap().as_ref().to_vec();
        let good = token(&json!({"alg": "ES256", "kid": "e"}), &json!({"exp": 1}), sign);
        assert!(keys(std::slice::from_ref(&jwk)).open(&good).is_ok());
        let forged = token(&json!({"alg": "ES256", "kid": "e"}), &json!({"exp": 1}), |_| vec![0; 64]);
        assert_eq!(keys(&[jwk]).open(&forged), Err(Refused::Forged));
    }

    /// A token of another implementation (RFC 7515, A.2), so that both are not wrong in the same way.
    #[test]
    fn the_standards_own_example_is_read_and_its_key_is_too_strange_for_no_more() {
        let jwk = json!({"kty": "RSA", "e": "AQAB", "n": concat!(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR",
            "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB",
            "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia",
            "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ")});
        let token = concat!(
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc1",
            "9yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YK",
            "t_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHl",
            "b1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUT",
            "I8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        );
        let claims = keys(&[jwk]).open(token).unwrap();
        assert!(claims.hold(1_300_819_379_999, None) && !claims.hold(1_300_819_380_000, None));
    }

    #[test]
    fn keys_that_are_not_for_signatures_are_passed_over() {
        let good = jwk(&ed25519(), "k");
        let changed = |key: &str, value: Value| {
            let mut jwk = good.clone();
            jwk[key] = value;
            jwk
        };
        let others = [
            changed("use", json!("enc")),
            changed("key_ops", json!(["sign"])),
            changed("alg", json!("HS256")),
            changed("kty", json!("oct")),
            changed("x", json!("AAAA")),
            json!({"kty": "oct", "kid": "k", "k": "AAAA"}),
            json!("nonsense"),
        ];
        assert_eq!(keys(&others).len(), 0);
        let mut all = others.to_vec();
        all.push(good);
        assert_eq!(keys(&all).len(), 1);
        assert!(Keys::read(b"{}").is_err() && Keys::read(b"[]").is_err());
    }

    fn claims(json: Value) -> Claims {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_token_is_good_from_nbf_until_exp_and_never_without_an_end() {
        let now = claims(json!({"exp": 100, "nbf": 50.5}));
        let good: Vec<u64> =
            [20_499, 20_500, 99_999, 100_000].into_iter().filter(|now_ms| now.hold(*now_ms, None)).collect();
        assert_eq!(good, [20_500, 99_999], "30 s early, not a moment late");
        assert!(serde_json::from_value::<Claims>(json!({"sub": "gate"})).is_err());
        assert!(serde_json::from_value::<Claims>(json!({"exp": "100"})).is_err());
    }

    #[test]
    fn an_audience_that_is_asked_for_must_be_named() {
        for (aud, good) in
            [(json!("a"), true), (json!(["b", "a"]), true), (json!("b"), false), (json!([]), false)]
        {
            assert_eq!(claims(json!({"exp": 9, "aud": aud})).hold(0, Some("a")), good);
        }
        assert!(!claims(json!({"exp": 9})).hold(0, Some("a")));
        assert!(claims(json!({"exp": 9, "aud": "b"})).hold(0, None));
    }

    #[test]
    fn a_token_names_cameras_or_a_tenant_and_a_tenant_narrows() {
        let names = |more: Value| {
            let mut all = json!({"exp": 9});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            claims(all).name("gate", "acme")
        };
        for yes in [
            json!({"sub": "gate"}),
            json!({"camera": "gate", "sub": "somebody"}),
            json!({"camera": ["yard", "gate"], "tenant": "acme"}),
            json!({"tenant": "acme", "sub": "somebody"}),
        ] {
            assert!(names(yes.clone()), "{yes}");
        }
        for no in [
            json!({}),
            json!({"sub": "yard"}),
            json!({"camera": "yard", "sub": "gate"}),
            json!({"camera": [], "tenant": "acme"}),
            json!({"camera": "gate", "tenant": "other"}),
            json!({"tenant": "other"}),
        ] {
            assert!(!names(no.clone()), "{no}");
        }
        assert!(!claims(json!({"exp": 9, "tenant": ""})).name("gate", ""), "no tenant is nobody's");
    }

    proptest! {
        #[test]
        fn nothing_that_is_not_signed_opens_and_nothing_panics(token in "[A-Za-z0-9._=+~-]{0,200}", json in prop::collection::vec(any::<u8>(), 0..100)) {
            let keys = keys(&[jwk(&ed25519(), "k")]);
            prop_assert!(keys.open(&token).is_err());
            let header = encode(r#"{"alg":"EdDSA","kid":"k"}"#);
            let body = encode(&json);
            let forged = format!("{header}.{body}.{}", encode([1; 64]));
            prop_assert_eq!(keys.open(&forged), Err(Refused::Forged));
            let (message, signer) = (format!("{header}.{body}"), ed25519());
            let signed = format!("{message}.{}", encode(signer.sign(message.as_bytes())));
            prop_assert_eq!(keys.open(&signed).is_ok(), serde_json::from_slice::<Claims>(&json).is_ok());
            let _ = Keys::read(&json);
        }
    }
}
