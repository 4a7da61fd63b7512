//! The command line.

use std::path::PathBuf;
use std::time::Duration;

/// What is shown with an error.
pub(crate) const USAGE: &str = "usage: skewless-loadgen --target HOST:PORT --method /PACKAGE.SERVICE/METHOD \
     --requests FILE [--in-flight N=64] [--connections N=4] [--seconds S=10] [--warm-up S=2]";

/// What to measure.
#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) target: String,
    pub(crate) method: String,
    pub(crate) requests: PathBuf,
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
    pub(crate) time: Duration,
    pub(crate) warm_up: Duration,
}

impl Arguments {
    /// Reads `--name value` pairs.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut target, mut method, mut requests) = (None, None, None);
        let (mut in_flight, mut connections) = (64, 4);
        let (mut time, mut warm_up) = (Duration::from_secs(10), Duration::from_secs(2));
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} has no value"))?;
            match name.as_str() {
                "--target" => target = Some(value),
                "--method" => method = Some(value),
                "--requests" => requests = Some(PathBuf::from(value)),
                "--in-flight" => in_flight = count(&name, &value)?,
                "--connections" => connections = count(&name, &value)?,
                "--seconds" => time = seconds(&name, &value)?,
                "--warm-up" => warm_up = seconds(&name, &value)?,
                _ => return Err(format!("there is no {name}")),
            }
        }
        if time.is_zero() {
            return Err("--seconds must be more than 0".to_owned());
        }
        Ok(Self {
            target: target.ok_or("--target is missing")?,
            method: method.ok_or("--method is missing")?,
            requests: requests.ok_or("--requests is missing")?,
            in_flight,
            connections,
            time,
            warm_up,
        })
    }
}

fn count(name: &str, value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(count @ 1..=100_000) => Ok(count),
        _ => Err(format!("{name} takes a number from 1 to 100000, not {value:?}")),
    }
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    match value.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("{name} takes seconds from 0 to 86400, not {value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn defaults_stand_where_nothing_is_said() {
        let arguments = parse("--target h:1 --method /a.B/C --requests f --seconds 0.5").unwrap();
        assert_eq!((arguments.in_flight, arguments.connections), (64, 4));
        assert_eq!(arguments.time, Duration::from_millis(500));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, word) in [
            ("--target", "--target has no value"),
            ("--target h:1", "--method is missing"),
            ("--rate 5", "there is no --rate"),
            ("--in-flight 0", "--in-flight"),
            ("--seconds NaN", "--seconds"),
            ("--target h --method m --requests f --seconds 0", "more than 0"),
        ] {
            assert!(parse(line).unwrap_err().contains(word), "{line}");
        }
    }
}
