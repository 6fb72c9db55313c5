//! Networks: the client addresses from which a credential may be presented.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// The networks of a credential that is narrowed to some. Empty means from nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Cidrs(Vec<IpNet>);

impl Cidrs {
    /// From single networks. An IPv4-mapped IPv6 network is read as the IPv4 network that it is.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let mut networks: Vec<IpNet> = networks
            .into_iter()
            .map(|network| canonical(network).trunc())
            .collect();
        networks.sort();
        networks.dedup();
        Self(networks)
    }

    /// Reads `192.0.2.0/24`, or a bare address as a network of one.
    pub fn parse_one(text: &str) -> Option<IpNet> {
        match text.parse::<IpNet>() {
            Ok(network) => Some(network),
            Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
        }
    }

    /// Each network.
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// Whether the address lies in one of them. An unknown address does not.
    pub fn contain(&self, address: Option<IpAddr>) -> bool {
        address.is_some_and(|address| {
            let address = address.to_canonical();
            self.0.iter().any(|network| network.contains(&address))
        })
    }

    /// The first network of `wanted` that lies not within these taken together.
    pub fn missing_from(&self, wanted: &Self) -> Option<IpNet> {
        let whole = IpNet::aggregate(&self.0);
        wanted
            .0
            .iter()
            .find(|wanted| !whole.iter().any(|own| own.contains(*wanted)))
            .copied()
    }
}

const MAPPED_PREFIX_LEN: u8 = 96;

fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let v4 = v6
        .addr()
        .to_ipv4_mapped()
        .zip(v6.prefix_len().checked_sub(MAPPED_PREFIX_LEN))
        .and_then(|(address, len)| Ipv4Net::new(address, len).ok());
    v4.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidrs(networks: &[&str]) -> Cidrs {
        Cidrs::new(
            networks
                .iter()
                .map(|network| Cidrs::parse_one(network).unwrap()),
        )
    }

    #[test]
    fn an_address_lies_in_a_network_or_is_refused() {
        let allowed = cidrs(&["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]);
        for address in [
            "192.0.2.9",
            "2001:db8::1",
            "198.51.100.7",
            "::ffff:192.0.2.9",
        ] {
            assert!(allowed.contain(Some(address.parse().unwrap())), "{address}");
        }
        for address in ["192.0.3.1", "2001:db9::1", "198.51.100.8"] {
            assert!(
                !allowed.contain(Some(address.parse().unwrap())),
                "{address}"
            );
        }
        assert!(!allowed.contain(None));
        assert!(!cidrs(&[]).contain(Some("192.0.2.9".parse().unwrap())));
    }

    #[test]
    fn neighbours_together_cover_what_neither_covers_alone() {
        let halves = cidrs(&["10.0.0.0/25", "10.0.0.128/25"]);
        assert_eq!(halves.missing_from(&cidrs(&["10.0.0.0/24"])), None);
        assert!(halves.missing_from(&cidrs(&["10.0.0.0/23"])).is_some());
        assert!(halves.missing_from(&cidrs(&["::/0"])).is_some());
    }

    #[test]
    fn a_mapped_network_is_the_ipv4_network_that_it_is() {
        let mapped = cidrs(&["::ffff:192.0.2.0/120"]);

        assert_eq!(mapped, cidrs(&["192.0.2.0/24"]));
        assert!(mapped.contain(Some("192.0.2.9".parse().unwrap())));
        assert!(!mapped.contain(Some("192.0.3.9".parse().unwrap())));
        assert_eq!(cidrs(&["::ffff:0.0.0.0/96"]), cidrs(&["0.0.0.0/0"]));
        // All of IPv6 does not hold an IPv4 address, however it is written.
        let all_v6 = cidrs(&["::/0"]);
        assert!(!all_v6.contain(Some("::ffff:192.0.2.9".parse().unwrap())));
        assert!(all_v6.missing_from(&mapped).is_some());
    }

    #[test]
    fn an_empty_list_of_networks_lies_within_any_other() {
        assert_eq!(cidrs(&[]).missing_from(&cidrs(&[])), None);
        assert_eq!(cidrs(&["10.0.0.1"]).missing_from(&cidrs(&[])), None);
        assert!(cidrs(&[]).missing_from(&cidrs(&["10.0.0.1"])).is_some());
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "localhost",
            "10.0.0.0/",
            " 10.0.0.1",
        ] {
            assert!(Cidrs::parse_one(text).is_none(), "{text}");
        }
    }
}
