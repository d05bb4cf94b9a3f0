//! Who asks, by address: what counts as one caller.

use std::net::{IpAddr, Ipv6Addr};

/// The network that one caller is taken for: an address of IPv4, or the 64 leading bits of one of IPv6, of which every household has as
/// many addresses as it likes. An address of IPv4 that is written as one of IPv6 is one of IPv4.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv4_is_one_caller_and_so_are_64_bits_of_ipv6() {
        for (address, is) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("::1", "::"),
        ] {
            assert_eq!(network(address.parse().unwrap()), is.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
