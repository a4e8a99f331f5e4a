//! The command line: chrony's, as far as it is built in. What is not is refused by its name, never ignored.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};

/// Keeps the time and serves it.
#[derive(Clone, Debug, Parser)]
#[command(
    about = "NTP daemon that answers requests in XDP",
    long_about = "Keeps the system clock right and serves the time over NTP. Requests are answered in the \
        kernel by an XDP program on the interfaces that `xdp` lines name, and by the daemon otherwise.",
    disable_version_flag = true,
    args_override_self = true,
    after_help = "Without -d or -n the daemon goes to the background, and the command returns when it serves \
        (0) or has failed (1). Signals: TERM, INT and QUIT end the daemon, HUP has it read its configuration again, USR1 logs its counters and opens log files anew."
)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each option of chronyd")]
pub struct Args {
    /// Use IPv4 only
    #[arg(short = '4', overrides_with = "ipv6_only")]
    pub ipv4_only: bool,

    /// Use IPv6 only
    #[arg(short = '6', overrides_with = "ipv4_only")]
    pub ipv6_only: bool,

    /// Configuration file
    #[arg(short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Stay in the foreground
    #[arg(short = 'n')]
    pub foreground: bool,

    /// Stay in the foreground and log to the terminal; twice: debugging messages, too
    #[arg(short = 'd', action = ArgAction::Count)]
    pub debug: u8,

    /// Log to a file
    #[arg(short = 'l', value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// Least level of messages: -1 debugging, 0 information, 1 warnings, 2 errors, 3 fatal errors
    #[arg(
        short = 'L',
        value_name = "LEVEL",
        default_value_t = 0,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i8).range(-1..=3)
    )]
    pub log_level: i8,

    /// Set the clock once and exit
    #[arg(short = 'q', overrides_with = "query_offset")]
    pub set_once: bool,

    /// Print the offset of the clock once and exit; the clock is not set
    #[arg(short = 'Q', overrides_with = "set_once")]
    pub query_offset: bool,

    /// Exit after so many seconds [default: never, with -q and -Q: 30]
    #[arg(short = 't', value_name = "SECONDS")]
    pub timeout_s: Option<u32>,

    /// After a restart: leave out the steps that `makestep` allows after a start
    #[arg(short = 'R')]
    pub restarted: bool,

    /// Leave the system clock alone, and serve time that is right all the same
    #[arg(short = 'x')]
    pub follow: bool,

    /// Become this user once sockets are open and the program is loaded, and keep only what that takes
    #[arg(short = 'u', value_name = "USER")]
    pub user: Option<String>,

    /// Lock the daemon into memory
    #[arg(short = 'm')]
    pub lock_memory: bool,

    /// Do not insist on being started by root (nothing does)
    #[arg(short = 'U')]
    pub any_user: bool,

    /// Print version and features
    #[arg(short = 'v', long = "version")]
    pub version: bool,

    /// Check the configuration, print what it comes to, and exit
    #[arg(long = "check", conflicts_with = "print")]
    pub check: bool,

    /// Print the lines of the configuration, with files in place of the lines that include them, and exit
    #[arg(short = 'p')]
    pub print: bool,

    /// Take up what was measured before the restart: the files in `dumpdir`
    #[arg(short = 'r')]
    pub reload: bool,

    /// At the start, set the clock from the real-time clock, or to the time of the last run
    #[arg(short = 's')]
    pub from_rtc: bool,

    /// Be killed (or, below 0, end with a core dump) upon a system call that the daemon has no use for: 2 blocks some
    /// that would serve an intruder; 1, chrony's list of those that are allowed, is not built in and taken for 2
    #[arg(
        short = 'F',
        value_name = "LEVEL",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i8).range(-2..=2)
    )]
    pub filter: Option<i8>,

    /// Run the timekeeping thread in real time with this priority, 1 to 100; 0: do not
    #[arg(
        short = 'P',
        value_name = "PRIORITY",
        value_parser = clap::value_parser!(u8).range(..=100)
    )]
    pub priority: Option<u8>,

    /// The process was started by one that waits until it serves
    #[arg(long = "in-background", hide = true)]
    pub in_background: bool,

    /// Directives, in place of a file
    #[arg(value_name = "DIRECTIVE", trailing_var_arg = true)]
    pub directives: Vec<String>,
}

