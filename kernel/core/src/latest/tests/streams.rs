//! States that events of a stream fold into.

use super::{Dice, Rows, stream_view};
use crate::definition::LatestView;
use crate::latest::frame::{self, Asked, Known, LogPosition, StreamRow};
use crate::latest::stream::{LatestEvent, LatestState, read};
use crate::latest::{Reading, worst_case_bytes};
use crate::state::{Position, Prefix, StateError, peek};
use crate::status::Status;
use crate::value::Value;
use crate::window::EventPosition;

#[derive(Clone)]
struct Logged {
    t: i64,
    offset: u64,
    row: Vec<Value>,
}

fn log(dice: &mut Dice, count: u64) -> Vec<Logged> {
    (0..count)
        .map(|offset| {
            let t = dice.time(60);
            let mut row = vec![Value::from("a"), Value::Timestamp(t), Value::Null];
            row.extend(dice.cells());
            Logged { t, offset, row }
        })
        .collect()
}

fn event(view: &LatestView, logged: &Logged) -> LatestEvent {
    let position = EventPosition {
        epoch: 1,
        offset: logged.offset,
    };
    LatestEvent::of(view, logged.t, position, &logged.row)
}

fn prefix(next_offset: u64) -> Prefix {
    Prefix {
        position: Position {
            epoch: 1,
            partition: 0,
            next_offset,
        },
        run: 9,
    }
}

/// The newest known event before `T`, as a maximum.
fn truth(
    view: &LatestView,
    known: &[Logged],
    request_time: i64,
    feature: usize,
) -> (Value, Status, Option<i64>) {
    let visible = known.iter().filter(|e| e.t < request_time);
    let Some(newest) = visible.max_by_key(|e| (e.t, e.offset)) else {
        return (Value::Null, Status::NotFound, None);
    };
    if view.ttl.is_some_and(|ttl| request_time - newest.t > ttl) {
        return (Value::Null, Status::OutsideTtl, Some(newest.t));
    }
    let value = match &newest.row[3 + feature] {
        Value::Float(x) => Value::Float(*x + 0.0),
        other => other.clone(),
    };
    let status = if value.is_null() {
        Status::Null
    } else {
        Status::Present
    };
    (value, status, Some(newest.t))
}

#[test]
fn whatever_a_state_answers_is_the_newest_row_before_the_request() {
    let mut refused = 0;
    for seed in 0..80 {
        let mut dice = Dice(seed);
        let view = stream_view(if seed % 2 == 0 { "{}" } else { r#"{"ttl_us":9}"# });
        let log = log(&mut dice, 25);
        let mut state = LatestState::new();
        for (count, logged) in log.iter().enumerate() {
            state.fold(event(&view, logged));
            if dice.below(3) == 0 {
                state.raise(&view, dice.time(90));
            }
            let known = &log[..=count];
            let bytes = state.encode(&prefix(count as u64 + 1));
            assert_eq!(
                peek(&bytes).unwrap(),
                (prefix(count as u64 + 1).position, state.horizon())
            );
            assert_eq!(
                LatestState::decode(&view, &bytes),
                Ok((prefix(count as u64 + 1), state.clone()))
            );
            for request_time in 0..70 {
                let reading = state.read(&view, request_time).unwrap();
                assert_eq!(read(&view, Some(&bytes), request_time), Ok(reading));
                if let Some(horizon) = state.horizon().filter(|horizon| request_time < *horizon) {
                    assert_eq!(reading, Reading::NotAnswerable { earliest: horizon });
                    refused += 1;
                    continue;
                }
                for feature in 0..2 {
                    let answer = reading.answer(&view, feature).unwrap();
                    let (value, status, event_time) = truth(&view, known, request_time, feature);
                    assert!(answer.value.same(&value), "seed {seed} T {request_time}");
                    assert_eq!((answer.status, answer.event_time), (status, event_time));
                }
            }
        }
    }
    assert!(refused > 1000);
}

#[test]
fn a_frame_answers_the_same_at_every_knowledge() {
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let filter = r#"{"filter":{"op":"call","fn":"ne","args":[{"op":"col","name":"wind"},
            {"op":"lit","type":"string","value":"N"}]}}"#;
        let view = stream_view(if seed % 2 == 0 { filter } else { r#"{"ttl_us":9}"# });
        let log = log(&mut dice, 25);
        let passes = |e: &Logged| view.filter.as_ref().is_none_or(|filter| filter.holds(&e.row, 0));
        let events: Vec<StreamRow<'_>> = log
            .iter()
            .map(|e| StreamRow {
                entity_id: "s.a",
                t: e.t,
                partition: 3,
                offset: e.offset,
            })
            .collect();
        let cells = Rows(log.iter().map(|e| e.row.clone()).collect());
        for next_offset in 0..=25 {
            let end = usize::try_from(next_offset).unwrap();
            let known: Vec<Logged> = log[..end].iter().filter(|e| passes(e)).cloned().collect();
            let position = LogPosition {
                partition: 3,
                next_offset,
            };
            let knowledge = if next_offset == 25 {
                Known::Everything
            } else {
                Known::Upto(position)
            };
            let asked: Vec<Asked<'_, LogPosition>> = (0..70)
                .map(|request_time| Asked {
                    entity_id: Some("s.a"),
                    request_time,
                    known: knowledge,
                })
                .collect();
            let found = frame::stream(&view, &events, &cells, &asked);
            for (ask, newest) in asked.iter().zip(found) {
                for feature in 0..2 {
                    let (value, status, event_time) = truth(&view, &known, ask.request_time, feature);
                    let (cell, own) = newest.cell(&cells, 3 + feature);
                    assert!(cell.to_value().same(&value));
                    assert_eq!((own, newest.event_time), (status, event_time));
                }
            }
        }
    }
}

