//! Prometheus reads the endpoint: every expression of the dashboard and every alert, and the alerts fire of what they
//! are for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::prometheus::{Prometheus, Scraping, prometheus};
use ntp_lab::query::EXTENSION_FIELD;
use ntp_lab::scene::{DENIED, LAN, SERVER, UPSTREAM};
use ntp_lab::workspace;
use serde_json::Value;

use crate::metrics::{ADDRESS, Page};
use crate::played::{PATIENCE, Played, QUIET, answer, until};
use crate::trial::Needs::{self, Chronyd, Namespaces, Xdp};
use crate::trial::trial;

// What the project ships, and the tests of it, from the workspace's root.
const ALERTS: &str = "ntp-user/dist/prometheus-alerts.yml";
const ALERT_TESTS: &str = "tests/e2e/prometheus/alerts.yml";
const DASHBOARD: &str = "ntp-user/dist/grafana-dashboard.json";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "every alert fires of what it is for and of nothing else",
            &[Needs::Prometheus],
            fires,
        ),
        trial(
            "Prometheus evaluates every expression of dashboard and alerts",
            &[Namespaces, Chronyd, Xdp, Needs::Prometheus],
            evaluates,
        ),
    ]
}

fn installed() -> Result<Prometheus> {
    prometheus().context("prometheus is gone")
}

fn file(name: &str) -> Result<(PathBuf, String)> {
    let path = workspace().join(name);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok((path, text))
}

fn fires() -> Result<()> {
    let prometheus = installed()?;
    let (rules, rules_text) = file(ALERTS)?;
    prometheus.tool(&["check", "rules"], &rules)?.success()?;
    let (tests, tests_text) = file(ALERT_TESTS)?;
    prometheus.tool(&["test", "rules"], &tests)?.success()?;
    // The tool reads one document, and says nothing of what follows it.
    ensure!(!tests_text.lines().any(|line| matches!(line, "..." | "---")), "a second document");
    let alerts = alerts(&rules_text);
    ensure!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let quiet = tests_text.matches(&format!("alertname: {alert}}}\n")).count();
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels:");
        ensure!(quiet == 2 && tests_text.contains(&fires), "{alert} is not tested both ways");
    }
    Ok(())
}

/// The names of the alerts in a file of rules.
fn alerts(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

fn evaluates() -> Result<()> {
    let directives = format!(
        "server {} iburst minpoll 0 maxpoll 0\nallow\ndeny {}\nxdp {LAN} mode native\n\
         metricsaddress {ADDRESS}\n",
        UPSTREAM.v4, DENIED.v4
    );
    let (played, _) = Played::following(3, &directives)?;
    let host = &played.scene.server;
    let (rules, rules_text) = file(ALERTS)?;
    let server = installed()?.scrape(&played.scene.lab, host, ADDRESS, &rules)?;
    let mut open = panels()?;
    ensure!(open.len() >= 26, "{} expressions in the dashboard", open.len());
    let client = played.client(SERVER.v4)?;
    let denied = played.client_from(DENIED.v4.into(), SERVER.v4.into())?;
    let shown = until("every panel shows something", || {
        // Rates are of what happens between two scrapes.
        answer(&client)?;
        client.query_with(&EXTENSION_FIELD, PATIENCE)?.answered()?;
        denied.query(QUIET)?;
        let mut empty = Vec::new();
        for (expression, legend) in open.drain(..) {
            if !shows(&server, &expression, &legend)? {
                empty.push((expression, legend));
            }
        }
        open = empty;
        Ok(open.is_empty())
    });
    shown.with_context(|| format!("{open:#?}"))?;
    let expected = alerts(&rules_text);
    until("every rule is evaluated", || {
        let rules = server.rules()?;
        let health = |rule: &Value| rule["health"].as_str().unwrap_or_default().to_owned();
        let faulty = rules.iter().find(|rule| health(rule) == "err");
        ensure!(faulty.is_none(), "{faulty:#?}");
        let names = rules.iter().filter(|rule| health(rule) == "ok");
        let names: BTreeSet<&str> = names.filter_map(|rule| rule["name"].as_str()).collect();
        Ok(names == expected)
    })?;
    as_exposed(&file(ALERT_TESTS)?.1, &Page::scrape(host)?)
}

/// The expressions of the dashboard's panels, each with how its series are named.
fn panels() -> Result<Vec<(String, String)>> {
    let dashboard: Value = serde_json::from_str(&file(DASHBOARD)?.1)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets
        .map(|target| {
            let expression = target["expr"].as_str().context("a target without expression")?;
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            Ok((expression.replace("$instance", ".*"), legend.to_owned()))
        })
        .collect()
}

/// Whether the expression comes to series, which have the labels that the legend names.
fn shows(server: &Scraping<'_>, expression: &str, legend: &str) -> Result<bool> {
    let series = server.query(expression)?;
    let labels = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    for label in labels.map(str::trim) {
        let lacks = series.iter().find(|it| it["metric"].get(label).is_none());
        ensure!(lacks.is_none(), "{expression}: no label {label} in {lacks:?}");
    }
    Ok(!series.is_empty())
}

/// Fails unless the series that the alerts are tested with have the names, labels and, where these are a matter of
/// the program, values of the endpoint's.
fn as_exposed(tests: &str, page: &Page) -> Result<()> {
    let series = tests.lines().filter_map(|line| line.trim().strip_prefix("- series: "));
    for series in series {
        let (name, labels) = series.split_once('{').context("a series without labels")?;
        let labels = labels_of(labels);
        let named = |labels: &BTreeMap<&str, &str>| -> BTreeSet<String> {
            labels.keys().filter(|key| **key != "instance").map(|key| (*key).to_owned()).collect()
        };
        let exposed = page.series(name);
        let open = ["instance", "source", "name", "interface", "version"];
        let is_it = |exposed: &BTreeMap<&str, &str>| {
            named(exposed) == named(&labels)
                && labels.iter().all(|(key, value)| {
                    let is_mode = (*key, *value) == ("mode", "generic");
                    open.contains(key) || is_mode || exposed.get(key) == Some(value)
                })
        };
        ensure!(exposed.iter().any(is_it), "{series} is not as in {exposed:?}");
    }
    Ok(())
}

/// The labels in `a="b",c="d"}`; no value has a comma.
pub(crate) fn labels_of(text: &str) -> BTreeMap<&str, &str> {
    let pairs = text.trim_end_matches('}').split(',');
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(key, value)| (key, value.trim_matches('"')))
        .collect()
}
