//! Suspects: listeners that are waited for to answer HTTP.
//!
//! The kernel side finds them by where they are to be reached; here it is kept who they are, and
//! in which cgroups the program must be attached. A listener that shares its address and port
//! with others (`SO_REUSEPORT`) shares their answer: nobody could tell them apart.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use event::{Answer, Listen};
use libbpf_rs::{Link, MapCore, MapFlags};

use crate::clock::Clock;
use crate::error::Error;
use crate::skel::{ProbeSkel, types};
use crate::{cgroup, decode};

/// As in `wire.h`.
const HTTP1: u16 = 1;
const HTTP2: u16 = 2;
const NOT_HTTP: u16 = 3;
const CLOSED: u16 = 4;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Listeners under suspicion; the map in the kernel has room for as many.
const MOST: usize = 1024;
/// Cgroups that hold them.
const MOST_CGROUPS: usize = 256;

/// What the connections of a suspect were so far. Those that were HTTP are not counted: the first
/// of them decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Connections with TLS; what is inside cannot be told.
    pub tls: u32,
    /// Connections on which the server said something else.
    pub other: u32,
}

/// How many suspects there are, and what became of those before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Listeners that are waited for.
    pub listeners: usize,
    /// Cgroups in which packets are looked at.
    pub cgroups: usize,
    /// Listeners that had to go, undecided, for newer ones.
    pub dropped: u64,
    /// Listeners given up, after too many connections that were not HTTP.
    pub given_up: u64,
}

/// Listeners that are to be reached at one place.
struct Entry {
    key: types::suspect_key,
    cgroup: u64,
    /// Oldest first.
    listens: Vec<Listen>,
}

struct Attached {
    _link: Link,
    suspects: usize,
}

#[derive(Default)]
pub(crate) struct Suspects {
    deaf: Option<String>,
    tickets: u64,
    /// By ticket, so that the first is the oldest.
    entries: BTreeMap<u64, Entry>,
    places: HashMap<Vec<u8>, u64>,
    ports: HashMap<u16, usize>,
    cgroups: HashMap<u64, Attached>,
    listeners: usize,
    dropped: u64,
    given_up: u64,
}

impl Suspects {
    pub(crate) fn new(deaf: Option<String>) -> Self {
        Self { deaf, ..Self::default() }
    }

    pub(crate) fn deaf(&self) -> Option<&str> {
        self.deaf.as_deref()
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing {
            listeners: self.listeners,
            cgroups: self.cgroups.len(),
            dropped: self.dropped,
            given_up: self.given_up,
        }
    }

    /// Waits for a listener to answer.
    pub(crate) fn add(&mut self, skel: &ProbeSkel<'_>, listen: &Listen) -> Result<(), Error> {
        let deaf = |why: String| Error::Deaf { whom: name(listen), why };
        if let Some(why) = &self.deaf {
            return Err(deaf(why.clone()));
        }
        let key = key(listen).map_err(|why| deaf(why.to_owned()))?;
        let place = decode::bytes_of(&key).to_vec();
        if let Some(entry) = self.places.get(&place).and_then(|ticket| self.entries.get(ticket))
            && entry.listens.contains(listen)
        {
            return Ok(());
        }
        while self.listeners >= MOST && self.drop_oldest(skel)? {}
        if let Some(entry) = self.places.get(&place).and_then(|ticket| self.entries.get_mut(ticket))
        {
            entry.listens.push(listen.clone());
            self.listeners += 1;
            return Ok(());
        }
        let cgroup = match listen.cgroup {
            0 => cgroup::id_of(listen.pid)
                .ok_or_else(|| deaf("its cgroup is not known".to_owned()))?,
            id => id,
        };
        if !self.cgroups.contains_key(&cgroup) {
            while self.cgroups.len() >= MOST_CGROUPS && self.drop_oldest(skel)? {}
        }
        self.tickets += 1;
        let value = types::suspect { ticket: self.tickets, ..Default::default() };
        skel.maps
            .suspects
            .update(&place, decode::bytes_of(&value), MapFlags::ANY)
            .map_err(|e| deaf(format!("no room in the kernel: {e}")))?;
        let entry = Entry { key, cgroup, listens: vec![listen.clone()] };
        self.places.insert(place, self.tickets);
        self.entries.insert(self.tickets, entry);
        self.listeners += 1;
        *self.ports.entry(key.port).or_default() += 1;
        let added = put_port(skel, key.port, true)
            .map_err(|why| deaf(why.to_string()))
            .and_then(|()| self.attach(skel, cgroup, listen.pid).map_err(deaf));
        if added.is_err() {
            self.forget(skel, self.tickets)?;
        }
        added
    }

