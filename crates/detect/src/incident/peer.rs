//! Whom the processes of a workload connect to: what kind of address it is, and whether it is new.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use event::{Connect, Peer, ProcessKey, StageKind, Stamp};

use super::entry::Entry;
use super::{WINDOW, within};
use crate::engine::socket;

/// Peers that are remembered of one workload.
const MOST_PEERS: usize = 64;

/// Where clouds hand out credentials to whatever runs on a machine of theirs.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// How far away an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// A network that its owner numbers as he likes: a neighbour.
    Private,
    /// The service that hands out a cloud machine's credentials.
    Metadata,
    /// Anywhere.
    Public,
}

impl Reach {
    /// Of an address; `None` for this machine itself, and for what is no address.
    pub(super) fn of(address: &str) -> Option<Self> {
        let address = address.parse::<IpAddr>().ok()?.to_canonical();
        if METADATA.contains(&address) {
            return Some(Self::Metadata);
        }
        if address.is_loopback() || address.is_unspecified() {
            return None;
        }
        let near = match address {
            IpAddr::V4(v4) => {
                let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
                v4.is_private()
                    || v4.is_link_local()
                    || v4.is_multicast()
                    || v4.is_broadcast()
                    || shared
            }
            IpAddr::V6(v6) => {
                v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast()
            }
        };
        Some(if near { Self::Private } else { Self::Public })
    }
}

/// A peer that a workload connected to.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) peer: Peer,
    pub(super) reach: Reach,
    /// When it was new.
    pub(super) first: Stamp,
    last: Stamp,
    /// The server that connected to it by itself, as long as nothing was made of that.
    pub(super) own: Option<(ProcessKey, String)>,
}

impl Known {
    /// What names it among the peers of its workload.
    pub(super) fn name(&self) -> String {
        socket(&self.peer.address, self.peer.port)
    }

    /// That somebody connected to it.
    pub(super) fn stage(&self, by: (ProcessKey, String), time: Stamp) -> Entry {
        let key = self.name();
        let (points, remark) = match self.reach {
            Reach::Private => (1, ", a private address"),
            Reach::Metadata => (2, ", which hands out the credentials of cloud machines"),
            Reach::Public => (2, ""),
        };
        let act = format!("connected to {key}{remark}");
        let kind = StageKind::Outbound;
        Entry { kind, time, key, points, by, act, made: None, detection: None }
    }
}

/// The peers of a workload: those of the last hour, as far as there is room.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: Vec<Known>,
}

impl Peers {
    /// Counts a connection. Says whether the peer was connected to before, within the window.
    pub(super) fn meet(&mut self, connect: &Connect, reach: Reach) -> (bool, &mut Known) {
        let now = connect.time;
        let at = self.position(connect);
        let new = at.is_none_or(|at| !within(self.known[at].last, now, WINDOW));
        let at = at.unwrap_or_else(|| self.add(connect, reach));
        let known = &mut self.known[at];
        if new {
            known.first = now;
        }
        known.last = known.last.max(now);
        known.peer.connections =
            known.peer.connections.saturating_add(1).saturating_add(connect.repeats);
        (new, known)
    }

    /// A connection has ended: what went over it is known.
    pub(super) fn end(&mut self, connect: &Connect) -> Option<&Known> {
        let at = self.position(connect)?;
        let known = &mut self.known[at];
        let add = |sum: &mut Option<u64>, more: Option<u64>| {
            if let Some(more) = more {
                *sum = Some(sum.unwrap_or(0).saturating_add(more));
            }
        };
        add(&mut known.peer.bytes_sent, connect.bytes_sent);
        add(&mut known.peer.bytes_received, connect.bytes_received);
        Some(known)
    }

    /// Those that servers connected to by themselves since a moment, and that nothing was made of.
    pub(super) fn own_since(&mut self, since: i64) -> impl Iterator<Item = &mut Known> {
        let new = move |known: &&mut Known| known.first.unix_nanos() >= since;
        self.known.iter_mut().filter(|known| known.own.is_some()).filter(new)
    }

