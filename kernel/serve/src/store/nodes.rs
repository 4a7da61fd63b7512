//! What a cluster says of itself: which of its members holds which slots.

use std::collections::HashMap;

use skewless_core::slots::SLOTS;

/// Host and port.
pub(super) type Place = (String, u16);

/// Which primary holds each slot, as one member sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Nodes {
    /// All members that are not known to have failed.
    pub(super) members: Vec<Place>,
    /// By slot, the number of its primary among the members.
    slots: HashMap<u16, usize>,
    /// Grows with every change of who holds what.
    pub(super) epoch: u64,
}

impl Nodes {
    /// Reads the answer to `CLUSTER NODES`; `asked` stands for a member that does not know its own host.
    pub(super) fn read(text: &str, asked: &str) -> Result<Self, String> {
        let mut nodes = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let &[_, address, flags, _, _, _, epoch, _, ref ranges @ ..] = &words[..] else {
                return Err(format!("a line of CLUSTER NODES has {} words", words.len()));
            };
            let flags: Vec<&str> = flags.split(',').collect();
            if ["fail", "handshake", "noaddr"]
                .iter()
                .any(|flag| flags.contains(flag))
            {
                continue;
            }
            let number = nodes.members.len();
            nodes
                .members
                .push(place(address, asked).ok_or("CLUSTER NODES has an address without a port")?);
            if !flags.contains(&"master") {
                continue;
            }
            nodes.epoch = nodes.epoch.max(
                epoch
                    .parse()
                    .map_err(|_| "CLUSTER NODES has an epoch that is no number")?,
            );
            // A range in brackets is on its way elsewhere; its slot stands without them as well.
            for range in ranges.iter().filter(|range| !range.starts_with('[')) {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                match (first.parse::<u16>(), last.parse::<u16>()) {
                    (Ok(first), Ok(last)) if last < SLOTS => {
                        nodes.slots.extend((first..=last).map(|slot| (slot, number)));
                    }
                    _ => return Err("CLUSTER NODES has a slot that is none".to_owned()),
                }
            }
        }
        Ok(nodes)
    }

    /// The primary of a slot, if it has one.
    pub(super) fn primary(&self, slot: u16) -> Option<&Place> {
        self.slots.get(&slot).map(|&number| &self.members[number])
    }

    /// Whether no slot is without a primary.
    pub(super) fn is_whole(&self) -> bool {
        self.slots.len() == usize::from(SLOTS)
    }
}

/// `host:port@bus,name`.
fn place(address: &str, asked: &str) -> Option<Place> {
    let address = address.split(['@', ',']).next()?;
    self::split(address, asked)
}

/// `host:port`, in which the host may be missing and may have colons.
pub(super) fn split(address: &str, asked: &str) -> Option<Place> {
    let (host, port) = address.rsplit_once(':')?;
    let host = if host.is_empty() { asked } else { host };
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
a1 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-5460 5462 [93-<-b2]
b2 ::1:7001@17001,name master - 0 1 7 connected 5461 5463-10922
c3 :7002@17002 master - 0 1 3 connected 10923-16383
d4 127.0.0.1:7003@17003 slave a1 0 1 1 connected
e5 127.0.0.1:7004@17004 master,fail - 1 1 9 disconnected
";

    #[test]
    fn slots_have_primaries() {
        let nodes = Nodes::read(TEXT, "here").unwrap();
        let at = |slot| nodes.primary(slot).map(|(host, port)| (host.as_str(), *port));
        assert_eq!(at(0), Some(("127.0.0.1", 7_000)));
        assert_eq!(at(5_461), Some(("::1", 7_001)));
        assert_eq!(at(16_383), Some(("here", 7_002)));
        assert_eq!((nodes.members.len(), nodes.epoch, nodes.is_whole()), (4, 7, true));
        assert!(!Nodes::read("", "here").unwrap().is_whole());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [
            "a1 h:1@2 master",
            "a1 h@2 master - 0 0 1 connected 0-1",
            "a1 h:1@2 master - 0 0 x connected 0-1",
            "a1 h:1@2 master - 0 0 1 connected 0-16384",
            "a1 h:1@2 master - 0 0 1 connected x",
        ] {
            assert!(Nodes::read(text, "here").is_err(), "{text}");
        }
    }
}
