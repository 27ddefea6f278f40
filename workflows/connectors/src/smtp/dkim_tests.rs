//! DKIM against the published example of RFC 8463, and against an independent check of our own signatures.

use super::*;
use ring::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

/// RFC 8463, appendix A: the message, the key and the signature.
const MESSAGE: &str = "From: Joe SixPack <joe@football.example.com>\r\n\
    To: Suzie Q <suzie@shopping.example.net>\r\n\
    Subject: Is dinner ready?\r\n\
    Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
    Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\
    \r\n\
    Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const SIGNATURE: &str = "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==";
const FIELD: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n \
    d=football.example.com; i=@football.example.com;\r\n \
    q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n \
    subject : date : message-id : from : subject : date;\r\n \
    bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=";
const RSA_KEY: &str = include_str!("../../tests/fixtures/dkim-test-only.pem");

fn ed25519_pem() -> (String, Vec<u8>) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    (pair.serialize_pem(), pair.public_key_raw().to_vec())
}

fn settings(private_key: &str) -> DkimSettings {
    DkimSettings { domain: "football.example.com".into(), selector: "s1".into(), private_key: private_key.into() }
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

#[test]
fn the_example_of_rfc_8463_is_hashed_and_verified() {
    let (head, body) = split(MESSAGE.as_bytes());
    assert_eq!(STANDARD.encode(Sha256::digest(relaxed_body(body))), "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
    let names = ["from", "to", "subject", "date", "message-id", "from", "subject", "date"];
    let input = signed_input(&fields(head), &names, FIELD.as_bytes());
    let public = UnparsedPublicKey::new(&ED25519, STANDARD.decode(PUBLIC).unwrap());
    public.verify(&Sha256::digest(input), &STANDARD.decode(SIGNATURE).unwrap()).unwrap();
}

/// Reads a signed message the way a receiver does and gives the hash input and the signature.
fn as_received(message: &[u8]) -> (Vec<u8>, Vec<u8>, bool) {
    let (head, body) = split(message);
    let all = fields(head);
    let own = String::from_utf8(all[0].to_vec()).unwrap();
    let tag = |name: &str| {
        let flat = own.split_once(':').unwrap().1.replace(['\r', '\n', ' ', '\t'], "");
        flat.split(';').find_map(|tag| tag.strip_prefix(&format!("{name}=")).map(str::to_owned)).unwrap()
    };
    let names: Vec<String> = tag("h").split(':').map(str::to_owned).collect();
    let (unsigned, _) = own.rsplit_once("b=").unwrap();
    let body_matches = STANDARD.encode(Sha256::digest(relaxed_body(body))) == tag("bh");
    let input = signed_input(&all[1..], &names, format!("{unsigned}b=").as_bytes());
    (input, STANDARD.decode(tag("b")).unwrap(), body_matches)
}

#[test]
fn our_ed25519_signature_verifies_and_a_changed_or_added_header_breaks_it() {
    let (pem, public) = ed25519_pem();
    let signed = Signer::new(&settings(&pem)).unwrap().sign(MESSAGE.as_bytes(), at()).unwrap();
    let public = UnparsedPublicKey::new(&ED25519, public);
    let verifies = |message: &[u8]| {
        let (input, signature, body) = as_received(message);
        body && public.verify(&Sha256::digest(input), &signature).is_ok()
    };
    assert!(verifies(&signed));
    let text = String::from_utf8(signed).unwrap();
    assert!(verifies(text.replace("Subject: Is  dinner", "Subject: Is dinner").as_bytes()));
    assert!(!verifies(text.replace("Is dinner", "Is lunch").as_bytes()));
    assert!(!verifies(text.replace("Joe.\r\n", "Jim.\r\n").as_bytes()));
    let added = "\r\nFrom: Mallory <m@example.org>\r\nTo: Suzie";
    assert!(!verifies(text.replace("\r\nTo: Suzie", added).as_bytes()));
    let added = "\r\nList-Unsubscribe: <https://example.org/x>\r\nTo: Suzie";
    assert!(!verifies(text.replace("\r\nTo: Suzie", added).as_bytes()));
}

#[test]
fn our_rsa_signature_verifies() {
    let signer = Signer::new(&settings(RSA_KEY)).unwrap();
    let signed = signer.sign(MESSAGE.as_bytes(), at()).unwrap();
    let Key::Rsa(pair) = &signer.key else { panic!("an RSA key was read as another kind") };
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref().to_vec());
    let (input, signature, body) = as_received(&signed);
    assert!(body);
    public.verify(&input, &signature).unwrap();
}

#[test]
fn what_is_no_key_is_refused_with_the_setting_named() {
    for bad in ["", "secret", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        let refusal = Signer::new(&settings(bad)).unwrap_err().to_string();
        assert!(refusal.starts_with("smtp.dkim.private_key"), "{refusal}");
    }
    let injected = DkimSettings { selector: "s;d=evil.example".into(), ..settings(RSA_KEY) };
    assert!(Signer::new(&injected).is_err());
}

#[test]
fn an_empty_body_and_trailing_blank_lines_hash_as_the_rfc_says() {
    assert_eq!(relaxed_body(b""), b"");
    assert_eq!(relaxed_body(b"\r\n\r\n"), b"");
    assert_eq!(relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n"), b" C\r\nD E\r\n");
    assert_eq!(relaxed_field(b"B : Y\t\r\n\tZ  "), b"b:Y Z");
}
