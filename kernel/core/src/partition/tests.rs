//! The writer: batches, crashes and rewinds do not show in what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::definition::WindowView;
use crate::time::{HOUR, MINUTE, SECOND};
use crate::window::properties::{Dice, view_of};
use crate::window::read;

type Store = BTreeMap<String, (Vec<u8>, Option<Vec<u8>>)>;

struct Record {
    t: i64,
    entity: Option<String>,
    accepted: bool,
    row: Vec<Value>,
}

fn view() -> Arc<WindowView> {
    Arc::new(view_of(
        &[
            ("count", None, HOUR, MINUTE, None, "int64"),
            ("sum", Some("x"), 24 * HOUR, 15 * MINUTE, None, "float64"),
            (
                "count_distinct",
                Some("n"),
                6 * HOUR,
                5 * MINUTE,
                Some(5),
                "int64",
            ),
            ("last", Some("n"), HOUR, MINUTE, None, "int64"),
        ],
        4,
    ))
}

fn log(dice: &mut Dice, count: usize) -> Vec<Record> {
    let mut now = 1_357_000_000 * SECOND;
    (0..count)
        .map(|_| {
            now += dice.below(4 * MINUTE);
            let t = now
                - if dice.below(5) == 0 {
                    dice.below(2 * HOUR)
                } else {
                    0
                };
            let entity = (dice.below(12) > 0).then(|| format!("s.{}", dice.below(6)));
            let n = Value::Int(dice.below(9));
            let x = Value::Float(f64::from(i32::try_from(dice.below(100)).unwrap()) / 10.0);
            let row = vec![Value::Null, Value::Timestamp(t), n, x, Value::Null];
            Record {
                t,
                entity,
                accepted: dice.below(15) > 0,
                row,
            }
        })
        .collect()
}

fn rows(log: &[Record], from: usize, to: usize) -> Vec<LogRow<'_>> {
    let row = |place: usize| {
        let record = &log[place];
        let event = LogEvent {
            t: record.t,
            entity_id: record.entity.as_deref(),
            row: record.row.clone(),
        };
        LogRow {
            offset: place as u64,
            event: record.accepted.then_some(event),
        }
    };
    (from..to).map(row).collect()
}

fn load(states: &mut StatePartition<CachedWindow>, store: &Store, batch: &[LogRow<'_>]) {
    for id in batch.iter().filter_map(|row| row.event.as_ref()?.entity_id) {
        if !states.holds(id) {
            let (head, body) = store
                .get(id)
                .map_or((None, None), |(head, body)| (Some(&head[..]), body.as_deref()));
            states.load(id, head, body).unwrap();
        }
    }
}

/// What the store does: the greater (epoch, offset) wins, a body that is not written stays.
fn store(store: &mut Store, flushed: Vec<Flushed>) {
    for Flushed {
        entity_id,
        head,
        body,
        ..
    } in flushed
    {
        let old = store.remove(&*entity_id);
        let stale = old.as_ref().is_some_and(|(old, _)| head[1..17] <= old[1..17]);
        let written = match old {
            Some(old) if stale => old,
            old => (head, body.or_else(|| old.and_then(|(_, body)| body))),
        };
        store.insert(entity_id.to_string(), written);
    }
}

/// Folds the log in batches of at most so many records.
fn run(view: &Arc<WindowView>, log: &[Record], dice: &mut Dice, batch: i64) -> Store {
    let wall = i64::MAX;
    let mut stored = Store::new();
    let mut states = StatePartition::<CachedWindow>::new(Arc::clone(view), 1, 0, 1);
    let mut from = 0;
    while from < log.len() {
        let step = usize::try_from(1 + dice.below(batch)).unwrap();
        let to = (from + step).min(log.len());
        let batch = rows(log, from, to);
        load(&mut states, &stored, &batch);
        states.fold(batch, wall).unwrap();
        from = to;
        if dice.below(3) > 0 {
            store(&mut stored, states.flush(from as u64, None));
        }
    }
    store(&mut stored, states.flush(log.len() as u64, None));
    stored
}

#[test]
fn batch_boundaries_and_flushes_do_not_show_in_states() {
    let view = view();
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let log = log(&mut dice, 300);
        let whole = run(&view, &log, &mut Dice(seed), 1_000);
        assert!(whole.len() >= 6);
        for batch in [1, 7, 50] {
            let split = run(&view, &log, &mut dice, batch);
            for (id, (head, body)) in &whole {
                let (other, other_body) = &split[id];
                // The offset below which all is known grows with the flush; everything else is the same.
                assert_eq!(head[17..], other[17..], "seed {seed}, {id}");
                let reads = |head: &[u8], body: &Option<Vec<u8>>| {
                    read(&view, Some(head), body.as_deref(), i64::MAX / 4)
                        .unwrap()
                        .answers
                };
                assert_eq!(reads(head, body), reads(other, other_body));
            }
        }
    }
}

