//! The keys of a request, written as they will be sent.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use skewless_core::slots;

use super::resp;

/// Of each slot the tag of its sentinels.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(slots::tags);

/// A request for the values of keys.
#[derive(Debug)]
pub(crate) struct MultiGet {
    body: Vec<u8>,
    pub(super) count: usize,
    /// For a cluster: where each key stands in the body, and its slot.
    placed: Option<Vec<(Range<usize>, u16)>>,
}

impl MultiGet {
    /// Of about so many bytes; for a cluster, if keys lie in slots.
    pub(crate) fn with_capacity(bytes: usize, in_slots: bool) -> Self {
        Self {
            body: Vec::with_capacity(bytes),
            count: 0,
            placed: in_slots.then(Vec::new),
        }
    }

    /// Adds a key, given in parts.
    pub(crate) fn key(&mut self, parts: &[&[u8]]) {
        let start = self.body.len();
        resp::number(&mut self.body, b'$', parts.iter().map(|part| part.len()).sum());
        let text = self.body.len();
        for part in parts {
            self.body.extend_from_slice(part);
        }
        if let Some(placed) = &mut self.placed {
            let slot = slots::slot(&self.body[text..]);
            placed.push((start..self.body.len() + 2, slot));
        }
        self.body.extend_from_slice(b"\r\n");
        self.count += 1;
    }

    /// Adds a sentinel: in the slot of the last key, if keys lie in slots.
    pub(crate) fn sentinel(&mut self, key: &[u8]) {
        match self.placed.as_ref().and_then(|placed| placed.last()) {
            None => self.key(&[key]),
            Some(&(_, slot)) => self.key(&[b"{", TAGS[usize::from(slot)].as_bytes(), b"}:", key]),
        }
    }

    /// The whole as one command.
    pub(super) fn finish(&self) -> Vec<u8> {
        command(self.count, self.body.len(), [&self.body[..]].into_iter())
    }

    /// A command for each slot, and the places of its keys in the whole.
    pub(super) fn by_slot(&self) -> BTreeMap<u16, (Vec<u8>, Vec<usize>)> {
        let mut by_slot: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        let placed = self.placed.as_deref().unwrap_or_default();
        for (place, (_, slot)) in placed.iter().enumerate() {
            by_slot.entry(*slot).or_default().push(place);
        }
        by_slot
            .into_iter()
            .map(|(slot, own)| {
                let keys = || own.iter().map(|&place| &self.body[placed[place].0.clone()]);
                (
                    slot,
                    (command(own.len(), keys().map(<[u8]>::len).sum(), keys()), own),
                )
            })
            .collect()
    }
}

fn command<'a>(count: usize, bytes: usize, keys: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut wire = Vec::with_capacity(bytes + 32);
    resp::number(&mut wire, b'*', count + 1);
    wire.extend_from_slice(b"$4\r\nMGET\r\n");
    keys.for_each(|key| wire.extend_from_slice(key));
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_slot_and_their_sentinel_are_one_command() {
        let mut keys = MultiGet::with_capacity(64, true);
        for id in [b"1", b"2"] {
            keys.key(&[b"{u:", id, b"}:v"]);
            keys.key(&[b"{u:", id, b"}:v", b":b"]);
            keys.sentinel(b"mark");
        }
        let commands = keys.by_slot();
        assert_eq!(commands.len(), 2);
        let (wire, places) = &commands[&slots::slot(b"u:2")];
        assert_eq!(places, &[3, 4, 5]);
        let tag = &TAGS[usize::from(slots::slot(b"u:2"))];
        let mark = format!("{{{tag}}}:mark");
        let wanted = format!(
            "*4\r\n$4\r\nMGET\r\n$7\r\n{{u:2}}:v\r\n$9\r\n{{u:2}}:v:b\r\n${}\r\n{mark}\r\n",
            mark.len()
        );
        assert_eq!(String::from_utf8_lossy(wire), wanted);
    }

    #[test]
    fn without_slots_all_keys_are_one_command() {
        let mut keys = MultiGet::with_capacity(64, false);
        keys.sentinel(b"mark");
        keys.key(&[b"a", b"b"]);
        assert_eq!(keys.finish(), b"*3\r\n$4\r\nMGET\r\n$4\r\nmark\r\n$2\r\nab\r\n");
    }
}
