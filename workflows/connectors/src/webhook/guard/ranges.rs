//! The places of the internet that are no receiver's.

use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, c: u16, d: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

/// What of IPv4 is no receiver's place, and what it is. Where nothing else is said, the source is the IANA IPv4
/// Special-Purpose Address Registry (<https://www.iana.org/assignments/iana-ipv4-special-registry>), with the RFC that
/// it names.
pub(super) const REFUSED_V4: &[(Ipv4Net, &str)] = &[
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
pub(super) const REFUSED_V6: &[(Ipv6Net, &str)] = &[
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
pub(super) const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 0, 3);

/// Names, and all under them, that lead into the machine or its network: RFC 6761 (`localhost`), RFC 6762 (`local`),
/// RFC 8375 (`home.arpa`), and `internal`, which ICANN keeps for private use (its advisory SAC113).
pub(super) const REFUSED_NAMES: [&str; 4] = ["localhost", "local", "internal", "home.arpa"];
