//! Where the store is: one server, the one that Sentinels watch, or a cluster.

use std::fmt;

use crate::tls::ClientFiles;

const FORM: &str = "write redis://[user[:password]@]host[:port][/database], \
    redis+sentinel://[user[:password]@]host[:port],…/service[/database] or \
    redis+cluster://[user[:password]@]host[:port],…, with rediss instead of redis for TLS";

/// Host and port.
type Place = (String, u16);

/// What the places of an address are.
#[derive(Clone, PartialEq, Eq)]
enum Kind {
    /// The server.
    Single,
    /// Sentinels, which know the server by this name.
    Watched(String),
    /// Members of a cluster, which know the others.
    Cluster,
    /// One member of a cluster.
    Member,
}

/// The address of a store, and who reads it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    kind: Kind,
    /// At least one.
    seeds: Vec<Place>,
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
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(format!("the store URL has no scheme; {FORM}"));
        };
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match base {
            "redis" | "valkey" if *files != ClientFiles::default() => {
                return Err(format!(
                    "the store URL asks for no TLS ({scheme}), and there are certificates for it; {FORM}"
                ));
            }
            "redis" | "valkey" => None,
            "rediss" | "valkeys" => Some(files.clone()),
            _ => return Err(unknown_scheme(scheme)),
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
        let (places, path) = place.split_once('/').unwrap_or((place, ""));
        let path = path.trim_end_matches('/');
        let (kind, port, database) = match kind {
            "" => (Kind::Single, 6_379, path),
            "cluster" if path.is_empty() => (Kind::Cluster, 6_379, ""),
            "cluster" => {
                return Err(format!(
                    "the store URL names a database, and a cluster has one; {FORM}"
                ));
            }
            "sentinel" => {
                let (service, database) = path.split_once('/').unwrap_or((path, ""));
                if service.is_empty() {
                    return Err(format!("the store URL names no service of the Sentinels; {FORM}"));
                }
                (Kind::Watched(decode(service)?), 26_379, database)
            }
            _ => return Err(unknown_scheme(scheme)),
        };
        let seeds: Vec<Place> = places
            .split(',')
            .map(|place| seed(place, port))
            .collect::<Result<_, _>>()?;
        if kind == Kind::Single && seeds.len() > 1 {
            return Err(format!("the store URL names several hosts; {FORM}"));
        }
        let database = match database {
            "" => 0,
            number => number
                .parse()
                .map_err(|_| format!("the store URL ends in a database that is no number; {FORM}"))?,
        };
        Ok(Self {
            kind,
            seeds,
            user,
            password,
            database,
            tls,
        })
    }

    /// Host and port, as the resolver takes them; of several, those of the first.
    pub(crate) fn place(&self) -> (&str, u16) {
        (&self.seeds[0].0, self.seeds[0].1)
    }

    /// Where to ask who is there.
    pub(crate) fn seeds(&self) -> &[Place] {
        &self.seeds
    }

    /// One server of this store, read by the same user.
    pub(crate) fn member(&self, place: &Place) -> Self {
        Self {
            kind: Kind::Member,
            seeds: vec![place.clone()],
            ..self.clone()
        }
    }

    /// The Sentinels, and by which name they know the server. They are asked without a password.
    pub(crate) fn watchers(&self) -> Option<(Vec<Self>, &str)> {
        let Kind::Watched(service) = &self.kind else {
            return None;
        };
        let watcher = |place: &Place| Self {
            user: None,
            password: None,
            ..self.member(place)
        };
        Some((self.seeds.iter().map(watcher).collect(), service))
    }

    /// Whether Sentinels say which server it is.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.kind, Kind::Watched(_))
    }

    /// Whether keys lie in slots.
    pub(crate) fn is_cluster(&self) -> bool {
        self.kind == Kind::Cluster
    }

    /// Whether it is one server of several.
    pub(crate) fn is_member(&self) -> bool {
        self.kind == Kind::Member
    }

    /// The files for TLS, if it is asked for.
    pub(crate) fn tls(&self) -> Option<&ClientFiles> {
        self.tls.as_ref()
    }

    /// The command that says who this is, if the URL does.
    pub(crate) fn login(&self) -> Option<Vec<&[u8]>> {
        let password = self.password.as_ref()?;
        let mut auth: Vec<&[u8]> = vec![b"AUTH"];
        auth.extend(self.user.as_deref().map(str::as_bytes));
        auth.push(password.as_bytes());
        Some(auth)
    }

    /// The commands that a new connection starts with.
    pub(crate) fn greeting(&self) -> Vec<Vec<&[u8]>> {
        let mut commands: Vec<Vec<&[u8]>> = self.login().into_iter().collect();
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
        for (number, (host, port)) in self.seeds.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn unknown_scheme(scheme: &str) -> String {
    format!(
        "the store URL has the scheme {}; {FORM}",
        crate::refusal::quoted(scheme)
    )
}

fn seed(place: &str, port: u16) -> Result<Place, String> {
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (
            host,
            port.parse()
                .map_err(|_| format!("the store URL has a port that is no number up to 65535; {FORM}"))?,
        ),
        _ => (place, port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(format!("the store URL names no host; {FORM}"));
    }
    Ok((host.to_owned(), port))
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
    fn several_servers_are_named_with_commas() {
        let cluster = parse("redis+cluster://u:p@a:1,[::1]:2,c").unwrap();
        assert_eq!(cluster.to_string(), "a:1,[::1]:2,c:6379");
        assert!(cluster.is_cluster() && cluster.watchers().is_none());
        let member = cluster.member(&("d".into(), 4));
        assert_eq!((member.to_string(), member.is_member()), ("d:4".to_owned(), true));
        assert_eq!(member.login().unwrap(), [&b"AUTH"[..], b"u", b"p"]);

        let watched = parse("redis+sentinel://:p@a,b:2/main%2F1/3").unwrap();
        let (watchers, service) = watched.watchers().unwrap();
        assert_eq!((service, watched.database()), ("main/1", 3));
        assert_eq!(watchers[0].to_string(), "a:26379");
        assert_eq!(
            (watchers[1].to_string(), watchers[1].login()),
            ("b:2".to_owned(), None)
        );
    }

    #[test]
    fn other_urls_are_refused_with_the_form_to_write() {
        for (url, word) in [
            ("localhost:6379", "no scheme"),
            ("http://h", "'http'"),
            ("redis+other://h", "'redis+other'"),
            ("redis://h,i", "several hosts"),
            ("redis+cluster://h/1", "database"),
            ("redis+sentinel://h", "no service"),
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
