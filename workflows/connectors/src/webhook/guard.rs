//! Which addresses a webhook may be posted to.
//!
//! Whoever sets up a webhook chooses an address, and this server connects to it from inside the operator's network. So
//! every address is judged by its number, after the name is resolved and before anything connects: the addresses that
//! are connected to are the very ones that were judged, and a name that leads elsewhere a moment later changes nothing.

use super::{ADDRESS_REFUSED, URL_INVALID};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tandem_app::outbound::{PortFuture, Unsent};
use url::{Host, Url};

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// The longest address of a webhook, in bytes. The library below takes no more than 64 KiB.
const MAX_URL: usize = 8_000;

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, c: u16, d: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

/// What of IPv4 is no receiver's place, and what it is. Where nothing else is said, the source is the IANA IPv4
/// Special-Purpose Address Registry (<https://www.iana.org/assignments/iana-ipv4-special-registry>), with the RFC that
/// it names.
const REFUSED_V4: &[(Ipv4Net, &str)] = &[
    (v4(0, 0, 0, 0, 8), "\"this network\" (RFC 791)"),
    (v4(10, 0, 0, 0, 8), "private (RFC 1918)"),
    // Among them the metadata service of Alibaba Cloud, 100.100.100.200.
    (v4(100, 64, 0, 0, 10), "shared by a carrier's customers (RFC 6598)"),
    (v4(127, 0, 0, 0, 8), "loopback (RFC 1122)"),
    // An address of the public space that every virtual machine of Azure reaches its host by
    // (<https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>).
    (v4(168, 63, 129, 16, 32), "the platform of Azure"),
    // Among them 169.254.169.254, where the clouds hand out credentials.
    (v4(169, 254, 0, 0, 16), "link-local (RFC 3927)"),
    (v4(172, 16, 0, 0, 12), "private (RFC 1918)"),
    // Among them the metadata service of Oracle Cloud's classic machines, 192.0.0.192.
    (v4(192, 0, 0, 0, 24), "IETF protocol assignments (RFC 6890)"),
    (v4(192, 0, 2, 0, 24), "documentation (RFC 5737)"),
    (v4(192, 88, 99, 0, 24), "6to4 relays (RFC 7526)"),
    (v4(192, 168, 0, 0, 16), "private (RFC 1918)"),
    (v4(198, 18, 0, 0, 15), "benchmarking (RFC 2544)"),
    (v4(198, 51, 100, 0, 24), "documentation (RFC 5737)"),
    (v4(203, 0, 113, 0, 24), "documentation (RFC 5737)"),
    // The IANA IPv4 Address Space Registry.
    (v4(224, 0, 0, 0, 4), "multicast (RFC 5771)"),
    // With 255.255.255.255, the limited broadcast of RFC 8190.
    (v4(240, 0, 0, 0, 4), "reserved (RFC 1112)"),
];

/// What of IPv6 is no receiver's place, the narrower before the wider. Where nothing else is said, the source is the
/// IANA IPv6 Special-Purpose Address Registry (<https://www.iana.org/assignments/iana-ipv6-special-registry>), with the
/// RFC that it names.
const REFUSED_V6: &[(Ipv6Net, &str)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "unspecified (RFC 4291)"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback (RFC 4291)"),
    // The forms that carry an IPv4 address are refused whatever they carry: no name needs them to lead to a receiver.
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), "an IPv4 address in IPv6 (RFC 4291)"),
    (v6(0, 0, 0, 0, 96), "an IPv4 address in IPv6 (RFC 4291)"),
    (v6(0x64, 0xff9b, 0, 0, 96), "translated to IPv4 (RFC 6052)"),
    (v6(0x64, 0xff9b, 1, 0, 48), "translated to IPv4 (RFC 8215)"),
    (v6(0x100, 0, 0, 0, 64), "discarded (RFC 6666)"),
    // Teredo (2001::/32), benchmarking (2001:2::/48), ORCHID (2001:10::/28 and 2001:20::/28), and others.
    (v6(0x2001, 0, 0, 0, 23), "IETF protocol assignments (RFC 2928)"),
    (v6(0x2001, 0xdb8, 0, 0, 32), "documentation (RFC 3849)"),
    (v6(0x2002, 0, 0, 0, 16), "6to4 (RFC 3056)"),
    (v6(0x3fff, 0, 0, 0, 20), "documentation (RFC 9637)"),
    (v6(0x5f00, 0, 0, 0, 16), "segment routing (RFC 9602)"),
    // Among them the metadata services of AWS, fd00:ec2::254, and of Google Cloud, fd20:ce::254.
    (v6(0xfc00, 0, 0, 0, 7), "private (RFC 4193)"),
    (v6(0xfe80, 0, 0, 0, 10), "link-local (RFC 4291)"),
    // The IANA Internet Protocol Version 6 Address Space.
    (v6(0xfec0, 0, 0, 0, 10), "site-local (RFC 3879)"),
    (v6(0xff00, 0, 0, 0, 8), "multicast (RFC 4291)"),
];

