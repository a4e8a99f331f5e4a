//! Files that include others.

use std::collections::BTreeMap;

use super::shown;
use crate::conf::{Errors, FileError, Files, Host, Parsed, TextFile, parse_arguments, parse_with};

#[test]
fn reads_an_included_file_in_place_of_the_line() {
    let mut files = Tree::new([("/etc/more.conf", "deny 10.1\n")]);
    let parsed = files.parse("allow 10\ninclude /etc/more.conf\nallow 10.1.1\n").unwrap();
    let places: Vec<_> = parsed.config.access.iter().map(|rule| rule.at.to_string()).collect();
    assert_eq!(places, ["main.conf:1:1", "/etc/more.conf:1:1", "main.conf:3:1"]);
}

#[test]
fn reads_directories_by_file_name_and_each_name_once() {
    let mut files = Tree::new([
        ("/a/20.conf", "server a20\n"),
        ("/a/30.conf", "server a30\n"),
        ("/a/readme", "no directive\n"),
        ("/b/10.conf", "server b10\n"),
        ("/b/30.conf", "server b30\n"),
    ]);
    let hosts = |text: &str, files: &mut Tree| -> Vec<String> {
        let sources = files.parse(text).unwrap().config.sources;
        sources.iter().map(|source| source.value.host.to_string()).collect()
    };
    assert_eq!(hosts("confdir /a /b /missing", &mut files), ["b10", "a20", "a30"]);
    assert_eq!(hosts("confdir /b /a", &mut files), ["b10", "a20", "b30"]);
    assert_eq!(hosts("include /a/*.conf", &mut files), ["a20", "a30"]);
}

#[test]
fn reports_errors_in_all_files_together() {
    let mut files = Tree::new([("/x.conf", "\nprot 1\n")]);
    let errors = files.parse("sever a\ninclude /x.conf\nport x\n").unwrap_err();
    let places: Vec<_> = errors.iter().map(|error| error.at.to_string()).collect();
    assert_eq!(places, ["main.conf:1:1", "/x.conf:2:1", "main.conf:3:6"]);
}

#[test]
fn reports_a_file_that_cannot_be_read_at_the_line_that_asks_for_it() {
    let errors = Tree::new([]).parse("port 0\ninclude /missing.conf\n").unwrap_err();
    insta::assert_snapshot!(shown(errors.iter()), @r#"
        main.conf:2:9: error: cannot read `/missing.conf`: No such file or directory
         2 | include /missing.conf
           |         ^^^^^^^^^^^^^
    "#);
}

#[test]
fn stops_at_files_that_include_themselves() {
    let errors =
        Tree::new([("/x.conf", "include /x.conf\n")]).parse("include /x.conf").unwrap_err();
    insta::assert_snapshot!(shown(errors.iter()), @r#"
        /x.conf:1:9: error: files are included more than 10 deep, or more than 1000 in all
         1 | include /x.conf
           |         ^^^^^^^
    "#);

    let wide = "include /x.conf\n".repeat(20);
    let errors = Tree::new([("/x.conf", wide.as_str())]).parse("include /x.conf").unwrap_err();
    assert!(errors.iter().count() > 0);
}

#[test]
fn a_mistake_in_a_file_of_sources_costs_only_its_line() {
    let mut files = Tree::new([
        (
            "/s/dhcp.sources",
            "server a iburst\nserver b ibrust\nserver c nts\nport 1\npool d\nserver unfinished",
        ),
        ("/s/x.conf", "server not-a-source-file\n"),
    ]);
    let Parsed { config, warnings, .. } = files.parse("sourcedir /s\nserver e\n").unwrap();
    let hosts: Vec<_> = config.sources.iter().map(|s| s.value.host.to_string()).collect();
    assert_eq!(hosts, ["a", "d", "e"]);
    assert_eq!(config.sourcedir[0].value, [std::path::PathBuf::from("/s")]);
    insta::assert_snapshot!(shown(&warnings), @r#"
        /s/dhcp.sources:2:10: warning: unknown option `ibrust` of `server`; did you mean `iburst`?
         2 | server b ibrust
           |          ^^^^^^
           = accepted: minpoll, maxpoll, iburst, burst, key, certset, maxdelay, maxdelayratio,
                       maxdelaydevratio, maxdelayquant, mindelay, asymmetry, offset, minsamples, maxsamples,
                       maxunreach, filter, offline, auto_offline, prefer, noselect, trust, require, xleave,
                       polltarget, port, ntsport, presend, minstratum, version, copy, extfield, ipv4, ipv6,
                       maxsources
           = the line is ignored
        /s/dhcp.sources:3:10: warning: `nts` is not built in yet
         3 | server c nts
           |          ^^^
           = the line is ignored
        /s/dhcp.sources:4:1: warning: only `server` and `pool` may stand in a file of `sourcedir`, not `port`; the line is ignored
         4 | port 1
           | ^^^^
        /s/dhcp.sources:6:1: warning: the line has no end and is ignored
         6 | server unfinished
           | ^^^^^^
    "#);
}

#[test]
fn reads_the_default_of_debian() {
    let text = "\
confdir /etc/chrony/conf.d
pool 2.debian.pool.ntp.org iburst
sourcedir /run/chrony-dhcp
sourcedir /etc/chrony/sources.d
keyfile /etc/chrony/chrony.keys
driftfile /var/lib/chrony/chrony.drift
ntsdumpdir /var/lib/chrony
logdir /var/log/chrony
maxupdateskew 100.0
rtcsync
makestep 1 3
leapsectz right/UTC
";
    let mut files = Tree::new([("/etc/chrony/sources.d/lan.sources", "server 192.0.2.1\n")]);
    let Parsed { config, warnings, .. } = files.parse(text).unwrap();
    assert_eq!((config.sources.len(), config.sourcedir.len()), (2, 2));
    let lines: Vec<_> = warnings.iter().map(|warning| warning.at.line).collect();
    assert_eq!(lines, [7], "{}", shown(&warnings));
}

#[test]
fn includes_from_the_command_line() {
    let mut files = Tree::new([("/x.conf", "server a\n")]);
    let parsed = parse_arguments(["include /x.conf"], &mut files).unwrap();
    assert_eq!(parsed.config.sources[0].value.host, Host::Name("a".into()));
}

/// Files by path; in a pattern there may be one `*`.
struct Tree(BTreeMap<String, String>);

impl Tree {
    fn new<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self(files.map(|(path, text)| (path.to_owned(), text.to_owned())).into())
    }

    fn parse(&mut self, text: &str) -> Result<Parsed, Errors> {
        parse_with("main.conf", text, self)
    }
}

impl Files for Tree {
    fn matching(&mut self, pattern: &str) -> Result<Vec<TextFile>, FileError> {
        let Some((before, after)) = pattern.split_once('*') else {
            let missing =
                || FileError { path: pattern.into(), reason: "No such file or directory".into() };
            let text = self.0.get(pattern).ok_or_else(missing)?;
            return Ok(vec![TextFile { path: pattern.into(), text: text.clone() }]);
        };
        let found =
            self.0.iter().filter(|(path, _)| path.starts_with(before) && path.ends_with(after));
        Ok(found.map(|(path, text)| TextFile { path: path.clone(), text: text.clone() }).collect())
    }
}