    /// Attaches the program to a cgroup, unless it is there already.
    fn attach(&mut self, skel: &ProbeSkel<'_>, id: u64, pid: u32) -> Result<(), String> {
        if let Some(attached) = self.cgroups.get_mut(&id) {
            attached.suspects += 1;
            return Ok(());
        }
        let dir = cgroup::open(id, pid).map_err(|e| format!("its cgroup is not found: {e}"))?;
        let link = skel
            .progs
            .on_answer
            .attach_cgroup(dir.as_raw_fd())
            .map_err(|e| format!("the program cannot be attached to its cgroup: {e}"))?;
        self.cgroups.insert(id, Attached { _link: link, suspects: 1 });
        Ok(())
    }

    /// Waits no longer for a listener. `None` if nobody did.
    pub(crate) fn remove(
        &mut self,
        skel: &ProbeSkel<'_>,
        listen: &Listen,
    ) -> Result<Option<Heard>, Error> {
        let Ok(key) = key(listen) else { return Ok(None) };
        let place = decode::bytes_of(&key);
        let Some(ticket) = self.places.get(place).copied() else { return Ok(None) };
        let Some(entry) = self.entries.get_mut(&ticket) else { return Ok(None) };
        let ours = entry.listens.iter().filter(|one| same(one, listen)).count();
        if ours == 0 {
            return Ok(None);
        }
        let bytes = skel.maps.suspects.lookup(place, MapFlags::ANY).ok().flatten();
        let value: types::suspect = bytes.and_then(|b| decode::read(&b)).unwrap_or_default();
        let heard = Heard { tls: value.tls, other: value.other };
        if entry.listens.len() > ours {
            entry.listens.retain(|one| !same(one, listen));
            self.listeners -= ours;
        } else {
            self.forget(skel, ticket)?;
        }
        Ok(Some(heard))
    }

    /// What the kernel told of a suspect: the answers that it means. `None` if it makes no sense.
    pub(crate) fn told(
        &mut self,
        skel: &ProbeSkel<'_>,
        clock: &Clock,
        record: &types::answer_record,
    ) -> Option<Result<Vec<Answer>, Error>> {
        let protocol = match record.kind {
            HTTP1 => {
                let digit = char::from(record.first[7]);
                Some(format!("HTTP/1.{}", digit.to_digit(10)?))
            }
            HTTP2 => Some("HTTP/2".to_owned()),
            NOT_HTTP => None,
            CLOSED => {
                // The last of those that share a place takes it along. Who closed it need not be
                // who began to listen: then it was the oldest, as when a server is restarted.
                if let Some(entry) = self.entries.get_mut(&record.ticket)
                    && entry.listens.len() > 1
                {
                    let at = entry.listens.iter().position(|one| one.pid == record.pid);
                    entry.listens.remove(at.unwrap_or(0));
                    self.listeners -= 1;
                    return Some(Ok(Vec::new()));
                }
                None
            }
            _ => return None,
        };
        let entry = match self.forget(skel, record.ticket) {
            Ok(Some(entry)) => entry,
            // Settled in the meantime.
            Ok(None) => return Some(Ok(Vec::new())),
            Err(error) => return Some(Err(error)),
        };
        let Some(protocol) = protocol else {
            if record.kind == NOT_HTTP {
                self.given_up += entry.listens.len() as u64;
            }
            return Some(Ok(Vec::new()));
        };
        let mut answers: Vec<Answer> = Vec::new();
        for listen in entry.listens {
            // A process that began to listen anew is told of once, as it did last.
            answers.retain(|answer| !same(&answer.listen, &listen));
            answers.push(Answer {
                time: clock.stamp(record.boot_ns),
                boot_ns: record.boot_ns,
                listen,
                protocol: protocol.clone(),
            });
        }
        Some(Ok(answers))
    }