/// All of IPv6 that is given to anybody as an address of the open internet. The rest is reserved (IANA Internet
/// Protocol Version 6 Address Space, <https://www.iana.org/assignments/ipv6-address-space>).
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 0, 3);

/// Names, and all under them, that lead into the machine or its network: RFC 6761 (`localhost`), RFC 6762 (`local`),
/// RFC 8375 (`home.arpa`), and `internal`, which ICANN keeps for private use (its advisory SAC113).
const REFUSED_NAMES: [&str; 4] = ["localhost", "local", "internal", "home.arpa"];

/// Finds the addresses of a name.
pub trait Lookup: Send + Sync {
    /// The addresses, in the order in which they are to be tried.
    fn addresses(&self, name: String) -> PortFuture<'_, std::io::Result<Vec<IpAddr>>>;
}

/// The machine's own resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, name: String) -> PortFuture<'_, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Judges addresses.
///
/// An address is refused if it is in a refused range and in no network of the allow list. A form of IPv6 that carries
/// an IPv4 address is itself what is judged: `::ffff:10.0.0.1` is allowed by `::ffff:0:0/96`, and not by `10.0.0.0/8`.
///
/// Names are refused by their text only where nothing is allowed: that is no more than an early and plainer answer,
/// since the addresses decide. Whoever allows a network of their own may reach it by any name.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    allow: Vec<IpNet>,
    allow_http: bool,
}

impl Guard {
    /// A guard that lets through what is public, and what is allowed on top.
    pub(super) fn new(allow: Vec<IpNet>, allow_http: bool) -> Self {
        Self { allow, allow_http }
    }

    /// The address, parsed, where its text is no reason to refuse it. The fragment is left out: it is nobody else's.
    pub(super) fn target(&self, text: &str) -> Result<Url, Unsent> {
        if text.len() > MAX_URL {
            return Err(invalid(format!("an address has at most {MAX_URL} bytes")));
        }
        let mut url = Url::parse(text).map_err(|error| invalid(format!("not an address: {error}")))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ if self.allow_http => return Err(invalid("an address begins with https:// or http://")),
            _ => return Err(invalid("an address begins with https://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("an address has no user and no password in it"));
        }
        if url.port() == Some(0) {
            return Err(invalid("nobody listens at port 0"));
        }
        match url.host() {
            None => return Err(invalid("an address names a host")),
            Some(Host::Domain(name)) => self.judge_name(name)?,
            Some(Host::Ipv4(address)) => self.judge_literal(address.into())?,
            Some(Host::Ipv6(address)) => self.judge_literal(address.into())?,
        }
        url.set_fragment(None);
        Ok(url)
    }

    /// Why an address is refused, if it is.
    pub(super) fn reason(&self, address: IpAddr) -> Option<&'static str> {
        if self.allow.iter().any(|net| net.contains(&address)) {
            return None;
        }
        match address {
            IpAddr::V4(address) => REFUSED_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what),
            IpAddr::V6(address) => {
                let listed = REFUSED_V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what);
                listed.or_else(|| (!GLOBAL_V6.contains(&address)).then_some("reserved (RFC 4291)"))
            }
        }
    }

    fn judge_literal(&self, address: IpAddr) -> Result<(), Unsent> {
        match self.reason(address) {
            None => Ok(()),
            Some(reason) => Err(refused(format!("{address} is refused: {reason}"))),
        }
    }

    fn judge_name(&self, name: &str) -> Result<(), Unsent> {
        if !self.allow.is_empty() {
            return Ok(());
        }
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        let within = |zone: &str| bare.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if let Some(zone) = REFUSED_NAMES.into_iter().find(|zone| within(zone)) {
            return Err(refused(format!("`{bare}` is refused: `{zone}` is not of the internet")));
        }
        if !bare.contains('.') {
            return Err(refused(format!("`{bare}` is refused: a name of the internet has a dot in it")));
        }
        Ok(())
    }

    /// The addresses of a name that are not refused. An error if there are none.
    async fn admitted(&self, lookup: &dyn Lookup, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let unknown = |error: String| Unresolved::Unknown { name: name.to_owned(), error };
        let found = lookup.addresses(name.to_owned()).await.map_err(|error| unknown(error.to_string()))?;
        let mut reason = None;
        let admitted: Vec<_> = found
            .into_iter()
            .filter(|address| {
                let why = self.reason(*address);
                if let Some(why) = why {
                    tracing::debug!(name, %address, why, "an address of a webhook's receiver is refused");
                }
                reason = reason.or(why);
                why.is_none()
            })
            .take(MAX_ADDRESSES)
            .collect();
        match reason {
            _ if !admitted.is_empty() => Ok(admitted),
            Some(reason) => Err(Unresolved::Refused { name: name.to_owned(), reason }),
            None => Err(unknown("it has no address".to_owned())),
        }
    }
}

