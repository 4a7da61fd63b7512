//! Where the store is: `redis://[user[:password]@]host[:port][/database]`.

use std::fmt;

/// The address of one store, and who reads it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    database: u32,
}

impl Address {
    /// Reads a URL; the error says what to write instead and never repeats a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        const FORM: &str = "write redis://[user[:password]@]host[:port][/database]";
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(format!("the store URL has no scheme; {FORM}"));
        };
        match scheme {
            "redis" | "valkey" => {}
            "rediss" | "valkeys" => {
                return Err(format!(
                    "the store URL asks for TLS ({scheme}), which is not supported yet; {FORM}"
                ));
            }
            _ => {
                return Err(format!(
                    "the store URL has the scheme {}; {FORM}",
                    crate::refusal::quoted(scheme)
                ));
            }
        }
        let (who, place) = rest
            .rsplit_once('@')
            .map_or((None, rest), |(who, place)| (Some(who), place));
        let (user, password) = match who.map(|who| who.split_once(':').unwrap_or(("", who))) {
            None => (None, None),
            Some((user, password)) => (
                (!user.is_empty()).then(|| decode(user)).transpose()?,
                (!password.is_empty()).then(|| decode(password)).transpose()?,
            ),
        };
        let (place, database) = match place.split_once('/') {
            None | Some((_, "")) => (place.trim_end_matches('/'), 0),
            Some((place, database)) => (
                place,
                database
                    .parse()
                    .map_err(|_| format!("the store URL ends in a database that is no number; {FORM}"))?,
            ),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (
                host,
                port.parse()
                    .map_err(|_| format!("the store URL has a port that is no number up to 65535; {FORM}"))?,
            ),
            _ => (place, 6_379),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(format!("the store URL names no host; {FORM}"));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            user,
            password,
            database,
        })
    }

    /// Host and port, as the resolver takes them.
    pub(crate) fn place(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The commands that a new connection starts with; each is answered by `+OK`.
    pub(crate) fn greeting(&self) -> Vec<Vec<&[u8]>> {
        let mut commands: Vec<Vec<&[u8]>> = Vec::new();
        if let Some(password) = &self.password {
            let mut auth: Vec<&[u8]> = vec![b"AUTH"];
            auth.extend(self.user.as_deref().map(str::as_bytes));
            auth.push(password.as_bytes());
            commands.push(auth);
        }
        commands.push(vec![b"CLIENT", b"SETNAME", b"skewless-online"]);
        commands
    }

    /// The database to select; 0 needs no command.
    pub(crate) fn database(&self) -> u32 {
        self.database
    }
}

/// Without user and password: this is what logs and callers see.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn decode(part: &str) -> Result<String, String> {
    percent_encoding::percent_decode_str(part)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| "the user or password of the store URL is not percent-encoded UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_defaults() {
        let plain = Address::parse("redis://localhost").unwrap();
        assert_eq!((plain.place(), plain.database()), (("localhost", 6_379), 0));
        let full = Address::parse("valkey://me:p%40ss@[::1]:7000/3").unwrap();
        assert_eq!((full.place(), full.database()), (("::1", 7_000), 3));
        assert_eq!(full.greeting()[0], [&b"AUTH"[..], b"me", b"p@ss"]);
        assert_eq!(full.to_string(), "[::1]:7000");
        let secret = Address::parse("redis://secret@h:1/").unwrap();
        assert_eq!(secret.greeting()[0], [&b"AUTH"[..], b"secret"]);
        assert_eq!(format!("{secret:?}"), "h:1");
    }

    #[test]
    fn other_urls_are_refused_with_the_form_to_write() {
        for (url, word) in [
            ("localhost:6379", "no scheme"),
            ("http://h", "'http'"),
            ("rediss://h", "TLS"),
            ("redis://:6379", "no host"),
            ("redis://h:99999", "65535"),
            ("redis://h:1/x", "database"),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(
                error.contains(word) && error.contains("redis://["),
                "{url}: {error}"
            );
        }
    }
}
