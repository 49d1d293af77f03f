//! The live view: what goes on now, one row each, drawn at the end of the terminal; above it the
//! lines that stay. Pure: events in, lines out.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::event::{Event, StepState};
use crate::report::line::{Line, Style, cut, strip, width};
use crate::report::painter::Size;
use crate::report::plain::Plain;
use crate::report::transfers::Transfers;
use crate::size;
use crate::unit::UnitId;

/// How many of a step's last lines are shown while it runs.
const LOG_ROWS: usize = 6;
/// Columns of a bar.
const BAR: usize = 20;
/// Fewest columns that an image's name is cut to.
const NAME_MIN: usize = 16;
/// Over how long a rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(2);

/// The live view.
#[derive(Debug)]
pub struct Live {
    plain: Plain,
    transfers: Transfers,
    verbose: u8,
    start: Instant,
    images: Count,
    steps: Count,
    tasks: Vec<Task>,
}

/// How many of something were seen, and how many of them ended.
#[derive(Debug, Default)]
struct Count {
    seen: BTreeSet<String>,
    ended: usize,
}

/// Something that goes on.
#[derive(Debug)]
struct Task {
    key: Key,
    since: Instant,
    /// A step's name.
    name: String,
    /// A step's last lines, the last one perhaps without its end.
    log: VecDeque<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Image(String),
    Step(UnitId, String),
}

impl Live {
    /// Begins at `now`.
    #[must_use]
    pub fn new(verbose: u8, now: Instant) -> Self {
        Self {
            plain: Plain::without_transfers(verbose),
            transfers: Transfers::every(RATE_WINDOW),
            verbose,
            start: now,
            images: Count::default(),
            steps: Count::default(),
            tasks: Vec::new(),
        }
    }

    /// Takes an event. Returns the lines that stay.
    pub fn take(&mut self, event: &Event, now: Instant) -> Vec<Line> {
        self.transfers.take(event, now);
        match event {
            // Of a push, the first blob is the first that is heard.
            Event::ImageFetching { image, .. } | Event::BlobProgress { image, .. } => {
                self.begin(Key::Image(image.clone()), image, now);
                Vec::new()
            }
            Event::Step {
                unit,
                id,
                name,
                state,
                ..
            } => {
                let key = Key::Step(unit.clone(), id.clone());
                if *state == StepState::Started {
                    self.begin(key, &format!("{} {name}", unit.platform), now);
                    return Vec::new();
                }
                self.end(&key, now);
                step(event).into_iter().collect()
            }
            Event::StepLog { unit, id, text } => {
                let key = Key::Step(unit.clone(), id.clone());
                if let Some(task) = self.tasks.iter_mut().find(|task| task.key == key) {
                    task.log(text);
                }
                match self.verbose {
                    0 => Vec::new(),
                    _ => self.lines(event),
                }
            }
            Event::StepProgress {
                unit,
                id,
                name,
                done,
                ..
            } => {
                let key = Key::Step(unit.clone(), id.clone());
                if let Some(task) = self.tasks.iter_mut().find(|task| task.key == key) {
                    task.log = VecDeque::from([format!("{name} {}", size::bytes(*done))]);
                }
                Vec::new()
            }
            Event::ImageFetched { image, .. }
            | Event::ImageCached { image, .. }
            | Event::Delivered {
                destination: image, ..
            } => {
                self.end(&Key::Image(image.clone()), now);
                self.lines(event)
            }
            // The end: what goes on no more has no row.
            Event::HostTotal(_) | Event::Finished { .. } => {
                self.tasks.clear();
                self.lines(event)
            }
            _ => self.lines(event),
        }
    }

    /// Takes all rows away.
    pub fn clear(&mut self) {
        self.tasks.clear();
    }

