//! Lights. Each [`Condition`] is a rhythm, not a colour: one light is enough, and people who do not see red and green apart read it
//! all the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Condition;

/// On for so long, then off for so long, milliseconds, over and over. Never off: steady.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Milliseconds on.
    pub on_ms: u32,
    /// Milliseconds off; 0: steady.
    pub off_ms: u32,
}

/// Something that shows what the box is doing.
pub trait Lights {
    /// Shows it from now on. Showing the same again costs nothing.
    ///
    /// # Errors
    /// When it cannot be shown. Nothing depends on it but what people see.
    fn show(&mut self, condition: Condition) -> io::Result<()>;
}

impl Pattern {
    /// The rhythm of a condition: a short flash now and then, an even slow beat, steady, fast.
    pub const fn of(condition: Condition) -> Self {
        match condition {
            Condition::Plugged => Self { on_ms: 100, off_ms: 1900 },
            Condition::Searching => Self { on_ms: 600, off_ms: 600 },
            Condition::Streaming => Self { on_ms: 1000, off_ms: 0 },
            Condition::Trouble => Self { on_ms: 120, off_ms: 120 },
        }
    }

    /// It in words.
    pub fn words(self) -> String {
        match self.off_ms {
            0 => "steady".to_owned(),
            off_ms => format!("{} ms on, {off_ms} ms off", self.on_ms),
        }
    }
}

/// A light of Linux's LED class (the kernel's Documentation/leds/leds-class.rst): the kernel's own trigger `timer` blinks it, so
/// it goes on when the box is busy.
#[derive(Debug)]
pub struct Leds {
    led: PathBuf,
    shown: Option<Condition>,
}

impl Leds {
    /// The LED of this name in `class`, which is `/sys/class/leds` on a real board.
    ///
    /// # Errors
    /// When there is none of that name; the error lists those there are.
    pub fn open(class: &Path, name: &str) -> io::Result<Self> {
        let led = class.join(name);
        if name.is_empty() || name.contains('/') || name.starts_with('.') || !led.join("trigger").exists() {
            let names = fs::read_dir(class).into_iter().flatten().filter_map(Result::ok);
            let names: Vec<_> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            let words = format!("no light {name:?} here; there are: {}", names.join(", "));
            return Err(io::Error::new(io::ErrorKind::NotFound, words));
        }
        Ok(Self { led, shown: None })
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        let path = self.led.join(file);
        fs::write(&path, value)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }
}

impl Lights for Leds {
    fn show(&mut self, condition: Condition) -> io::Result<()> {
        if self.shown == Some(condition) {
            return Ok(());
        }
        let pattern = Pattern::of(condition);
        if pattern.off_ms == 0 {
            let most = fs::read_to_string(self.led.join("max_brightness"))?;
            self.set("trigger", "none")?;
            self.set("brightness", most.trim())?;
        } else {
            // The trigger makes the two files of its delays.
            self.set("trigger", "timer")?;
            self.set("delay_on", &pattern.on_ms.to_string())?;
            self.set("delay_off", &pattern.off_ms.to_string())?;
        }
        self.shown = Some(condition);
        Ok(())
    }
}

/// A simulated light: a file that says condition and rhythm in words, always whole.
#[derive(Debug)]
pub struct PatternFile {
    path: PathBuf,
    shown: Option<Condition>,
}

impl PatternFile {
    /// A light in this file.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, shown: None }
    }
}

impl Lights for PatternFile {
    fn show(&mut self, condition: Condition) -> io::Result<()> {
        if self.shown == Some(condition) {
            return Ok(());
        }
        let fresh = self.path.with_extension("new");
        fs::write(&fresh, format!("{condition}: {}\n", Pattern::of(condition).words()))?;
        fs::rename(&fresh, &self.path)?;
        self.shown = Some(condition);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::button::tests::Scratch;

    const ALL: [Condition; 4] =
        [Condition::Plugged, Condition::Searching, Condition::Streaming, Condition::Trouble];

    /// What the kernel shows of an LED.
    fn led(class: &Path, name: &str) -> PathBuf {
        let led = class.join(name);
        fs::create_dir_all(&led).unwrap();
        for (file, value) in
            [("trigger", "[none] timer heartbeat\n"), ("brightness", "0\n"), ("max_brightness", "255\n")]
        {
            fs::write(led.join(file), value).unwrap();
        }
        led
    }

    fn read(led: &Path, file: &str) -> String {
        fs::read_to_string(led.join(file)).unwrap()
    }

    #[test]
    fn rhythms_are_told_apart_without_colour() {
        for (index, one) in ALL.into_iter().enumerate() {
            for other in ALL.into_iter().skip(index + 1) {
                let (a, b) = (Pattern::of(one), Pattern::of(other));
                let period = |pattern: Pattern| f64::from(pattern.on_ms + pattern.off_ms);
                let share = |pattern: Pattern| f64::from(pattern.on_ms) / period(pattern);
                let ratio = (period(a) / period(b)).max(period(b) / period(a));
                // Twice as fast, or on for a very different part of the time.
                assert!(ratio >= 2.0 || (share(a) - share(b)).abs() > 0.3, "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn the_kernels_light_blinks_by_itself_and_is_steady_while_streaming() {
        let scratch = Scratch::new("leds");
        let led = led(&scratch.0, "box:status");
        let mut lights = Leds::open(&scratch.0, "box:status").unwrap();
        lights.show(Condition::Trouble).unwrap();
        assert_eq!((read(&led, "trigger").as_str(), read(&led, "delay_on").as_str()), ("timer", "120"));
        assert_eq!(read(&led, "delay_off"), "120");
        lights.show(Condition::Streaming).unwrap();
        assert_eq!((read(&led, "trigger").as_str(), read(&led, "brightness").as_str()), ("none", "255"));
        // The same again does not start the rhythm anew.
        fs::write(led.join("brightness"), "7").unwrap();
        lights.show(Condition::Streaming).unwrap();
        assert_eq!(read(&led, "brightness"), "7");
        lights.show(Condition::Searching).unwrap();
        assert_eq!((read(&led, "delay_on"), read(&led, "delay_off")), ("600".into(), "600".into()));
    }

    #[test]
    fn a_wrong_name_lists_the_lights_that_are_there_and_never_leaves_the_directory() {
        let scratch = Scratch::new("leds-wrong");
        led(&scratch.0.join("class"), "green");
        led(&scratch.0, "outside");
        for name in ["red", "", "../outside", ".."] {
            let error = Leds::open(&scratch.0.join("class"), name).unwrap_err().to_string();
            assert!(error.contains("green"), "{name}: {error}");
        }
    }

    #[test]
    fn a_simulated_light_says_it_in_words() {
        let scratch = Scratch::new("light-file");
        let file = scratch.0.join("lights");
        let mut lights = PatternFile::new(file.clone());
        for (condition, words) in [
            (Condition::Plugged, "plugged: 100 ms on, 1900 ms off\n"),
            (Condition::Streaming, "streaming: steady\n"),
        ] {
            lights.show(condition).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), words);
        }
    }
}