#[test]
fn a_rewound_writer_counts_nothing_twice() {
    let view = view();
    for seed in 50..70 {
        let mut dice = Dice(seed);
        let log = log(&mut dice, 200);
        let whole = run(&view, &log, &mut Dice(seed), 1_000);
        let mut stored = Store::new();
        let mut from = 0;
        while from < log.len() {
            let mut states = StatePartition::<CachedWindow>::new(Arc::clone(&view), 1, 0, seed);
            let mut to = from;
            while to < log.len() && dice.below(5) > 0 {
                let next = (to + 1 + usize::try_from(dice.below(30)).unwrap()).min(log.len());
                let batch = rows(&log, to, next);
                load(&mut states, &stored, &batch);
                states.fold(batch, i64::MAX).unwrap();
                to = next;
                // Some states are written, others die with the writer.
                let limit = usize::try_from(dice.below(8)).unwrap();
                store(&mut stored, states.flush(to as u64, Some(limit)));
            }
            let all_written = states.dirty() == 0;
            from = if all_written { to } else { from };
            if to == log.len() && all_written {
                break;
            }
        }
        let end = log.iter().map(|record| record.t).max().unwrap();
        for (id, (head, body)) in &whole {
            let (other, other_body) = &stored[id];
            for request in [end + 1, end + HOUR, end + 7 * HOUR] {
                let answers = |head: &[u8], body: &Option<Vec<u8>>| {
                    read(&view, Some(head), body.as_deref(), request).unwrap().answers
                };
                assert_eq!(
                    answers(head, body),
                    answers(other, other_body),
                    "seed {seed}, {id}, {request}"
                );
            }
        }
    }
}

#[test]
fn states_of_another_partition_or_a_later_epoch_are_refused() {
    let view = view();
    let log = log(&mut Dice(3), 60);
    let whole = run(&view, &log, &mut Dice(3), 100);
    let (id, (head, body)) = whole.iter().next().unwrap();
    let reason = |epoch, partition| {
        let mut states = StatePartition::<CachedWindow>::new(Arc::clone(&view), epoch, partition, 1);
        states
            .load(id, Some(head), body.as_deref())
            .map_err(|error| error.reason())
    };
    assert_eq!(reason(1, 0), Ok(()));
    assert_eq!(reason(1, 1), Err("STATE_OTHER_PARTITION"));
    assert_eq!(reason(0, 0), Err("STATE_LATER_EPOCH"));
    // In a later epoch every offset is new, in whatever partition.
    assert_eq!(reason(2, 1), Ok(()));
}

#[test]
fn a_batch_that_cannot_be_folded_changes_nothing() {
    let view = view();
    let log = log(&mut Dice(4), 30);
    let mut states = StatePartition::<CachedWindow>::new(view, 1, 0, 1);
    assert!(matches!(
        states.fold(rows(&log, 0, 30), 0),
        Err(FoldError::NotLoaded { .. })
    ));
    let mut backwards = rows(&log, 0, 2);
    backwards.reverse();
    assert_eq!(
        states.fold(backwards, 0),
        Err(FoldError::OutOfOrder { offset: 0 })
    );
    assert_eq!((states.clock(), states.cached(), states.dirty()), (None, 0, 0));
}

#[test]
fn the_clock_is_the_least_of_wall_and_greatest_event_time() {
    let view = view();
    let record = |t: i64, accepted| Record {
        t,
        entity: None,
        accepted,
        row: vec![Value::Null; 5],
    };
    let log = [
        record(10, true),
        record(30, true),
        record(20, true),
        record(99, false),
    ];
    let mut states = StatePartition::<CachedWindow>::new(view, 1, 0, 1);
    let report = states.fold(rows(&log, 0, 4), 25).unwrap();
    assert_eq!(states.clock(), Some(25));
    assert_eq!((report.without_entity, report.refused), (3, 1));
    states.fold(Vec::new(), 1_000).unwrap();
    assert_eq!(states.clock(), Some(30));
}

#[test]
fn memory_is_given_back() {
    let view = view();
    let log = log(&mut Dice(5), 100);
    let mut states = StatePartition::<CachedWindow>::new(view, 1, 0, 1);
    let batch = rows(&log, 0, 100);
    load(&mut states, &Store::new(), &batch);
    states.fold(batch, i64::MAX).unwrap();
    assert!(states.memory() > 0 && states.dirty() > 0);
    let ids: Vec<String> = log.iter().filter_map(|record| record.entity.clone()).collect();
    for id in &ids {
        states.forget(id);
    }
    assert_eq!((states.memory(), states.cached(), states.dirty()), (0, 0, 0));
}