impl Args {
    /// Reads the command line of a daemon that is called `name` and has its configuration in the first of
    /// `usual_files` that exists.
    ///
    /// # Errors
    /// What is wrong, or the help that was asked for.
    pub fn read<I>(
        name: &'static str,
        usual_files: &[&str],
        arguments: I,
    ) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item: Into<OsString> + Clone>,
    {
        let file = format!(
            "Configuration file [default: the first that exists of {}]",
            usual_files.join(", ")
        );
        let command = Self::command()
            .name(name)
            .override_usage(format!("{name} [OPTION]... [DIRECTIVE]..."))
            .mut_arg("file", |arg| arg.help(file));
        Self::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    /// The same, with a path to the configuration that holds wherever the daemon goes.
    #[must_use]
    pub fn with_absolute_file(self) -> Self {
        let file = self.file.map(|file| std::path::absolute(&file).unwrap_or(file));
        Self { file, ..self }
    }

    /// Whether the daemon stays in the foreground.
    #[must_use]
    pub const fn stays(&self) -> bool {
        self.foreground || self.debug > 0 || self.is_one_shot()
    }

    /// Whether the clock is set or asked for once.
    #[must_use]
    pub const fn is_one_shot(&self) -> bool {
        self.set_once || self.query_offset
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parse(arguments: &str) -> Args {
        Args::try_parse_from(std::iter::once("ntp-xdpd").chain(arguments.split_whitespace()))
            .unwrap()
    }

    #[test]
    fn definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn manual_page_has_every_option_and_no_other() {
        let page = include_str!("../dist/man/ntp-xdpd.8");
        let (_, options) = page.split_once(".SH OPTIONS\n").unwrap();
        let (options, _) = options.split_once(".SH ").unwrap();
        let headings = options.split(".TP\n").skip(1).filter_map(|entry| entry.lines().next());
        let explained: BTreeSet<String> = headings
            .map(|heading| {
                let words = heading.replace(['\\', '"'], "");
                words.split_whitespace().nth(1).unwrap_or_default().to_owned()
            })
            .collect();
        let command = Args::command();
        let told = command.get_arguments().filter(|it| !it.is_positional() && !it.is_hide_set());
        let name = |it: &clap::Arg| match it.get_short() {
            Some(short) => format!("-{short}"),
            None => format!("--{}", it.get_long().unwrap_or_default()),
        };
        let taken: BTreeSet<String> = told.map(name).collect();
        assert_eq!(taken, explained);
    }

    #[test]
    fn help_is_that_of_the_name_that_the_daemon_goes_by() {
        for (name, file) in [("chronyd", "/etc/chrony.conf"), ("ntp-xdpd", "/etc/ntp-xdp.conf")] {
            for option in ["--help", "-h", "-Z"] {
                let text = Args::read(name, &[file], [name, option]).unwrap_err().to_string();
                assert!(text.contains(&format!("Usage: {name} [OPTION]")), "{text}");
                let other = if name == "chronyd" { "ntp-xdpd" } else { "chronyd" };
                assert!(!text.contains(&format!("{other} ")), "{text}");
                assert!(option == "-Z" || text.contains(file), "{text}");
            }
        }
    }

    #[test]
    fn options_are_chronys() {
        let args = parse("-4 -d -x -f /etc/x.conf -L -1 -l /tmp/log -u ntp -t 5");
        assert!(args.ipv4_only && args.follow && args.stays());
        assert_eq!((args.log_level, args.timeout_s), (-1, Some(5)));
        assert_eq!(args.file, Some(PathBuf::from("/etc/x.conf")));
        assert_eq!(args.user.as_deref(), Some("ntp"));
        assert_eq!(parse("-dd").debug, 2);
        assert!(parse("-Q").stays() && !parse("-x").stays());
    }

    #[test]
    fn directives_take_the_place_of_a_file() {
        let args =
            Args::try_parse_from(["ntp-xdpd", "-q", "server 192.0.2.1 iburst", "port 0"]).unwrap();
        assert_eq!(args.directives, ["server 192.0.2.1 iburst", "port 0"]);
    }

    #[test]
    fn last_of_options_that_exclude_each_other_counts() {
        let args = parse("-4 -6 -q -Q -n -n -t 1 -t 2");
        assert!(args.ipv6_only && !args.ipv4_only && args.query_offset && !args.set_once);
        assert_eq!(args.timeout_s, Some(2));
    }

    #[test]
    fn unknown_options_and_values_are_refused() {
        for arguments in ["-z", "-L 9", "-t x", "-P 101", "-F 3", "-p --check"] {
            let arguments = std::iter::once("ntp-xdpd").chain(arguments.split_whitespace());
            assert!(Args::try_parse_from(arguments).is_err());
        }
    }
}
