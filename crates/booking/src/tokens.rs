//! `booking tokens`: makes, lists and revokes tokens with names, in a file that hosts read.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use booking_core::ids::MapKey;
use booking_core::time::{Millis, Timestamp};
use booking_hosting::tokens::{Grant, GrantedDoor, TokenName, Tokens, made};
use clap::{Args, Subcommand, ValueEnum};

#[derive(Subcommand)]
pub(crate) enum TokensCommand {
    /// Make a token, and print it: this once, as only its digest is kept
    Make(MakeArgs),
    /// List the tokens: names, doors, maps, and until when
    List(FileArgs),
    /// Revoke a token. A host that reads the file does not let it in any more, a second later
    Revoke(RevokeArgs),
}

#[derive(Args)]
pub(crate) struct FileArgs {
    /// The file. Only its owner can read it
    #[arg(long, env = "BOOKING_TOKENS", value_name = "FILE")]
    file: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum DoorArg {
    /// What buyers may do
    Public,
    /// And what operators may do
    Admin,
}

#[derive(Args)]
pub(crate) struct MakeArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Whose it is. The log of a host says that of each thing that an operator does
    #[arg(long, value_parser = TokenName::parse)]
    name: TokenName,
    /// The last door that it opens
    #[arg(long, value_enum)]
    door: DoorArg,
    /// A map that it is for, and no other; may be repeated. Without it: all maps
    #[arg(long, value_name = "KEY")]
    map: Vec<MapKey>,
    /// How long it is valid
    #[arg(long = "for", value_name = "TIME", default_value = "90d", value_parser = valid_for)]
    valid_for: Duration,
}

#[derive(Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Whose it is
    #[arg(value_parser = TokenName::parse)]
    name: TokenName,
}

impl TokensCommand {
    /// # Errors
    /// For a person.
    pub(crate) fn run(self) -> Result<bool, String> {
        match self {
            Self::Make(args) => args.run(),
            Self::List(args) => args.list(),
            Self::Revoke(args) => args.run(),
        }
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn say(line: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{line}").map_err(|why| format!("standard output: {why}"))
}

impl FileArgs {
    fn because(&self) -> impl Fn(io::Error) -> String {
        let path = self.file.clone();
        move |why| format!("--file {}: {why}", path.display())
    }

    fn read(&self) -> Result<Tokens, String> {
        let text = fs::read_to_string(&self.file).map_err(self.because())?;
        Tokens::parse(&text).map_err(|why| format!("--file {}: {why}", self.file.display()))
    }

    /// Changes the tokens, as the only one who does that now: what another has written meanwhile is not lost.
    fn change<T>(&self, change: impl FnOnce(&mut Tokens) -> Result<T, String>) -> Result<T, String> {
        let beside = |ending: &str| {
            let mut name = self.file.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false)).open(beside(".lock"));
        let lock = lock.and_then(|lock| lock.lock().map(|()| lock)).map_err(self.because())?;
        let mut tokens = match fs::metadata(&self.file) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Tokens::default(),
            _ => self.read()?,
        };
        let done = change(&mut tokens)?;
        self.replace(&beside(".new"), &tokens).map_err(self.because())?;
        drop(lock);
        Ok(done)
    }

    /// Puts another file in the place of it, whole, for the same owner.
    fn replace(&self, unfinished: &Path, tokens: &Tokens) -> io::Result<()> {
        // Where the file is elsewhere, the host follows it there.
        let file = fs::canonicalize(&self.file).unwrap_or_else(|_| self.file.clone());
        // What a crash has left.
        if let Err(why) = fs::remove_file(unfinished)
            && why.kind() != io::ErrorKind::NotFound
        {
            return Err(why);
        }
        let mut new = private(OpenOptions::new().write(true).create_new(true)).open(unfinished)?;
        #[cfg(unix)]
        if let Ok(about) = fs::metadata(&file) {
            use std::os::unix::fs::MetadataExt as _;
            let own = new.metadata()?;
            if (own.uid(), own.gid()) != (about.uid(), about.gid()) {
                // A host that could not read it any more would go by the old one.
                std::os::unix::fs::fchown(&new, Some(about.uid()), Some(about.gid()))?;
            }
            new.set_permissions(about.permissions())?;
        }
        new.write_all(tokens.text().as_bytes())?;
        new.sync_all()?;
        fs::rename(unfinished, &file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
    }

    fn list(&self) -> Result<bool, String> {
        let (tokens, now) = (self.read()?, now());
        for (begins, grant) in tokens.iter() {
            let door = match grant.door {
                GrantedDoor::Public => "public",
                GrantedDoor::Admin => "admin",
            };
            let maps: Vec<&str> = grant.maps.iter().map(MapKey::as_str).collect();
            let maps = if maps.is_empty() { "all maps".to_owned() } else { maps.join(", ") };
            let until = match (grant.revoked, grant.expires) {
                (Some(revoked), _) => format!("revoked {}", date(revoked)),
                (None, Some(expires)) if expires <= now => format!("expired {}", date(expires)),
                (None, Some(expires)) => format!("until {}", date(expires)),
                (None, None) => "for ever".to_owned(),
            };
            say(&format!("{:24} {door:6} {maps:24} {until}  {begins}…", grant.name.as_str()))?;
        }
        Ok(true)
    }
}

/// A time, for people; one beyond the year 9999, which has no such form, as a number.
fn date(at: Timestamp) -> String {
    let mut text = String::new();
    let written = write!(text, "{}", humantime::format_rfc3339_seconds(SystemTime::from(at)));
    if written.is_ok() { text } else { format!("{at} ms") }
}

fn valid_for(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
    let length = humantime::parse_duration(text).map_err(|why| why.to_string())?;
    let is_right = length >= Duration::from_secs(1) && length <= LONGEST;
    if is_right { Ok(length) } else { Err("must be from 1s to 10 years".to_owned()) }
}

/// Only the owner of a file can read what is in it.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

impl MakeArgs {
    fn run(self) -> Result<bool, String> {
        let mut chance = [0; 24];
        getrandom::fill(&mut chance).map_err(|why| format!("no chance to be had: {why}"))?;
        let token = made(chance);
        let door = match self.door {
            DoorArg::Public => GrantedDoor::Public,
            DoorArg::Admin => GrantedDoor::Admin,
        };
        let expires = Some(now().plus(Millis::from(self.valid_for)));
        let grant = Grant { name: self.name.clone(), door, maps: self.map, expires, revoked: None };
        let is_first = self.file.change(|tokens| {
            let is_first = !tokens.has(door);
            let taken = || format!("--name {}: there is a token of that name", self.name.as_str());
            if tokens.add(&token, grant) { Ok(is_first) } else { Err(taken()) }
        })?;
        if is_first && door == GrantedDoor::Public {
            let note = "from now on hosts that read this file ask everybody for a token";
            let _nobody_reads_it = writeln!(io::stderr(), "booking: {note}");
        }
        let lost = |why| format!("{why}. The token is lost: revoke {}", self.name.as_str());
        say(&token).map_err(lost)?;
        Ok(true)
    }
}

impl RevokeArgs {
    fn run(self) -> Result<bool, String> {
        let name = self.name.as_str();
        let none = || format!("there is no token of the name {name}");
        let revoked = self.file.change(|tokens| tokens.revoke(&self.name, now()).ok_or_else(none))?;
        say(&format!("{name} has been revoked since {}", date(revoked)))?;
        Ok(true)
    }
}
