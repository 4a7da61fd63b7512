//! Distinct counts of ranges that slide forward.
//!
//! Of each event it is known where its value stood before and where it stands next. A value is new to a range when it
//! stood last before its beginning, and leaves it when it stands next after its end: two comparisons, however many
//! values there are.

use std::collections::HashMap;

use super::groups::Mixing;
use super::taken::Taken;

/// Of a cell that is not counted: never new to a range.
const UNCOUNTED: u32 = u32::MAX;

/// One distinct count of one entity.
pub(super) struct Distinct<'e> {
    numbers: HashMap<i64, u32, Mixing>,
    texts: HashMap<&'e str, u32, Mixing>,
    /// Per event, one more than the place of the one before with its value; 0 for none.
    before: Vec<u32>,
    /// Per event, the place of the next one with its value.
    next: Vec<u32>,
    /// Per window.
    slides: Vec<Slide>,
}

/// A range with its count.
#[derive(Clone, Copy, Default)]
struct Slide {
    from: usize,
    to: usize,
    count: usize,
}

impl<'e> Distinct<'e> {
    pub(super) fn new(windows: usize) -> Self {
        Self {
            numbers: HashMap::with_hasher(Mixing::new()),
            texts: HashMap::with_hasher(Mixing::new()),
            before: Vec::new(),
            next: Vec::new(),
            slides: vec![Slide::default(); windows],
        }
    }

    pub(super) fn fill(&mut self, cells: &[Taken<'e>]) {
        self.slides.fill(Slide::default());
        forget(&mut self.numbers, cells.len());
        forget(&mut self.texts, cells.len());
        self.before.clear();
        self.next.clear();
        self.next.resize(cells.len(), UNCOUNTED);
        for (place, cell) in (1_u32..).zip(cells) {
            let last = match (cell, cell.key()) {
                (Taken::Text(text), _) => self.texts.insert(text, place),
                (_, Some(key)) => self.numbers.insert(key, place),
                _ => {
                    self.before.push(UNCOUNTED);
                    self.next[place as usize - 1] = 0;
                    continue;
                }
            };
            let last = last.unwrap_or(0);
            self.before.push(last);
            if last > 0 {
                self.next[last as usize - 1] = place - 1;
            }
        }
    }

    /// How many values a range has. Ranges of one window that come in rising order cost a walk over all events at most.
    pub(super) fn between(&mut self, window: usize, from: usize, to: usize) -> usize {
        let slide = &mut self.slides[window];
        if from < slide.from || to < slide.to || from >= slide.to {
            *slide = Slide {
                from,
                to: from,
                count: 0,
            };
        }
        for before in &self.before[slide.to..to] {
            slide.count += usize::from(*before as usize <= slide.from);
        }
        slide.to = to;
        for next in &self.next[slide.from..from] {
            slide.count -= usize::from(*next as usize >= to);
        }
        slide.from = from;
        slide.count
    }
}

/// Empties a map; one much too large for what comes is given back, as emptying takes time by its size.
fn forget<K>(map: &mut HashMap<K, u32, Mixing>, coming: usize) {
    if map.capacity() > 64 + 8 * coming {
        *map = HashMap::with_hasher(map.hasher().clone());
    } else {
        map.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::properties::Dice;
    use std::collections::HashSet;

    #[test]
    fn any_sequence_of_ranges_is_counted() {
        let mut dice = Dice(4);
        for _ in 0..50 {
            let cells: Vec<Taken<'_>> = (0..80)
                .map(|_| match dice.below(9) {
                    0 => Taken::Null,
                    1 => Taken::Invalid,
                    2 => Taken::Text("a"),
                    3 => Taken::Text("b"),
                    n => Taken::Int(n),
                })
                .collect();
            let mut distinct = Distinct::new(1);
            distinct.fill(&cells);
            let (mut from, mut to) = (0, 0);
            for _ in 0..60 {
                if dice.below(20) == 0 {
                    (from, to) = (0, 0);
                }
                to = (to + usize::try_from(dice.below(7)).unwrap()).min(80);
                from = (from + usize::try_from(dice.below(9)).unwrap()).min(to);
                let naive: HashSet<String> = cells[from..to]
                    .iter()
                    .filter(|cell| cell.is_counted())
                    .map(|cell| format!("{cell:?}"))
                    .collect();
                assert_eq!(distinct.between(0, from, to), naive.len(), "{from}..{to}");
            }
        }
    }
}
