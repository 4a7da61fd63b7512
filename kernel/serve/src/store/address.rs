//! Where the store is: `redis://[user[:password]@]host[:port][/database]`, or `rediss://` with TLS.

use std::fmt;

use crate::tls::ClientFiles;

/// The address of one store, and who reads it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    database: u32,
    /// With TLS: the files that it needs.
    tls: Option<ClientFiles>,
}

impl Address {
    /// Reads a URL; the error says what to write instead and never repeats a password.
    ///
    /// files: for TLS, if the URL asks for it; without it there must be none.
    pub(crate) fn parse(url: &str, files: &ClientFiles) -> Result<Self, String> {
        const FORM: &str = "write redis://[user[:password]@]host[:port][/database], or rediss:// instead of redis:// for TLS";
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(format!("the store URL has no scheme; {FORM}"));
        };
        let tls = match scheme {
            "redis" | "valkey" if *files != ClientFiles::default() => {
                return Err(format!(
                    "the store URL asks for no TLS ({scheme}), and there are certificates for it; {FORM}"
                ));
            }
            "redis" | "valkey" => None,
            "rediss" | "valkeys" => Some(files.clone()),
            _ => {
                return Err(format!(
                    "the store URL has the scheme {}; {FORM}",
                    crate::refusal::quoted(scheme)
                ));
            }
        };
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
            tls,
        })
    }

    /// Host and port, as the resolver takes them.
    pub(crate) fn place(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The files for TLS, if it is asked for.
    pub(crate) fn tls(&self) -> Option<&ClientFiles> {
        self.tls.as_ref()
    }

    /// The commands that a new connection starts with.
    pub(crate) fn greeting(&self) -> Vec<Vec<&[u8]>> {
        let mut commands: Vec<Vec<&[u8]>> = Vec::new();
        if let Some(password) = &self.password {
            let mut auth: Vec<&[u8]> = vec![b"AUTH"];
            auth.extend(self.user.as_deref().map(str::as_bytes));
            auth.push(password.as_bytes());
            commands.push(auth);
        }
        commands.push(vec![b"CLIENT", b"SETNAME", b"skewless-online"]);
        // Whether this user may read at all: that is not to be found out by a caller.
        commands.push(vec![b"MGET", b"skewless:barrier"]);
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

    fn parse(url: &str) -> Result<Address, String> {
        Address::parse(url, &ClientFiles::default())
    }

    #[test]
    fn parts_have_defaults() {
        let plain = parse("redis://localhost").unwrap();
        assert_eq!((plain.place(), plain.database()), (("localhost", 6_379), 0));
        let full = parse("valkey://me:p%40ss@[::1]:7000/3").unwrap();
        assert_eq!((full.place(), full.database()), (("::1", 7_000), 3));
        assert_eq!(full.greeting()[0], [&b"AUTH"[..], b"me", b"p@ss"]);
        assert_eq!(full.to_string(), "[::1]:7000");
        let secret = parse("redis://secret@h:1/").unwrap();
        assert_eq!(secret.greeting()[0], [&b"AUTH"[..], b"secret"]);
        assert_eq!(format!("{secret:?}"), "h:1");
    }

    #[test]
    fn other_urls_are_refused_with_the_form_to_write() {
        for (url, word) in [
            ("localhost:6379", "no scheme"),
            ("http://h", "'http'"),
            ("redis://:6379", "no host"),
            ("redis://h:99999", "65535"),
            ("redis://h:1/x", "database"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(
                error.contains(word) && error.contains("redis://["),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn tls_is_what_the_scheme_says() {
        let files = ClientFiles {
            ca: Some("ca.pem".into()),
            identity: None,
        };
        assert_eq!(parse("redis://h").unwrap().tls(), None);
        assert_eq!(parse("rediss://h").unwrap().tls(), Some(&ClientFiles::default()));
        let with_files = Address::parse("valkeys://u:secret@h:7", &files).unwrap();
        assert_eq!(with_files.tls(), Some(&files));
        let error = Address::parse("redis://u:secret@h", &files).unwrap_err();
        assert!(
            error.contains("asks for no TLS") && !error.contains("secret"),
            "{error}"
        );
    }
}