    fn drop_oldest(&mut self, skel: &ProbeSkel<'_>) -> Result<bool, Error> {
        let Some(ticket) = self.entries.keys().next().copied() else { return Ok(false) };
        let entry = self.forget(skel, ticket)?;
        self.dropped += entry.map_or(0, |entry| entry.listens.len() as u64);
        Ok(true)
    }

    /// Forgets an entry, and detaches where it was the last.
    fn forget(&mut self, skel: &ProbeSkel<'_>, ticket: u64) -> Result<Option<Entry>, Error> {
        let Some(entry) = self.entries.remove(&ticket) else { return Ok(None) };
        self.listeners -= entry.listens.len();
        if let Some(attached) = self.cgroups.get_mut(&entry.cgroup) {
            attached.suspects -= 1;
            if attached.suspects == 0 {
                self.cgroups.remove(&entry.cgroup);
            }
        }
        let port = entry.key.port;
        let last = self.ports.get_mut(&port).is_none_or(|count| {
            *count -= 1;
            *count == 0
        });
        if last {
            self.ports.remove(&port);
            put_port(skel, port, false).map_err(|e| Error::map("forget a listener", &e))?;
        }
        let place = decode::bytes_of(&entry.key);
        self.places.remove(place);
        match skel.maps.suspects.delete(place) {
            Err(error) if error.kind() != libbpf_rs::ErrorKind::NotFound => {
                Err(Error::map("forget a listener", &error))
            }
            _ => Ok(Some(entry)),
        }
    }
}

/// Sets or takes away the bit of a port. Nobody else writes them.
fn put_port(skel: &ProbeSkel<'_>, port: u16, on: bool) -> Result<(), libbpf_rs::Error> {
    let word = u32::from(port / 64).to_ne_bytes();
    let bytes = skel.maps.suspect_ports.lookup(&word, MapFlags::ANY)?.unwrap_or_default();
    let bits = bytes.try_into().map_or(0, u64::from_ne_bytes);
    let bit = 1 << (port % 64);
    let bits = if on { bits | bit } else { bits & !bit };
    skel.maps.suspect_ports.update(&word, &bits.to_ne_bytes(), MapFlags::ANY)
}

/// Where a listener is to be reached, as the kernel side looks for it.
fn key(listen: &Listen) -> Result<types::suspect_key, &'static str> {
    if listen.listener.port == 0 {
        return Err("its port is not known");
    }
    let address: IpAddr =
        listen.listener.address.parse().map_err(|_| "its address is not known")?;
    let mut key = types::suspect_key {
        cgroup: listen.cgroup,
        net_ns: listen.netns,
        port: listen.listener.port,
        ..Default::default()
    };
    match address {
        IpAddr::V4(address) => {
            key.family = AF_INET;
            key.address[..4].copy_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            key.family = AF_INET6;
            key.address = address.octets();
        }
    }
    Ok(key)
}

/// Whether it is the same listener; its number and time may differ when it began anew.
fn same(one: &Listen, other: &Listen) -> bool {
    one.key() == other.key() && one.listener == other.listener && one.netns == other.netns
}

fn name(listen: &Listen) -> String {
    let ip = &listen.listener.address;
    let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
    format!("process {} on {ip}:{}", listen.pid, listen.listener.port)
}
