//! Rows of tables.

use super::{Dice, Rows, table_view};
use crate::definition::LatestView;
use crate::expr::Cell;
use crate::latest::frame::{self, Asked, Known, TableRow};
use crate::latest::table::{self, PREFIX_BYTES, RowTimes, TIMELESS, answers_from, encode, known, read};
use crate::latest::{Reading, outlived_at, worst_case_bytes};
use crate::state::StateError;
use crate::status::Status;
use crate::time::HOUR;
use crate::value::Value;

fn times(event_time: i64, created_time: Option<i64>, run_seq: u64) -> RowTimes {
    RowTimes {
        event_time,
        created_time,
        run_seq,
    }
}

fn row(times: RowTimes, cells: &[Value]) -> Vec<u8> {
    encode(times, Some(cells.iter().map(Cell::from)), times.run_seq)
}

fn deletion(times: RowTimes) -> Vec<u8> {
    encode(times, None::<[Cell<'_>; 0]>, times.run_seq)
}

fn dated(more: &str) -> LatestView {
    table_view("\"at\"", more)
}

fn status(view: &LatestView, value: &[u8], request_time: i64) -> (Status, Option<i64>) {
    let answer = read(view, Some(value), request_time)
        .unwrap()
        .answer(view, 0)
        .unwrap();
    (answer.status, answer.event_time)
}

/// What the server-side function does with a write.
fn write(stored: Option<Vec<u8>>, new: Vec<u8>) -> Vec<u8> {
    let Some(mut stored) = stored else {
        return new;
    };
    let run = stored[33..PREFIX_BYTES]
        .to_vec()
        .max(new[33..PREFIX_BYTES].to_vec());
    if new[1..33] > stored[1..33] {
        stored = new;
    }
    stored[33..PREFIX_BYTES].copy_from_slice(&run);
    stored
}

#[test]
fn a_row_holds_from_its_event_time_to_its_ttl() {
    let view = dated(r#"{"ttl_us":100}"#);
    let value = row(times(50, None, 3), &[Value::Float(1.5), Value::Null]);
    assert_eq!(status(&view, &value, 50), (Status::Present, Some(50)));
    assert_eq!(status(&view, &value, 150), (Status::Present, Some(50)));
    assert_eq!(status(&view, &value, 151), (Status::OutsideTtl, Some(50)));
    assert_eq!(
        read(&view, Some(&value), 49),
        Ok(Reading::NotAnswerable { earliest: 50 })
    );
    assert_eq!(answers_from(&view, &value), Ok(Some(50)));
    assert_eq!(known(&value), Ok(3));
    let wind = read(&view, Some(&value), 50).unwrap().answer(&view, 1).unwrap();
    assert_eq!((wind.status, wind.event_time), (Status::Null, Some(50)));
    assert_eq!(read(&view, None, 50), Ok(Reading::NotFound));
    assert_eq!(outlived_at(&view, 50), Some(150 + HOUR));
}

#[test]
fn cells_are_answered_in_wire_form() {
    let view = dated("{}");
    let value = row(times(50, None, 3), &[Value::Float(1.0), Value::from("NE")]);
    let reading = read(&view, Some(&value), 60).unwrap();
    assert_eq!(
        reading.wire(0).unwrap().wire,
        [0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]
    );
    assert_eq!(reading.wire(1).unwrap().wire, [0x22, 2, b'N', b'E']);
    assert_eq!(reading.wire(2), Err(StateError::RowMismatch));
    assert!(value.len() <= worst_case_bytes(&view));
}

#[test]
fn a_deletion_is_a_row() {
    let view = dated("{}");
    let value = deletion(times(50, None, 3));
    assert_eq!(status(&view, &value, 50), (Status::NotFound, None));
    assert_eq!(status(&view, &value, 49), (Status::NotAnswerable, None));
}

#[test]
fn a_timeless_row_holds_always_and_has_no_event_time() {
    let view = table_view("null", r#"{"ttl_us":100}"#);
    let value = row(times(TIMELESS, None, 3), &[Value::Float(1.5), Value::Null]);
    for request_time in [i64::MIN, 0, i64::MAX] {
        assert_eq!(status(&view, &value, request_time), (Status::Present, None));
    }
    assert_eq!(answers_from(&view, &value), Ok(None));
    assert_eq!(outlived_at(&view, TIMELESS), None);
}

#[test]
fn rows_are_ordered_by_their_first_bytes() {
    let cells = [Value::Float(1.0), Value::Null];
    let ordered = [
        times(-5, Some(9), 9),
        times(5, None, 1),
        times(5, None, 2),
        times(5, Some(-3), 1),
        times(5, Some(3), 1),
        times(5, Some(3), 2),
        times(6, None, 1),
    ];
    let values: Vec<Vec<u8>> = ordered.iter().map(|times| row(*times, &cells)).collect();
    assert!(values.windows(2).all(|pair| pair[0][1..33] < pair[1][1..33]));
}

#[test]
fn what_is_no_row_of_the_view_is_refused() {
    let view = dated("{}");
    let value = row(times(50, None, 3), &[Value::Float(1.5), Value::from("N")]);
    for cut in 0..value.len() {
        assert!(read(&view, Some(&value[..cut]), 60).is_err(), "{cut}");
    }
    let mut other = value.clone();
    other[0] = 1;
    assert_eq!(
        read(&view, Some(&other), 60),
        Err(StateError::UnknownFormat { format: Some(1) })
    );
    let narrow = row(times(50, None, 3), &[Value::Float(1.5)]);
    assert_eq!(read(&view, Some(&narrow), 60), Err(StateError::RowMismatch));
    let swapped = row(times(50, None, 3), &[Value::from("N"), Value::Float(1.5)]);
    assert!(read(&view, Some(&swapped), 60).unwrap().answer(&view, 0).is_err());
}

/// Rows of three keys, all of whose ties can happen.
fn random_rows(dice: &mut Dice, count: usize) -> (Vec<(String, RowTimes, bool)>, Rows) {
    let mut cells = Vec::new();
    let rows = (0..count).map(|_| {
        cells.push(dice.cells());
        let created = (dice.below(3) > 0).then(|| dice.time(3));
        let times = times(dice.time(8), created, 1 + dice.below(4));
        (format!("s.{}", dice.below(3)), times, dice.below(6) == 0)
    });
    (rows.collect(), Rows(cells))
}

fn stored_bytes((_, times, deleted): &(String, RowTimes, bool), cells: &[Value]) -> Vec<u8> {
    if *deleted {
        deletion(*times)
    } else {
        row(*times, cells)
    }
}

#[test]
fn a_frame_is_the_maximum_over_known_rows() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let view = dated(if seed % 2 == 0 { "{}" } else { r#"{"ttl_us":3}"# });
        let (rows, cells) = random_rows(&mut dice, 40);
        let table_rows: Vec<TableRow<'_>> = rows
            .iter()
            .map(|(key, times, deleted)| TableRow {
                entity_id: key,
                times: *times,
                deleted: *deleted,
            })
            .collect();
        let keys = ["s.0", "s.1", "s.2", "s.none"];
        let mut asked = vec![];
        for key in keys {
            for request_time in -1..12 {
                let runs = (0..6).map(Known::Upto);
                for known in runs.chain([Known::Everything, Known::Nothing]) {
                    asked.push(Asked {
                        entity_id: Some(key),
                        request_time,
                        known,
                    });
                }
            }
        }
        asked.push(Asked {
            entity_id: None,
            request_time: 5,
            known: Known::Everything,
        });
        let found = frame::table(&view, &table_rows, &cells, &asked);
        for (ask, newest) in asked.iter().zip(&found) {
            let is_known = |times: &RowTimes| match ask.known {
                Known::Everything => true,
                Known::Nothing => false,
                Known::Upto(run) => times.run_seq <= run,
            };
            let truth = rows
                .iter()
                .zip(&cells.0)
                .filter(|((key, times, _), _)| {
                    Some(key.as_str()) == ask.entity_id
                        && is_known(times)
                        && times.event_time <= ask.request_time
                })
                .map(|(row, cells)| stored_bytes(row, cells))
                .max_by(|a, b| a[1..33].cmp(&b[1..33]));
            let truth = read(&view, truth.as_deref(), ask.request_time).unwrap();
            for feature in 0..2 {
                let truth = truth.answer(&view, feature).unwrap();
                let (cell, status) = newest.cell(&cells, feature);
                assert!(cell.to_value().same(&truth.value), "{ask:?}");
                assert_eq!(
                    (status, newest.event_time),
                    (truth.status, truth.event_time),
                    "{ask:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_stored_after_any_order_of_writes_equals_the_frame_at_its_knowledge() {
    for seed in 100..160 {
        let mut dice = Dice(seed);
        let view = dated("{}");
        let (rows, cells) = random_rows(&mut dice, 12);
        let mine: Vec<usize> = (0..rows.len()).filter(|place| rows[*place].0 == "s.1").collect();
        let mut stored = None;
        let start = usize::try_from(dice.below(12)).unwrap();
        let mut written: Vec<usize> = mine.clone();
        written.rotate_left(start.min(mine.len()));
        for place in written {
            stored = Some(write(stored, stored_bytes(&rows[place], &cells.0[place])));
        }
        let Some(stored) = stored else { continue };
        let table_rows: Vec<TableRow<'_>> = rows
            .iter()
            .map(|(key, times, deleted)| TableRow {
                entity_id: key,
                times: *times,
                deleted: *deleted,
            })
            .collect();
        for request_time in 0..12 {
            let reading = read(&view, Some(&stored), request_time).unwrap();
            if reading.earliest().is_some() {
                continue;
            }
            let asked = [Asked {
                entity_id: Some("s.1"),
                request_time,
                known: Known::Upto(known(&stored).unwrap()),
            }];
            let newest = frame::table(&view, &table_rows, &cells, &asked)[0];
            for feature in 0..2 {
                let answer = reading.answer(&view, feature).unwrap();
                let (cell, status) = newest.cell(&cells, feature);
                assert!(cell.to_value().same(&answer.value));
                assert_eq!((status, newest.event_time), (answer.status, answer.event_time));
            }
        }
    }
}

#[test]
fn a_frame_of_a_timeless_table_takes_the_newest_run() {
    let view = table_view("null", "{}");
    let cells = Rows(vec![
        vec![Value::Float(1.0), Value::Null],
        vec![Value::Float(2.0), Value::Null],
    ]);
    let rows = [1, 2].map(|run| TableRow {
        entity_id: "s.a",
        times: times(TIMELESS, None, run),
        deleted: false,
    });
    let ask = |known| Asked {
        entity_id: Some("s.a"),
        request_time: i64::MIN,
        known,
    };
    let asked = [ask(Known::Everything), ask(Known::Upto(1)), ask(Known::Upto(0))];
    let found = frame::table(&view, &rows, &cells, &asked);
    assert_eq!(
        found.iter().map(|newest| newest.row).collect::<Vec<_>>(),
        [Some(1), Some(0), None]
    );
    assert!(found.iter().all(|newest| newest.event_time.is_none()));
    assert_eq!(table::TIMELESS, crate::definition::limits::INSTANTS.0);
}
