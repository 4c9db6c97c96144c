//! Prometheus itself, scraping what a test started.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::await_until::await_until;
use super::process::{Process, program};
use super::{http, ports};

/// How long Prometheus may take until it says that it is ready.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running Prometheus.
pub struct Prometheus {
    /// Its HTTP API.
    pub addr: SocketAddr,
    process: Process,
    dir: TempDir,
}

/// One sample of an answer: the series' labels (a JSON object) and its value.
#[derive(Clone, Debug)]
pub struct Sample {
    pub labels: Value,
    pub value: f64,
}

impl Prometheus {
    /// Starts it with these targets, scraped at `/metrics` five times a second, and waits until it is ready.
    /// The first scrape comes about five seconds later: it looks for targets no more often than that.
    pub fn start(targets: &[SocketAddr]) -> Prometheus {
        let list: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let mut config = String::from("global: { scrape_interval: 200ms, scrape_timeout: 200ms }\n");
        writeln!(config, "scrape_configs:\n  - job_name: tidemark").unwrap();
        writeln!(config, "    static_configs: [ {{ targets: [ {} ] }} ]", list.join(", ")).unwrap();
        Prometheus::start_with(&config, &[])
    }

    /// Starts it with a whole configuration, and further files (name, text) beside it, such as alert rules.
    pub fn start_with(config: &str, files: &[(&str, &str)]) -> Prometheus {
        let dir = tempfile::Builder::new().prefix("tidemark-test-").tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let addr = ports::reserve();
        let mut command = Command::new(program("prometheus"));
        command
            .current_dir(dir.path())
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("tsdb").display()))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--log.level=warn");
        let process = Process::start(command, &dir.path().join("log"));
        let mut prometheus = Prometheus { addr, process, dir };
        await_until("Prometheus to be ready", START_LIMIT, || {
            assert!(prometheus.process.is_running(), "Prometheus ended: {}", prometheus.process.log());
            http::get(addr, "/-/ready").is_ok_and(|response| response.status == 200)
        });
        prometheus
    }

    /// The answer to an instant query, e.g. `tidemark_zone_serial{zone="example."}`.
    pub fn query(&self, query: &str) -> Vec<Sample> {
        let answer = self.api(&format!("query?query={}", http::encode(query)));
        let result = answer["result"].as_array().unwrap_or_else(|| panic!("no result in {answer}"));
        result
            .iter()
            .map(|sample| Sample {
                labels: sample["metric"].clone(),
                value: sample["value"][1].as_str().unwrap().parse().unwrap(),
            })
            .collect()
    }

    /// The `data` of the answer of `/api/v1/PATH`, such as `targets` or `alerts`; panics unless it is a success.
    pub fn api(&self, path: &str) -> Value {
        let response = http::get(self.addr, &format!("/api/v1/{path}")).unwrap();
        let mut answer: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }
}
