//! The guard against addresses that must not become receivers.

use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};
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
    let mixed =
        ["10.0.0.1", "93.184.215.14", "::1", "2606:4700::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e", "127.0.0.1"];
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