    /// The sums of a peer.
    pub(super) fn named(&self, name: &str) -> Option<&Peer> {
        self.known.iter().find(|known| known.name() == name).map(|known| &known.peer)
    }

    fn position(&self, connect: &Connect) -> Option<usize> {
        let Connect { peer, .. } = connect;
        self.known.iter().position(|known| {
            let own = &known.peer;
            own.port == peer.port && own.address == peer.address && own.protocol == peer.protocol
        })
    }

    /// Makes room by forgetting who was not heard of for the longest time.
    fn add(&mut self, connect: &Connect, reach: Reach) -> usize {
        let peer = Peer {
            address: connect.peer.address.clone(),
            port: connect.peer.port,
            protocol: connect.peer.protocol.clone(),
            connections: 0,
            bytes_sent: None,
            bytes_received: None,
        };
        let (first, last) = (connect.time, connect.time);
        let known = Known { peer, reach, first, last, own: None };
        if self.known.len() < MOST_PEERS {
            self.known.push(known);
            return self.known.len() - 1;
        }
        let oldest = (0..MOST_PEERS).min_by_key(|at| self.known[*at].last).unwrap_or(0);
        self.known[oldest] = known;
        oldest
    }
}

/// What came of a connection, in words that follow a name.
pub(super) fn end(connect: &Connect, peer: &str) -> String {
    if connect.established == Some(false) {
        return format!("got no connection to {peer}");
    }
    let sent = connect.bytes_sent.map(|n| format!(": {} sent", amount(n)));
    let received = connect.bytes_received.map(|n| format!(", {} received", amount(n)));
    let [sent, received] = [sent, received].map(Option::unwrap_or_default);
    format!("ended its connection to {peer}{sent}{received}")
}

/// Bytes as people say them.
pub fn amount(bytes: u64) -> String {
    let unit = [(1_000_000_000, "GB"), (1_000_000, "MB"), (10_000, "kB")];
    match unit.iter().find(|(least, _)| bytes >= *least) {
        Some((10_000, unit)) => format!("{} {unit}", bytes / 1000),
        Some((size, unit)) => format!("{}.{} {unit}", bytes / size, bytes % size / (size / 10)),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_near_or_far() {
        use Reach::{Metadata, Private, Public};
        for (address, expected) in [
            ("127.0.0.1", None),
            ("127.8.9.1", None),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
            ("0.0.0.0", None),
            ("::", None),
            ("nonsense", None),
            ("", None),
            ("10.1.2.3", Some(Private)),
            ("172.31.0.1", Some(Private)),
            ("172.32.0.1", Some(Public)),
            ("192.168.1.1", Some(Private)),
            ("100.64.0.1", Some(Private)),
            ("100.128.0.1", Some(Public)),
            ("169.254.1.1", Some(Private)),
            ("224.0.0.251", Some(Private)),
            ("::ffff:10.0.0.1", Some(Private)),
            ("fe80::1", Some(Private)),
            ("fd12::1", Some(Private)),
            ("ff02::fb", Some(Private)),
            ("169.254.169.254", Some(Metadata)),
            ("::ffff:169.254.169.254", Some(Metadata)),
            ("fd00:ec2::254", Some(Metadata)),
            ("203.0.113.9", Some(Public)),
            ("2001:db8::1", Some(Public)),
        ] {
            assert_eq!(Reach::of(address), expected, "{address}");
        }
    }

    #[test]
    fn amounts() {
        for (bytes, said) in [
            (0, "0 bytes"),
            (9_999, "9999 bytes"),
            (10_000, "10 kB"),
            (999_999, "999 kB"),
            (1_250_000, "1.2 MB"),
            (u64::MAX, "18446744073.7 GB"),
        ] {
            assert_eq!(amount(bytes), said);
        }
    }
}
