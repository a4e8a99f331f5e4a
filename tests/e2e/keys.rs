//! Symmetric keys, with chronyd at the other end.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_common::counters::Reason;
use ntp_lab::peers;
use ntp_lab::scene::{LAN, SERVER, Scene, UPSTREAM};

use crate::played::{LOCAL, LONG, Played, answer, until};
use crate::trial::Needs::{Chronyd, Namespaces, Xdp};
use crate::trial::trial;

/// A key of every type.
const KEYS: &str = "\
1 MD5 ASCII:a-secret-for-md5
2 SHA1 HEX:000102030405060708090a0b0c0d0e0f10111213
3 SHA256 ASCII:a-secret-for-sha256
4 SHA384 ASCII:a-secret-for-sha384
5 SHA512 ASCII:a-secret-for-sha512
6 AES128 HEX:00112233445566778899aabbccddeeff
7 AES256 HEX:00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100
";

/// How many they are.
const COUNT: u32 = 7;

/// How long a client is given that must not be answered.
const IN_VAIN: Duration = Duration::from_secs(2);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "chronyd is served with a key of every type, beside XDP",
            &[Namespaces, Xdp, Chronyd],
            served,
        ),
        trial("chronyd is followed with a key of every type", &[Namespaces, Chronyd], followed),
        trial("source that does not know our key is not believed", &[Namespaces, Chronyd], forged),
        trial("wrong and unknown keys are met with silence", &[Namespaces, Chronyd], silence),
    ]
}

fn served() -> Result<()> {
    let (played, keys) = with_keys(&format!("xdp {LAN} mode native\n"))?;
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    for (key, version) in (1..=COUNT).flat_map(|key| [(key, 3), (key, 4)]) {
        let options = format!("iburst key {key} version {version}\nkeyfile {keys}");
        let (lab, host) = (&played.scene.lab, &played.scene.client);
        let mut client = chronyd.follow(lab, host, &[SERVER.v4.into()], &options)?;
        let selected = format!("Selected source {}", SERVER.v4);
        client
            .wait_for_line(&selected, LONG)
            .with_context(|| format!("key {key}, version {version}"))?;
        client.stop()?.success()?;
    }
    Ok(())
}

fn followed() -> Result<()> {
    let scene = Scene::open()?;
    let keys = scene.lab.file("ntp.keys", KEYS)?.display().to_string();
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let upstream = format!("local stratum 3\nallow\nkeyfile {keys}\n");
    let _upstream = chronyd.serve(&scene.lab, &scene.upstream, &upstream)?;
    let server = |key: u32| {
        let version = 3 + key % 2;
        format!(
            "server {} iburst key {key} version {version}\nkeyfile {keys}\nallow\n",
            UPSTREAM.v4
        )
    };
    let played = Played::open_in(scene, &server(1))?;
    let client = played.client(SERVER.v4)?;
    for key in 1..=COUNT {
        if key > 1 {
            // Another key is another way to ask the same source, which is measured anew here.
            played.reload("local stratum 9\nallow\n", "Configuration reloaded")?;
            played.reload(&server(key), "Configuration reloaded")?;
        }
        until("the source is followed", || Ok(answer(&client)?.header.stratum == 4))
            .with_context(|| format!("key {key}\n{}", played.daemon.log()))?;
    }
    Ok(())
}

fn forged() -> Result<()> {
    let scene = Scene::open()?;
    let theirs = scene.lab.file("theirs.keys", "1 SHA1 ASCII:what-they-know\n")?;
    let ours = scene.lab.file("ours.keys", "1 SHA1 ASCII:what-we-know\n")?;
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let upstream = format!("local stratum 3\nallow\nkeyfile {}\n", theirs.display());
    let _upstream = chronyd.serve(&scene.lab, &scene.upstream, &upstream)?;
    let upstream = UPSTREAM.v4;
    let directives = format!(
        "server {upstream} iburst key 1\nserver {upstream} port 124 key 2\nkeyfile {}\nallow\n",
        ours.display()
    );
    let mut played = Played::open_in(scene, &directives)?;
    played.daemon.wait_for_line("Key 2 used by source", LONG)?;
    let client = played.client(SERVER.v4)?;
    std::thread::sleep(IN_VAIN * 2);
    let header = answer(&client)?.header;
    ensure!(header.stratum == 0, "{header:?} after a source that does not know the key");
    Ok(())
}

fn silence() -> Result<()> {
    let (mut played, _) = with_keys("")?;
    let other = "1 MD5 ASCII:another-secret\n8 MD5 ASCII:nobody-knows-this\n";
    let other = played.scene.lab.file("other.keys", other)?;
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    for key in [1, 8] {
        let options = format!("iburst key {key}\nkeyfile {}", other.display());
        let (lab, host) = (&played.scene.lab, &played.scene.client);
        let mut client = chronyd.follow(lab, host, &[SERVER.v4.into()], &options)?;
        let selected = format!("Selected source {}", SERVER.v4);
        ensure!(client.wait_for_line(&selected, IN_VAIN).is_err(), "key {key} is believed");
    }
    let user = played.daemon.served()?.user;
    ensure!(user.answered == 0 && user.count(Reason::BadMac) > 0, "{user:?}");
    Ok(())
}

/// The daemon with [`KEYS`], and their file.
fn with_keys(directives: &str) -> Result<(Played, String)> {
    let scene = Scene::open()?;
    let keys = scene.lab.file("ntp.keys", KEYS)?.display().to_string();
    let directives = format!("{LOCAL}allow\nkeyfile {keys}\n{directives}");
    Ok((Played::open_in(scene, &directives)?, keys))
}
