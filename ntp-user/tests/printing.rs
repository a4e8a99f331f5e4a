//! What `ntp-xdpd --check` and `-p` print, and how they end. Neither starts anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A configuration in several files.
const FILES: [(&str, &str); 5] = [
    (
        "main.conf",
        "confdir FOLDER/conf.d\nsourcedir FOLDER/run\n include  FOLDER/more.conf\nALLOW 10\n",
    ),
    ("more.conf", "makestep 1   3\ndumponexit\n"),
    ("conf.d/20.conf", "server b.example\n"),
    ("conf.d/10.conf", "# the first\nserver a.example iburst\n"),
    ("run/dhcp.sources", "server 192.0.2.1 ibrust\nserver 192.0.2.2 iburst\n"),
];

#[test]
fn check_prints_what_the_files_come_to_and_that_can_be_used() {
    let folder = Folder::new("check", &FILES);
    let checked = run(&["--check", "-f", &folder.path("main.conf")]);
    assert!(checked.status.success(), "{checked:?}");
    let text = text(&checked.stdout);
    let said: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        said,
        [
            "server a.example iburst",
            "server b.example",
            "server 192.0.2.2 iburst",
            "",
            "makestep 1 3",
            "allow 10.0.0.0/8",
            ""
        ]
    );
    for comment in ["conf.d/10.conf", "#sourcedir", "#maxdistance 3"] {
        assert!(text.contains(comment), "{comment} in\n{text}");
    }
    let warnings = self::text(&checked.stderr);
    assert!(
        warnings.contains("dhcp.sources:1:18") && warnings.contains("`dumponexit`"),
        "{warnings}"
    );

    fs::write(folder.path("saved.conf"), &text).unwrap();
    let saved = run(&["--check", "-f", &folder.path("saved.conf")]);
    let again = self::text(&saved.stdout);
    let without_places = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with("# /") && !line.starts_with("#sourcedir"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(without_places(&again), without_places(&text));
    assert_eq!(self::text(&saved.stderr), "");
}

#[test]
fn lines_are_printed_as_chronyd_prints_them() {
    let folder = Folder::new("lines", &FILES);
    let printed = run(&["-p", "-f", &folder.path("main.conf")]);
    assert!(printed.status.success(), "{printed:?}");
    let sourcedir = format!("sourcedir {}", folder.path("run"));
    let expected = [
        "server a.example iburst",
        "server b.example",
        &sourcedir,
        "makestep 1 3",
        "dumponexit",
        "ALLOW 10",
        "",
    ];
    assert_eq!(text(&printed.stdout), expected.join("\n"));

    let directives = run(&["-p", "server a  iburst", "PORT 0"]);
    assert_eq!(text(&directives.stdout), "server a iburst\nPORT 0\n");
}

#[test]
fn configuration_that_is_wrong_is_refused_with_all_its_mistakes() {
    let wrong =
        [("main.conf", "sever a\ninclude FOLDER/more.conf\nport x\n"), ("more.conf", "\nnts 1\n")];
    let folder = Folder::new("wrong", &wrong);
    for how in ["--check", "-p"] {
        let refused = run(&[how, "-f", &folder.path("main.conf")]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert_eq!(text(&refused.stdout), "", "{how}");
        let said = text(&refused.stderr);
        for place in ["main.conf:1:1", "more.conf:2:1", "main.conf:3:6", "`server`?", "3 errors"] {
            assert!(said.contains(place), "{place} in\n{said}");
        }
    }
    let missing = run(&["--check", "-f", "/nonexistent/x.conf"]);
    assert_eq!(missing.status.code(), Some(1));
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ntp-xdpd")).args(arguments).output().expect("it can be run")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// A folder with files, removed in the end.
struct Folder(PathBuf);

impl Folder {
    /// Writes the files; in their text `FOLDER` stands for the folder.
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder =
            Self(std::env::temp_dir().join(format!("ntp-xdpd-{name}-{}", std::process::id())));
        for (path, text) in files {
            let path = folder.0.join(path);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("it can be made");
            fs::write(path, text.replace("FOLDER", &folder.0.to_string_lossy()))
                .expect("it can be written");
        }
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}