#[test]
fn a_frame_knows_nothing_of_other_keys_and_partitions() {
    let view = stream_view("{}");
    let log = log(&mut Dice(1), 1);
    let cells = Rows(vec![log[0].row.clone()]);
    let events = [StreamRow {
        entity_id: "s.a",
        t: 5,
        partition: 3,
        offset: 0,
    }];
    let upto = |partition, next_offset| {
        Known::Upto(LogPosition {
            partition,
            next_offset,
        })
    };
    let ask = |entity_id, request_time, known| Asked {
        entity_id,
        request_time,
        known,
    };
    let asked = [
        ask(Some("s.a"), 6, upto(3, 1)),
        ask(Some("s.a"), 6, upto(3, 0)),
        ask(Some("s.a"), 6, upto(4, 1)),
        ask(Some("s.a"), 6, Known::Nothing),
        ask(Some("s.a"), 5, Known::Everything),
        ask(Some("s.b"), 6, Known::Everything),
        ask(None, 6, Known::Everything),
        ask(Some("s.a"), i64::MIN, Known::Everything),
    ];
    let found = frame::stream(&view, &events, &cells, &asked);
    let rows: Vec<Option<usize>> = found.iter().map(|newest| newest.row).collect();
    assert_eq!(rows, [Some(0), None, None, None, None, None, None, None]);
}

#[test]
fn the_order_of_events_does_not_matter() {
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let view = stream_view("{}");
        let log = log(&mut dice, 30);
        let bytes = |order: &[Logged]| {
            let mut state = LatestState::new();
            for logged in order {
                state.fold(event(&view, logged));
                // Again, as after a restart.
                assert!(!state.fold(event(&view, logged)));
            }
            state.raise(&view, 40);
            state.encode(&prefix(30))
        };
        let first = bytes(&log);
        let mut other = log.clone();
        for _ in 0..5 {
            let swap = usize::try_from(dice.below(30)).unwrap();
            other.rotate_left(swap);
            other.swap(0, swap);
            assert_eq!(bytes(&other), first);
        }
        // Late events after the horizon rose.
        let mut state = LatestState::new();
        state.raise(&view, 40);
        let horizon = state.horizon().unwrap();
        for logged in &other {
            state.fold(event(&view, logged));
        }
        state.raise(&view, 40);
        assert!(state.horizon().unwrap() >= horizon);
        assert_eq!(state.encode(&prefix(30)), first);
    }
}

#[test]
fn the_horizon_stays_behind_the_clock_unless_too_many_rows_are_kept() {
    let view = stream_view("{}");
    let mut state = LatestState::new();
    assert_eq!((state.horizon(), state.newest_event()), (None, None));
    let logged = |t: i64| Logged {
        t,
        offset: u64::try_from(t).unwrap(),
        row: vec![Value::Null; 5],
    };
    for t in [100, 101, 102, 103] {
        state.fold(event(&view, &logged(t)));
    }
    state.raise(&view, 110);
    assert_eq!(state.horizon(), Some(90));
    state.raise(&view, 50);
    assert_eq!(state.horizon(), Some(90));
    state.fold(event(&view, &logged(104)));
    state.raise(&view, 110);
    assert_eq!(state.horizon(), Some(101));
    assert_eq!(
        state
            .read(&view, 101)
            .unwrap()
            .answer(&view, 0)
            .unwrap()
            .event_time,
        Some(100)
    );
    assert_eq!(state.newest_event(), Some(104));
    assert!(state.memory() > 0);
}

#[test]
fn a_state_matters_until_its_newest_row_is_outside_the_ttl() {
    let logged = log(&mut Dice(3), 1).remove(0);
    let with_ttl = stream_view(r#"{"ttl_us":9}"#);
    let mut state = LatestState::new();
    assert_eq!(state.outlived_at(&with_ttl), None);
    state.fold(event(&with_ttl, &logged));
    assert_eq!(
        state.outlived_at(&with_ttl),
        Some(logged.t + 9 + 5_000_000 + crate::time::HOUR)
    );
    assert_eq!(state.outlived_at(&stream_view("{}")), None);
}

#[test]
fn damaged_states_are_refused_or_are_other_states() {
    let view = stream_view("{}");
    let mut state = LatestState::new();
    for logged in log(&mut Dice(8), 10) {
        state.fold(event(&view, &logged));
    }
    state.raise(&view, 40);
    let bytes = state.encode(&prefix(10));
    assert!(bytes.len() <= worst_case_bytes(&view));
    for cut in 0..bytes.len() {
        assert!(LatestState::decode(&view, &bytes[..cut]).is_err());
        assert!(read(&view, Some(&bytes[..cut]), i64::MIN).is_err() || cut > 38);
    }
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << bit;
            if let Ok((prefix, state)) = LatestState::decode(&view, &changed) {
                assert_eq!(state.encode(&prefix), changed, "{place} {bit}");
            }
            for request_time in [i64::MIN, 30, i64::MAX] {
                // Reading looks at what it needs only; it must not panic.
                let _ = read(&view, Some(&changed), request_time);
            }
        }
    }
    assert_eq!(
        read(&view, Some(&[2; 60]), 5),
        Err(StateError::UnknownFormat { format: Some(2) })
    );
    assert_eq!(read(&view, None, 5), Ok(Reading::NotFound));
}
