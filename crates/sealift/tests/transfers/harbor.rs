//! A registry behind a proxy that fails as told, and the program with a home of its own.

use std::process::{Command, Stdio};
use std::time::Duration;

use sealift_test_support::{
    DockerRegistry, FaultPlan, FaultyRegistry, Image, Outcome, Sealift, TokenRules,
};

/// The world of one test.
pub(crate) struct Harbor {
    /// The registry itself.
    pub(crate) registry: DockerRegistry,
    /// What stands before it.
    pub(crate) proxy: FaultyRegistry,
    /// The program with its home.
    pub(crate) sealift: Sealift,
}

impl Harbor {
    /// Opens a registry without tokens.
    pub(crate) fn open() -> Self {
        Self::new(|address| FaultyRegistry::open(address, FaultPlan::none()))
    }

    /// Opens a registry that demands tokens.
    pub(crate) fn with_tokens() -> Self {
        let open = |address| {
            FaultyRegistry::with_tokens(address, TokenRules::anonymous(), FaultPlan::none())
        };
        Self::new(open)
    }

    fn new(proxy: impl FnOnce(std::net::SocketAddr) -> FaultyRegistry) -> Self {
        let registry = DockerRegistry::start();
        let proxy = proxy(registry.address());
        let sealift = Sealift::new(env!("CARGO_BIN_EXE_sealift"));
        Self {
            registry,
            proxy,
            sealift,
        }
    }

    /// Publishes an image, and returns its name at the proxy.
    pub(crate) fn publish(&self, image: &Image, name: &str) -> String {
        let (repository, tag) = name.split_once(':').unwrap();
        self.registry.push(image, repository, tag);
        self.name(name)
    }

    /// Returns the name of an image at the proxy.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.proxy.host())
    }

    /// Runs a command line, words parted by blanks.
    pub(crate) fn run(&self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.sealift.run(self.sealift.home(), &words)
    }

    /// Runs a command line and sends it a signal once `ready` says so.
    pub(crate) fn stop(&self, line: &str, signal: &str, ready: impl Fn() -> bool) -> Outcome {
        self.run_until(line, ready, |pid| {
            let killed = Command::new("kill").args([signal, pid]).status().unwrap();
            assert!(killed.success());
        })
    }

    /// Runs a command line to its own end, which comes after `ready` has done its work and says so.
    pub(crate) fn watch(&self, line: &str, ready: impl Fn() -> bool) -> Outcome {
        self.run_until(line, ready, |_| {})
    }

    fn run_until(&self, line: &str, ready: impl Fn() -> bool, then: impl FnOnce(&str)) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.sealift.command(self.sealift.home(), &words);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        while !ready() {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(10));
        }
        then(&child.id().to_string());
        let output = child.wait_with_output().unwrap();
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command line on a terminal, and returns what stays on its screen as lines.
    pub(crate) fn on_a_terminal(&self, line: &str) -> Vec<String> {
        screen(&self.written_to_a_terminal(line))
    }

    /// Runs a command line on a terminal, and returns all that it wrote there.
    pub(crate) fn written_to_a_terminal(&self, line: &str) -> String {
        let program = env!("CARGO_BIN_EXE_sealift");
        let typed = format!("{program} {line}");
        let plain = self.sealift.command::<&str>(self.sealift.home(), &[]);
        let mut command = Command::new("script");
        command.args(["--quiet", "--command", &typed, "/dev/null"]);
        command.env_clear().env("TERM", "xterm");
        let set = plain
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        command.envs(set).current_dir(self.sealift.home());
        let output = command.stdin(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Puts everything that the program keeps on a disk of this many megabytes, or gives that disk
    /// another size. It goes with the program's home.
    pub(crate) fn disk_of(&self, megabytes: u32) {
        let home = self.sealift.store_home();
        std::fs::create_dir_all(&home).unwrap();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let again = mounts.contains(&format!(" {} ", home.display()));
        let options = format!("{}size={megabytes}m", if again { "remount," } else { "" });
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "sealift-test"]);
        assert!(mount.arg(home).status().unwrap().success());
    }

    /// Makes that disk read-only (`ro`), or writable again (`rw`).
    pub(crate) fn remount(&self, how: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]);
        let status = mount.arg(self.sealift.store_home()).status();
        assert!(status.unwrap().success());
    }

    /// Checks that the store is whole.
    pub(crate) fn verify(&self) {
        self.run("store verify").success();
    }

    /// Returns what is kept of the endpoints' health.
    pub(crate) fn health(&self) -> String {
        let file = self.sealift.store_home().join("network/health.json");
        std::fs::read_to_string(file).unwrap()
    }

    /// Writes a text with the proxy's port, and all times, as letters.
    pub(crate) fn without_numbers(&self, text: &str) -> String {
        let text = text.replace(&self.proxy.host(), "HOST");
        let words = text.split(' ').map(|word| {
            let (time, rest) = word.split_at(word.find(['s', 'm']).unwrap_or(0));
            let is_time = !time.is_empty() && time.chars().all(|c| c.is_ascii_digit() || c == '.');
            if is_time {
                format!("TIME{}", &rest[1..])
            } else {
                word.to_owned()
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Returns the lines that stand on a terminal in the end; those that it broke are whole.
fn screen(written: &str) -> Vec<String> {
    let mut terminal = vt100::Parser::new(60, 80, 0);
    terminal.process(written.as_bytes());
    let shown = terminal.screen().contents();
    shown.lines().map(str::to_owned).collect()
}