    /// Returns the rows that show what goes on: a head, one row for each task, and the last lines of
    /// steps where there is room.
    #[must_use]
    pub fn rows(&self, screen: Size, now: Instant) -> Vec<Line> {
        // One row is the cursor's.
        let room = screen.rows.saturating_sub(2);
        if self.tasks.is_empty() || room == 0 {
            return Vec::new();
        }
        let hidden = self.tasks.len().saturating_sub(room);
        let shown = self.tasks.len() - hidden - usize::from(hidden > 0);
        let with_log = self.tasks[..shown]
            .iter()
            .filter(|task| !task.log.is_empty());
        let left = room.saturating_sub(self.tasks.len());
        let tail = LOG_ROWS.min(left / with_log.count().max(1));
        let mut rows = vec![self.head(now)];
        for task in &self.tasks[..shown] {
            let seconds = now.saturating_duration_since(task.since).as_secs_f64();
            let text = match &task.key {
                Key::Step(..) => format!(" => {}", task.name),
                Key::Image(image) => self.transfer(image, screen.columns),
            };
            rows.push(Line::new(text, Style::Plain).at(seconds));
            let log = task.log.iter().filter(|line| !line.trim().is_empty());
            let skipped = log.clone().count().saturating_sub(tail);
            for line in log.skip(skipped) {
                rows.push(Line::new(format!(" => => # {line}"), Style::Plain));
            }
        }
        if hidden > 0 {
            let more = self.tasks.len() - shown;
            rows.push(Line::new(format!(" => and {more} more"), Style::Plain));
        }
        rows
    }

    fn head(&self, now: Instant) -> Line {
        let elapsed = now.saturating_duration_since(self.start).as_secs_f64();
        let mut text = format!("[+] {}", size::seconds(elapsed));
        for (count, noun) in [(&self.images, "images"), (&self.steps, "steps")] {
            if !count.seen.is_empty() {
                text += &format!(", {noun} {}/{}", count.ended, count.seen.len());
            }
        }
        Line::new(text, Style::Plain)
    }

    /// Describes an image on its way, its name as long as fits.
    fn transfer(&self, image: &str, columns: usize) -> String {
        let Some(progress) = self.transfers.progress(image) else {
            return format!(" => {image}");
        };
        let mut text = String::new();
        if let Some(filled) =
            (progress.done.min(progress.total) * BAR as u64).checked_div(progress.total)
        {
            let filled = usize::try_from(filled).unwrap_or(BAR);
            let bar = "=".repeat(filled) + &" ".repeat(BAR - filled);
            text = format!(" [{bar}] {}", progress.text());
        }
        // Eleven columns hold the arrow before, the time behind and a free one.
        let room = columns.saturating_sub(width(&text) + 11).max(NAME_MIN);
        format!(" => {}{text}", cut(&strip(image), room))
    }

    fn begin(&mut self, key: Key, name: &str, now: Instant) {
        if self.tasks.iter().any(|task| task.key == key) {
            return;
        }
        self.count(&key).seen.insert(format!("{key:?}"));
        self.tasks.push(Task {
            key,
            since: now,
            name: name.to_owned(),
            log: VecDeque::new(),
        });
    }

    fn end(&mut self, key: &Key, now: Instant) {
        // What was never heard to begin counts, too.
        self.begin(key.clone(), "", now);
        self.count(key).ended += 1;
        self.tasks.retain(|task| task.key != *key);
    }

    const fn count(&mut self, key: &Key) -> &mut Count {
        match key {
            Key::Image(_) => &mut self.images,
            Key::Step(..) => &mut self.steps,
        }
    }

    fn lines(&mut self, event: &Event) -> Vec<Line> {
        let style = match event {
            Event::Warning { .. } | Event::StepWarning { .. } => Style::Warning,
            Event::ImageFetched { .. }
            | Event::ImageCached { .. }
            | Event::BuildFinished { .. } => Style::Done,
            _ => Style::Plain,
        };
        let whole = style == Style::Warning
            || matches!(
                event,
                Event::Delivered { .. } | Event::HostTotal(_) | Event::Finished { .. }
            );
        let lines = self.plain.render(event).into_iter();
        let line = |text| Line {
            whole,
            ..Line::new(text, style)
        };
        lines.map(line).collect()
    }
}

