//! What a person sees: the page in a browser, the bar in a terminal. It needs Debian's `chromium` and `tmux`.

use crate::{
    command::{bench, colours, text},
    server::{Act, KnownServer},
};
use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};
use tiny_skia::Pixmap;

const PATIENCE: Duration = Duration::from_secs(60);

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    text(&output.stdout)
}

#[test]
#[ignore = "needs chromium"]
fn a_browser_draws_the_page_with_its_table_and_pictures() {
    let known = KnownServer::start(|_, _| Act::After(Duration::from_millis(1)));
    let address = known.address.to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (page, picture) = (file("page.html"), file("page.png"));
    let load = ["--server", &address, "--name", "a.example", "--html", &page];
    output(bench(&load).args(["--duration", "2s", "--rate", "200"]));
    let browser = || {
        let mut browser = Command::new("timeout");
        browser.args(["60", "chromium", "--headless", "--no-sandbox"]);
        browser.args(["--disable-gpu", "--disable-background-networking"]);
        browser.args(["--window-size=1000,1800", "--force-color-profile=srgb"]);
        browser.env("HOME", directory.path());
        browser
    };
    let address_of_page = format!("file://{page}");
    let drawn = output(browser().args(["--dump-dom", &address_of_page]));
    assert_eq!(drawn.matches("<svg ").count(), 3);
    assert!(drawn.contains(&address), "{drawn}");
    output(browser().args([&format!("--screenshot={picture}"), &address_of_page]));
    let drawn = Pixmap::decode_png(&fs::read(&picture).unwrap()).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (1000, 1800));
    for (what, count) in colours(&drawn) {
        assert!(count > 500, "{what}: {count} pixels");
    }
    if let Some(keep) = std::env::var_os("KEEP_SCREENSHOT") {
        fs::copy(&picture, keep).unwrap();
    }
}

/// A terminal of its own.
struct Terminal(String);

impl Terminal {
    fn open(columns: u16, command: &str) -> Self {
        let terminal = Self(format!("gapless-{}", std::process::id()));
        let size = ["-x", &columns.to_string(), "-y", "30"];
        let session = ["-f", "/dev/null", "new-session", "-d"];
        // What it printed stays to be read.
        output(
            terminal
                .tmux()
                .args(session)
                .args(size)
                .arg(format!("{command}; cat")),
        );
        terminal
    }

    fn tmux(&self) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.args(["-L", &self.0]);
        tmux
    }

    /// What is on it once it shows all of these.
    fn shows(&self, wanted: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let screen = output(self.tmux().args(["capture-pane", "-p"]));
            if wanted.iter().all(|it| screen.contains(it)) {
                return screen;
            }
            assert!(began.elapsed() < PATIENCE, "expected {wanted:?}:\n{screen}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.tmux().arg("kill-server").status());
    }
}

#[test]
#[ignore = "needs tmux"]
fn a_terminal_shows_a_bar_with_figures_and_after_ctrl_c_the_table() {
    let known = KnownServer::start(|_, _| Act::After(Duration::from_millis(1)));
    let gapless = env!("CARGO_BIN_EXE_gapless");
    let address = known.address;
    let terminal = Terminal::open(
        120,
        &format!(
            "{gapless} bench load --server {address} --name a.example --rate 200 --duration 1h"
        ),
    );
    let figures = format!("{address}: ");
    let running = terminal.shows(&[" of 3600s", &figures, "/s, p50 ", " 0 lost, 0 wrong"]);
    println!("{running}");
    output(terminal.tmux().args(["send-keys", "C-c"]));
    let ended = terminal.shows(&["interrupted after", " positive"]);
    println!("{ended}");
    assert_eq!(ended.matches(" of 3600s").count(), 1, "{ended}");
}