/// Why a name led nowhere. It says no address: what a name means inside of the operator's network is not for whoever
/// set up the webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    /// There are addresses, and every one is refused.
    #[error("`{name}` leads only to addresses that are refused: {reason}")]
    Refused {
        /// The name.
        name: String,
        /// Why the first of them is refused.
        reason: &'static str,
    },
    /// There is no address.
    #[error("`{name}` was not resolved: {error}")]
    Unknown {
        /// The name.
        name: String,
        /// What the resolver says.
        error: String,
    },
}

/// Resolves names for the HTTP client, and gives it nothing else to connect to than what the guard let through.
pub(super) struct GuardedResolver {
    /// Judges the addresses.
    pub(super) guard: Arc<Guard>,
    /// Finds them.
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, lookup) = (Arc::clone(&self.guard), Arc::clone(&self.lookup));
        Box::pin(async move {
            let admitted = guard.admitted(&*lookup, name.as_str()).await?;
            // The client puts the port in.
            let addresses: Addrs = Box::new(admitted.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

fn invalid(message: impl Into<String>) -> Unsent {
    Unsent { code: URL_INVALID, message: message.into() }
}

fn refused(message: String) -> Unsent {
    Unsent { code: ADDRESS_REFUSED, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;

    fn guard(allow: &[&str]) -> Guard {
        Guard::new(allow.iter().map(|net| net.parse().unwrap()).collect(), true)
    }

    fn code(guard: &Guard, url: &str) -> Option<&'static str> {
        guard.target(url).err().map(|unsent| unsent.code)
    }

    #[test]
    fn every_refused_range_is_refused_from_its_first_address_to_its_last() {
        let table = [
            ("0.0.0.0", "0.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("168.63.129.16", "168.63.129.16"),
            ("169.254.0.0", "169.254.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.0.0.0", "192.0.0.255"),
            ("192.0.2.0", "192.0.2.255"),
            ("192.88.99.0", "192.88.99.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("198.18.0.0", "198.19.255.255"),
            ("198.51.100.0", "198.51.100.255"),
            ("203.0.113.0", "203.0.113.255"),
            ("224.0.0.0", "255.255.255.255"),
            ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ];
        let guard = guard(&[]);
        for (first, last) in table {
            let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
            assert!(guard.reason(first).is_some() && guard.reason(last).is_some(), "{first} - {last}");
            for beside in [before(first), after(last)].into_iter().flatten() {
                assert!(guard.reason(beside).is_none(), "{beside}, beside {first} - {last}, is refused");
            }
        }
    }

    fn before(address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(address) => u32::from(address).checked_sub(1).map(|n| Ipv4Addr::from(n).into()),
            IpAddr::V6(address) => u128::from(address).checked_sub(1).map(|n| Ipv6Addr::from(n).into()),
        }
    }

    fn after(address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(address) => u32::from(address).checked_add(1).map(|n| Ipv4Addr::from(n).into()),
            IpAddr::V6(address) => u128::from(address).checked_add(1).map(|n| Ipv6Addr::from(n).into()),
        }
    }

    #[test]
    fn each_range_of_ipv6_says_what_it_is() {
        let table = [
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::2", "an IPv4 address in IPv6"),
            ("::7f00:1", "an IPv4 address in IPv6"),
            ("::ffff:127.0.0.1", "an IPv4 address in IPv6"),
            ("::ffff:0:7f00:1", "reserved"),
            ("64:ff9b::a9fe:a9fe", "translated"),
            ("64:ff9b:1::a", "translated"),
            ("64:ff9b:2::a", "reserved"),
            ("100::1", "discarded"),
            ("100:0:0:1::1", "reserved"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "IETF"),
            ("2001:20::1", "IETF"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::1", "6to4"),
            ("3fff:fff::1", "documentation"),
            ("5f00::1", "segment"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
        ];
        for (address, what) in table {
            let reason = guard(&[]).reason(address.parse().unwrap());
            assert!(reason.is_some_and(|reason| reason.starts_with(what)), "{address}: {reason:?}");
        }
    }

    #[test]
    fn odd_spellings_of_refused_places_are_refused() {
        let table = [
            "http://127.0.0.1/",
            "http://127.0.0.1:8080/",
            "http://127.0.0.1./",
            "http://127.1/",
            "http://127.0.1/",
            "http://2130706433/",
            "http://2130706433./",
            "http://0x7f.1/",
            "http://0x7f000001/",
            "http://0X7F.0.0.1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://0/",
            "http://0x/",
            "http://0.0.0.0/",
            "http://%31%32%37.0.0.1/",
            "http://127%2e0%2e0%2e1/",
            "http://①②⑦.⓪.⓪.①/",
            "http://１２７.０.０.１/",
            "http://127。0。0。1/",
            "http:\\\\127.0.0.1\\",
            "http:/127.0.0.1/",
            "http:127.0.0.1",
            "  http://127.0.0.1/",
            "ht\ttp://127.0.\n0.1/",
            "HTTP://127.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://0251.0376.0251.0376/",
            "http://100.100.100.200/",
            "http://192.0.0.192/",
            "http://168.63.129.16/",
            "http://10.0.0.1/",
            "http://012.0.0.1/",
            "http://192.168.1.1/",
            "http://172.31.255.255/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://4294967295/",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::]/",
            "http://[::127.0.0.1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[0:0:0:0:0:FFFF:A9FE:A9FE]/",
            "http://[::ffff:8.8.8.8]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[64:ff9b::8.8.8.8]/",
            "http://[2002:7f00:1::]/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://[fec0::1]/",
            "http://[ff02::1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://localhost../",
            "http://lOcAlHoSt:9/",
            "http://ⓛocalhost/",
            "http://a.localhost/",
            "http://intranet/",
            "http://intranet./",
            "http://com/",
            "http://printer.local/",
            "http://metadata.google.internal/",
            "http://METADATA.google.internal./",
            "http://internal/",
            "http://nas.home.arpa/",
            "http://home.arpa/",
        ];
        for url in table {
            assert_eq!(code(&guard(&[]), url), Some(ADDRESS_REFUSED), "{url}");
        }
    }

    #[test]
    fn public_places_are_open() {
        let table = [
            "https://example.com/",
            "https://example.com./hook",
            "https://example.com:8443/hook?key=value#part",
            "http://example.com:80/",
            "https://EXAMPLE.com",
            "https://例え.テスト/",
            "https://a-b.c_d.example/",
            "https://localhost.example.com/",
            "https://mylocalhost.example/",
            "https://thermal.notlocal/",
            "https://home.arpa.example/",
            "https://8.8.8.8/",
            "https://134744072/",
            "https://9.255.255.255/",
            "https://11.0.0.0/",
            "https://100.63.255.255/",
            "https://100.128.0.0/",
            "https://168.63.129.15/",
            "https://172.15.255.255/",
            "https://172.32.0.0/",
            "https://192.0.1.1/",
            "https://198.17.255.255/",
            "https://198.20.0.0/",
            "https://223.255.255.255/",
            "https://[2606:4700:4700::1111]/",
            "https://[2001:4860:4860::8888]/",
            "https://[2001:200::1]/",
            "https://[2003::1]/",
            "https://[2a00:1450::1]:8443/",
        ];
        for url in table {
            assert_eq!(code(&guard(&[]), url), None, "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_invalid() {
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL));
        let table = [
            "",
            "example.com/hook",
            "//example.com",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_x",
            "javascript:alert(1)",
            "https://",
            "https:///",
            "https://user@example.com/",
            "https://user:pass@example.com/",
            "https://:pass@example.com/",
            "https://example.com@127.0.0.1/",
            "https://127.0.0.1:80@example.com/",
            "https://[fe80::1%25eth0]/",
            "https://[fe80::1%eth0]/",
            "https://[::1/",
            "https://1.2.3.256/",
            "https://1.2.3.4.5/",
            "https://0x100000000/",
            "https://example.com:0/",
            "https://example.com:65536/",
            "https://exa mple.com/",
            "https://exa%00mple.com/",
            "https://example.com%2f@x/",
            long.as_str(),
        ];
        for url in table {
            assert_eq!(code(&guard(&[]), url), Some(URL_INVALID), "{url}");
        }
        let https = Guard::new(Vec::new(), false);
        assert_eq!(code(&https, "http://example.com/"), Some(URL_INVALID));
        assert_eq!(code(&https, "https://example.com/"), None);
    }

    #[test]
    fn the_allow_list_opens_what_it_names_and_nothing_else() {
        let guard = guard(&["10.1.0.0/16", "::1/128", "64:ff9b::/96"]);
        for (url, open) in [
            ("http://10.1.2.3/", true),
            ("http://0xa.0x10203/", true),
            ("http://10.2.0.1/", false),
            ("http://[::ffff:10.1.2.3]/", false),
            ("http://[2002:a01:203::]/", false),
            ("http://[::1]/", true),
            ("http://127.0.0.1/", false),
            // Whoever allows the prefix of a translator allows what is behind it.
            ("http://[64:ff9b::10.2.0.1]/", true),
            ("http://8.8.8.8/", true),
            // By name: the addresses decide.
            ("http://localhost/", true),
            ("http://intranet/", true),
        ] {
            assert_eq!(code(&guard, url), (!open).then_some(ADDRESS_REFUSED), "{url}");
        }
    }

    #[test]
    fn the_fragment_stays_here() {
        assert_eq!(guard(&[]).target("https://example.com/a?b#c").unwrap().as_str(), "https://example.com/a?b");
    }

    /// Answers each time with the next of its lists.
    struct Script(Mutex<Vec<Vec<&'static str>>>);

    impl Lookup for Script {
        fn addresses(&self, _: String) -> PortFuture<'_, std::io::Result<Vec<IpAddr>>> {
            let next = self.0.lock().unwrap().pop();
            let answer = match next {
                Some(next) => Ok(next.into_iter().map(|address| address.parse().unwrap()).collect()),
                None => Err(std::io::Error::other("no such name")),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    fn resolver(allow: &[&str], answers: &[&[&'static str]]) -> GuardedResolver {
        let answers = answers.iter().rev().map(|answer| answer.to_vec()).collect();
        GuardedResolver { guard: Arc::new(guard(allow)), lookup: Arc::new(Script(Mutex::new(answers))) }
    }

    async fn ask(resolver: &GuardedResolver) -> Result<Vec<String>, Unresolved> {
        match resolver.resolve("rebind.example".parse().unwrap()).await {
            Ok(addresses) => Ok(addresses.map(|address| address.to_string()).collect()),
            Err(error) => Err(error.downcast_ref::<Unresolved>().unwrap().clone()),
        }
    }

    #[tokio::test]
    async fn a_name_that_changes_its_mind_is_judged_each_time() {
        let resolver = resolver(&[], &[&["93.184.215.14"], &["127.0.0.1"], &["169.254.169.254"], &["93.184.215.14"]]);
        assert_eq!(ask(&resolver).await.unwrap(), ["93.184.215.14:0"]);
        for what in ["loopback (RFC 1122)", "link-local (RFC 3927)"] {
            let refused = Unresolved::Refused { name: "rebind.example".to_owned(), reason: what };
            assert_eq!(ask(&resolver).await, Err(refused));
        }
        assert_eq!(ask(&resolver).await.unwrap(), ["93.184.215.14:0"]);
        assert!(matches!(ask(&resolver).await, Err(Unresolved::Unknown { .. })));
    }

    #[tokio::test]
    async fn refused_addresses_are_taken_out_of_mixed_answers() {
        let mixed = [
            "10.0.0.1",
            "93.184.215.14",
            "::1",
            "2606:4700::1",
            "::ffff:93.184.215.14",
            "64:ff9b::5db8:d70e",
            "127.0.0.1",
        ];
        assert_eq!(ask(&resolver(&[], &[&mixed])).await.unwrap(), ["93.184.215.14:0", "[2606:4700::1]:0"]);
        assert_eq!(
            ask(&resolver(&["10.0.0.0/8"], &[&mixed])).await.unwrap(),
            ["10.0.0.1:0", "93.184.215.14:0", "[2606:4700::1]:0"]
        );
        let none = ask(&resolver(&[], &[&["10.0.0.1", "::1"]])).await;
        let message = none.unwrap_err().to_string();
        assert_eq!(message, "`rebind.example` leads only to addresses that are refused: private (RFC 1918)");
        let empty = ask(&resolver(&[], &[&[]])).await.unwrap_err();
        assert_eq!(empty.to_string(), "`rebind.example` was not resolved: it has no address");
    }

    #[tokio::test]
    async fn no_more_than_a_few_addresses_are_tried() {
        let many: Vec<&str> = std::iter::repeat_n("127.0.0.1", 50).chain(std::iter::repeat_n("8.8.8.8", 50)).collect();
        assert_eq!(ask(&resolver(&[], &[&many])).await.unwrap().len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn the_machines_own_resolver_is_judged_too() {
        let resolver = GuardedResolver { guard: Arc::new(guard(&[])), lookup: Arc::new(SystemLookup) };
        let answer = resolver.resolve("localhost".parse().unwrap()).await;
        assert!(matches!(answer.err().unwrap().downcast_ref(), Some(Unresolved::Refused { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), scheme in "(https?|ftp|file)?:?/{0,3}") {
            let _ = guard(&[]).target(&text);
            let _ = guard(&["127.0.0.0/8"]).target(&format!("{scheme}{text}"));
        }

        #[test]
        fn no_spelling_of_an_ipv4_address_changes_the_verdict(number in any::<u32>(), shape in 0_usize..8) {
            let [a, b, c, d] = number.to_be_bytes();
            let host = match shape {
                0 => format!("{a}.{b}.{c}.{d}"),
                1 => number.to_string(),
                2 => format!("{number:#x}"),
                3 => format!("{number:#o}").replace("0o", "0"),
                4 => format!("{a:#x}.{b:#x}.{c:#x}.{d:#X}"),
                5 => format!("{a}.{}", number & 0x00ff_ffff),
                6 => format!("0{a:o}.{b}.{}", number & 0xffff),
                _ => format!("{a}%2e{b}。{c}.{d}."),
            };
            let open = guard(&[]).reason(Ipv4Addr::from(number).into()).is_none();
            prop_assert_eq!(code(&guard(&[]), &format!("https://{host}/")), (!open).then_some(ADDRESS_REFUSED));
        }

        #[test]
        fn no_form_of_ipv6_carries_an_ipv4_address_past_the_guard(number in any::<u32>()) {
            let (high, low) = (number >> 16, number & 0xffff);
            for form in [
                format!("::ffff:{high:x}:{low:x}"),
                format!("::{high:x}:{low:x}"),
                format!("::ffff:0:{high:x}:{low:x}"),
                format!("64:ff9b::{high:x}:{low:x}"),
                format!("64:ff9b:1::{high:x}:{low:x}"),
                format!("2002:{high:x}:{low:x}::1"),
                format!("2001::{high:x}:{low:x}"),
            ] {
                let code = code(&guard(&["0.0.0.0/0"]), &format!("https://[{form}]/"));
                prop_assert_eq!(code, Some(ADDRESS_REFUSED), "{}", form);
            }
        }
    }
}