impl Task {
    /// Keeps the end of what a step prints.
    fn log(&mut self, text: &str) {
        for (position, piece) in text.split('\n').enumerate() {
            if position > 0 || self.log.is_empty() {
                self.log.push_back(String::new());
            }
            if let Some(last) = self.log.back_mut() {
                last.push_str(piece);
                // What a carriage return rewrites is gone.
                if let Some((_, rewritten)) = last.trim_end_matches('\r').rsplit_once('\r') {
                    *last = rewritten.to_owned();
                }
            }
        }
        while self.log.len() > LOG_ROWS + 1 {
            self.log.pop_front();
        }
    }
}

/// Describes a step that ended.
fn step(event: &Event) -> Option<Line> {
    let Event::Step {
        unit,
        name,
        state,
        seconds,
        ..
    } = event
    else {
        return None;
    };
    let (word, style) = match state {
        StepState::Started => return None,
        StepState::Cached => ("CACHED ", Style::Done),
        StepState::Done => ("", Style::Done),
        StepState::Canceled => ("CANCELED ", Style::Warning),
        StepState::Failed(_) => ("ERROR ", Style::Error),
    };
    let text = format!(" => {word}{} {name}", unit.platform);
    Some(Line::new(text, style).at(seconds.unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::painter::Painter;

    /// A terminal of a fixed size with a live view on it.
    struct Screen {
        terminal: vt100::Parser,
        size: Size,
        live: Live,
        painter: Painter,
        start: Instant,
        now: Instant,
    }

    impl Screen {
        fn new(rows: u16, columns: u16) -> Self {
            let now = Instant::now();
            Self {
                terminal: vt100::Parser::new(rows, columns, 100),
                size: Size {
                    rows: rows.into(),
                    columns: columns.into(),
                },
                live: Live::new(0, now),
                painter: Painter::new(true),
                start: now,
                now,
            }
        }

        /// Takes an event so many seconds after the start, and draws.
        fn take(&mut self, second: u64, event: &Event) {
            self.now = self.start + Duration::from_secs(second);
            let above = self.live.take(event, self.now);
            self.draw(&above);
        }

        fn draw(&mut self, above: &[Line]) {
            let rows = self.live.rows(self.size, self.now);
            let text = self.painter.paint(above, &rows, self.size);
            // A terminal in its usual mode makes a carriage return of a line's end, too.
            self.terminal.process(text.replace('\n', "\r\n").as_bytes());
        }

        fn shown(&self) -> String {
            self.terminal.screen().contents() + "\n"
        }
    }

    fn unit(platform: &str) -> UnitId {
        UnitId {
            component: "app".to_owned(),
            target: None,
            platform: sealift_oci::Platform::parse(platform).unwrap(),
        }
    }

    fn step(id: usize, name: &str, state: StepState) -> Event {
        Event::Step {
            unit: unit("linux/arm64"),
            id: id.to_string(),
            name: name.to_owned(),
            seconds: (state != StepState::Started).then_some(2.0),
            state,
        }
    }

    fn log(id: usize, text: &str) -> Event {
        Event::StepLog {
            unit: unit("linux/arm64"),
            id: id.to_string(),
            text: text.to_owned(),
        }
    }

    fn blob(done: u64, total: u64) -> Event {
        Event::BlobProgress {
            image: "docker.io/library/a-rather-long-name:1.36".to_owned(),
            digest: "sha256:1".to_owned(),
            done,
            total,
        }
    }

    #[test]
    fn rows_are_cut_to_the_width_with_their_times_at_the_right() {
        let mut screen = Screen::new(10, 60);
        let long = "[2/3] RUN apt-get update && apt-get install --yes everything that there is";
        screen.take(0, &step(1, "[1/3] FROM busybox", StepState::Started));
        screen.take(2, &step(1, "[1/3] FROM busybox", StepState::Done));
        screen.take(2, &step(2, long, StepState::Started));
        let text = "\x1b[32mGet:1\x1b[0m a line that is longer than what a narrow screen shows of it\n10%\r20%";
        screen.take(4, &log(2, text));
        screen.take(65, &log(2, "\r30%"));
        assert_eq!(
            screen.shown(),
            " => linux/arm64 [1/3] FROM busybox                     2.0s\n\
             [+] 1m05s, steps 1/2\n \
             => linux/arm64 [2/3] RUN apt-get update && apt-get … 1m03s\n \
             => => # Get:1 a line that is longer than what a narrow sc…\n \
             => => # 30%\n"
        );
        let blue = vt100::Color::Idx(4);
        let colour = |row| screen.terminal.screen().cell(row, 5).unwrap().fgcolor();
        assert_eq!([colour(0), colour(1)], [blue, vt100::Color::Default]);
    }

    #[test]
    fn more_tasks_than_rows_keep_the_screen_whole() {
        let mut screen = Screen::new(6, 40);
        for id in 0..9 {
            let name = format!("step {id}");
            screen.take(1, &step(id, &name, StepState::Started));
            screen.take(1, &log(id, "some text\n"));
        }
        let rows = "[+] 1.0s, steps 0/9\n \
                    => linux/arm64 step 0             0.0s\n \
                    => linux/arm64 step 1             0.0s\n \
                    => linux/arm64 step 2             0.0s\n \
                    => and 6 more\n";
        assert_eq!(screen.shown(), rows);
        // What ends goes above; the rows below stay as many as fit.
        for id in 0..3 {
            let name = format!("step {id}");
            screen.take(1, &step(id, &name, StepState::Done));
        }
        assert_eq!(
            screen.shown(),
            "[+] 1.0s, steps 3/9\n \
             => linux/arm64 step 3             0.0s\n \
             => linux/arm64 step 4             0.0s\n \
             => linux/arm64 step 5             0.0s\n \
             => and 3 more\n"
        );
        for id in 3..9 {
            let name = format!("step {id}");
            screen.take(1, &step(id, &name, StepState::Cached));
        }
        screen.terminal.screen_mut().set_scrollback(100);
        let scrolled = screen.shown();
        assert!(
            scrolled.starts_with(" => linux/arm64 step 0             2.0s\n"),
            "{scrolled}"
        );
        assert!(!scrolled.contains("more"), "{scrolled}");
    }

    #[test]
    fn an_image_shows_its_bar_once_its_size_is_known() {
        let mut screen = Screen::new(5, 90);
        let image = "docker.io/library/a-rather-long-name:1.36".to_owned();
        let platforms = vec!["linux/arm64".to_owned()];
        screen.take(0, &Event::ImageFetching { image, platforms });
        assert_eq!(
            screen.shown(),
            format!(
                "[+] 0.0s, images 0/1\n => docker.io/library/a-rather-long-name:1.36{}0.0s\n",
                " ".repeat(40)
            )
        );
        // A full second and five MB an earlier run left: they are in the bar, not in the rate.
        screen.take(1, &blob(5_000_000, 10_000_000));
        screen.take(3, &blob(7_000_000, 10_000_000));
        assert_eq!(
            screen.shown(),
            "[+] 3.0s, images 0/1\n \
             => docker.io/librar… [==============      ] 7.0 MB of 10.0 MB, 1.0 MB/s, 3.0s left  3.0s\n"
        );
        let empty = Event::BlobProgress {
            image: "b".to_owned(),
            digest: "sha256:2".to_owned(),
            done: 0,
            total: 0,
        };
        screen.take(3, &empty);
        let row = format!("\n => b{}0.0s\n", " ".repeat(80));
        assert!(screen.shown().ends_with(&row), "{}", screen.shown());
    }

    #[test]
    fn a_terminal_that_became_narrower_keeps_no_old_rows() {
        let mut screen = Screen::new(8, 60);
        screen.take(0, &step(1, &"x".repeat(90), StepState::Started));
        // As most terminals do, the row is broken at the new width.
        let mut narrow = vt100::Parser::new(8, 30, 0);
        let row = screen.live.rows(screen.size, screen.now)[1].fit(59);
        narrow.process(b"[+] 0.0s, steps 0/1\r\n");
        narrow.process((row + "\r\n").as_bytes());
        screen.terminal = narrow;
        screen.size.columns = 30;
        screen.draw(&[]);
        assert_eq!(
            screen.shown(),
            format!(
                "[+] 0.0s, steps 0/1\n => linux/arm64 {}… 0.0s\n",
                "x".repeat(7)
            )
        );
    }
}
