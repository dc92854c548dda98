//! Certificates made for a test: authorities, and what they issue, good and bad.

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::process::Command;

/// An RSA key, since the library that makes the certificates cannot make one. It protects nothing.
pub const RSA: &str = include_str!("../data/rsa.pem");

/// A CA.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// For a cafile.
    pub pem: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        Authority::with(name, |_| {})
    }

    /// A CA that is odd in a way.
    pub fn with(name: &str, odd: impl FnOnce(&mut CertificateParams)) -> Authority {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        odd(&mut params);
        Authority::root(params, KeyPair::generate().unwrap())
    }

    /// A CA with this key, below another or at the root.
    fn with_key(name: &str, key: KeyPair, above: Option<&Authority>) -> Authority {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        match above {
            Some(above) => above.certify(params, key),
            None => Authority::root(params, key),
        }
    }

    /// A server of this name that issues for others; `is_ca` is what its certificate says of that.
    pub fn pretender(name: &str, is_ca: bool) -> Authority {
        let mut params = named(name, &[name]);
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        Authority::root(params, KeyPair::generate().unwrap())
    }

    fn root(params: CertificateParams, key: KeyPair) -> Authority {
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Another certificate of this CA, with its key and this name.
    pub fn another(&self, name: &str, odd: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        odd(&mut params);
        params.self_signed(self.issuer.key()).unwrap().pem()
    }

    /// A certificate for these names and IP addresses, good today.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    /// The same, with an RSA key.
    pub fn issue_rsa(&self, names: &[&str]) -> Identity {
        self.sign(named("relay", names), KeyPair::from_pem(RSA).unwrap())
    }

    /// The same, odd in a way.
    pub fn issue_with(&self, names: &[&str], odd: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = named("relay", names);
        odd(&mut params);
        self.sign(params, KeyPair::generate().unwrap())
    }

    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |params| params.not_after = date_time_ymd(2020, 2, 3))
    }

    pub fn issue_not_yet_valid(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |params| params.not_before = date_time_ymd(2200, 3, 4))
    }

    /// A CA below this one.
    pub fn intermediate(&self, name: &str) -> Authority {
        self.intermediate_with(name, |_| {})
    }

    /// The same, odd in a way.
    pub fn intermediate_with(&self, name: &str, odd: impl FnOnce(&mut CertificateParams)) -> Authority {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        odd(&mut params);
        self.certify(params, KeyPair::generate().unwrap())
    }

    fn certify(&self, params: CertificateParams, key: KeyPair) -> Authority {
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, params: CertificateParams, key: KeyPair) -> Identity {
        Identity::new(params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// A certificate and its key.
pub struct Identity {
    pub pem: String,
    pub key_pem: String,
    pub der: CertificateDer<'static>,
    key: KeyPair,
}

impl Identity {
    /// Signed by itself; `is_ca` as `openssl req -x509` makes it.
    pub fn self_signed(names: &[&str], is_ca: bool, odd: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = named("relay", names);
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        odd(&mut params);
        Identity::new(params.self_signed(&key).unwrap(), key)
    }

    fn new(certificate: rcgen::Certificate, key: KeyPair) -> Identity {
        let (pem, key_pem) = (certificate.pem(), key.serialize_pem());
        Identity { pem, key_pem, der: certificate.der().clone(), key }
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

/// What a server shows: its certificate, and those of the CAs below the root.
pub struct Chain {
    pub root: Authority,
    between: Option<Authority>,
    leaf: Identity,
}

impl Chain {
    /// Two P-256 keys, and no CA between: the least.
    pub fn shortest(names: &[&str]) -> Chain {
        let root = Authority::new("CA of the measurement");
        let leaf = root.issue(names);
        Chain { root, between: None, leaf }
    }

    /// As Let's Encrypt's for a key of ECDSA: P-256, P-384, and the root is RSA with 4096 bits.
    pub fn lets_encrypt(names: &[&str]) -> Chain {
        let between = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        Chain::of(names, rsa(4096), between, KeyPair::generate().unwrap())
    }

    /// RSA throughout: 2048 bits, 2048, and 4096 for the root.
    pub fn rsa(names: &[&str]) -> Chain {
        Chain::of(names, rsa(4096), rsa(2048), rsa(2048))
    }

    fn of(names: &[&str], root: KeyPair, between: KeyPair, leaf: KeyPair) -> Chain {
        let root = Authority::with_key("Root of the measurement", root, None);
        let between = Authority::with_key("CA of the measurement", between, Some(&root));
        let leaf = between.sign(named("relay", names), leaf);
        Chain { root, between: Some(between), leaf }
    }

    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        let between = self.between.iter().map(|ca| CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap());
        std::iter::once(self.leaf.der.clone()).chain(between).collect()
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.leaf.key()
    }

    /// The key first, as Postfix wants it.
    pub fn pem(&self) -> String {
        self.leaf.key_pem.clone() + &self.leaf.pem + self.between.as_ref().map_or("", |ca| &ca.pem)
    }
}

/// A new key, by openssl(1).
fn rsa(bits: usize) -> KeyPair {
    let size = format!("rsa_keygen_bits:{bits}");
    let made = Command::new("openssl").args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", &size]).output();
    KeyPair::from_pem(&String::from_utf8(made.expect("openssl is needed").stdout).unwrap()).unwrap()
}

/// Certificates made by openssl(1): the library signs with no RSA key below 2048 bits.
pub struct Openssl(tempfile::TempDir);

impl Openssl {
    pub fn new() -> Openssl {
        let made = Openssl(tempfile::tempdir().unwrap());
        made.put("config", "[req]\ndistinguished_name = dn\n[dn]\n");
        made.put("ca", "basicConstraints = critical, CA:TRUE\n");
        made
    }

    fn put(&self, file: &str, text: &str) {
        fs::write(self.0.path().join(file), text).unwrap();
    }

    fn run(&self, arguments: &str) {
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(self.0.path()).output();
        let made = made.expect("openssl is needed");
        assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// A certificate with this name in it and in the names of its files, issued by another or by itself. `kind` is as `rsa:1024`.
    fn make(&self, name: &str, kind: &str, issuer: Option<&str>, extensions: &str) -> String {
        self.run(&format!(
            "req -new -config config -newkey {kind} -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        let by =
            issuer.map_or(format!("-signkey {name}.key"), |issuer| format!("-CA {issuer}.pem -CAkey {issuer}.key"));
        self.run(&format!(
            "x509 -req -sha256 -in {name}.csr {by} -set_serial 77 -days 3000 -extfile {extensions} -out {name}.pem"
        ));
        fs::read_to_string(self.0.path().join(format!("{name}.pem"))).unwrap()
    }

    /// A CA with an RSA key of so many bits.
    pub fn ca(&self, name: &str, bits: usize, issuer: Option<&str>) -> String {
        self.make(name, &format!("rsa:{bits}"), issuer, "ca")
    }

    pub fn key_pem(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(format!("{name}.key"))).unwrap()
    }

    /// What this CA issues for a server of this name, and its key. The kind of that is as `rsa:1024`.
    pub fn issue(&self, name: &str, kind: &str, issuer: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        self.put("server", &format!("subjectAltName = DNS:{name}\nbasicConstraints = CA:FALSE\n"));
        let pem = self.make(name, kind, Some(issuer), "server");
        let key = PrivateKeyDer::from_pem_file(self.0.path().join(format!("{name}.key"))).unwrap();
        (CertificateDer::from_pem_slice(pem.as_bytes()).unwrap(), key)
    }
}

pub fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

pub fn pem(der: &CertificateDer) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(der))
}

/// The certificate with these octets in the place of others. Nothing is verified of it, since a flaw is found before.
pub fn changed(certificate: &CertificateDer, from: &[u8], to: &[u8]) -> CertificateDer<'static> {
    let mut octets = certificate.to_vec();
    let places: Vec<usize> = (0..octets.len() - from.len()).filter(|&at| octets[at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "{from:?} is not in it");
    places.iter().for_each(|&at| octets[at..at + to.len()].copy_from_slice(to));
    octets.into()
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}
